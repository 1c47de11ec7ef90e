"""HTML and SVG by small functions: text is escaped, and a picture must say what it shows."""

import html
from collections.abc import Sequence
from typing import Any

EMPTY = {"img", "input", "meta", "br"}  # HTML's elements that have no end


class Markup(str):
    """Text that is markup already and is not escaped again."""


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element; texts and numbers among the children are escaped, None is left out.

    Attributes: a trailing underscore is dropped (`class_`, `for_`), others become hyphens
    (`aria_label`), True is an attribute without a value, None and False are left out.
    """
    words = [name]
    for key, value in attributes.items():
        attribute = key.removesuffix("_").replace("_", "-")
        if value is True:
            words.append(attribute)
        elif value is not None and value is not False:
            words.append(f'{attribute}="{html.escape(str(value))}"')
    opened = f"<{' '.join(words)}>"
    return Markup(opened if name in EMPTY else f"{opened}{joined(*children)}</{name}>")


def joined(*children: Any) -> Markup:
    """Return the children one after the other, as those of `tag`."""
    shown = (child for child in children if child is not None)
    return Markup(
        "".join(one if isinstance(one, Markup) else html.escape(str(one)) for one in shown)
    )


def picture(source: str, alt: str, **attributes: Any) -> Markup:
    """Return an image that says in words what it shows."""
    return tag("img", src=source, alt=alt, **attributes)


def drawing(view: Sequence[float | int], alt: str, *children: Any, **attributes: Any) -> Markup:
    """Return an SVG of `view` = (left, top, width, height) that says in words what it shows."""
    box = " ".join(f"{value:g}" for value in view)
    return tag("svg", *children, viewBox=box, role="img", aria_label=alt, **attributes)


def figure(content: Markup, caption: Any, **attributes: Any) -> Markup:
    """Return a picture with its caption below."""
    return tag("figure", content, tag("figcaption", caption), **attributes)


def table(head: list[Any], rows: list[list[Any]], caption: str) -> Markup:
    """Return a table whose first column names the rows; it scrolls on its own where it is wide."""
    top = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    body = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    shown = tag("table", tag("caption", caption), tag("thead", top), tag("tbody", *body))
    # A region that scrolls must be reachable by keyboard, and then needs a name.
    return tag("div", shown, class_="scroll", tabindex=0, role="region", aria_label=caption)
