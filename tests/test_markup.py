import pytest

from rmpe_jax.markup import Markup, joined, picture, table, tag


def test_texts_are_escaped_and_markup_is_not():
    inner = tag("b", "1 < 2 & 3")
    assert inner == "<b>1 &lt; 2 &amp; 3</b>"
    assert tag("p", inner, None, 4) == f"<p>{inner}4</p>"
    assert joined("<", Markup("<br>")) == "&lt;<br>"


def test_attributes_are_escaped_and_named_as_html_names_them():
    made = tag("label", "x", for_='a"b', class_="c", aria_label="d", hidden=True, id=None)
    assert made == '<label for="a&quot;b" class="c" aria-label="d" hidden>x</label>'
    assert tag("input", disabled=False) == "<input>"


def test_a_picture_without_words_cannot_be_made():
    with pytest.raises(TypeError, match="alt"):
        picture("data:,")


def test_a_table_names_its_rows_and_columns():
    made = table(["", "size"], [["one", 1], ["two", 2]], "sizes")
    assert '<th scope="col">size</th>' in made
    assert '<tr><th scope="row">two</th><td>2</td></tr>' in made
    assert 'tabindex="0"' in made and 'aria-label="sizes"' in made
