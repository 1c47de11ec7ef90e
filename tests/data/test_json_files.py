import pytest

from rmpe_jax.data import json_files


def test_a_file_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2.5]}')
    assert json_files.load(tmp_path / "a.json") == {"a": [1, 2.5]}


def test_what_is_no_json_is_refused_with_its_place(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match=r"a\.json: no such file; expected a JSON file"):
        json_files.load(path)
    with pytest.raises(ValueError, match="Is a directory; expected a JSON file"):
        json_files.load(tmp_path)
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"a\.json: byte 7 is no UTF-8 text"):
        json_files.load(path)
    path.write_text('{"a":\n [1, 2')
    with pytest.raises(ValueError, match=r"line 2, column 7 .* is it cut off\?"):
        json_files.load(path)


def test_missing_fields_are_named():
    with pytest.raises(ValueError, match="here: a list came, an object is expected"):
        json_files.require([], (), "here")
    with pytest.raises(ValueError, match=r"here \(id 4\): no a, b; it has \['c', 'id'\]"):
        json_files.require({"id": 4, "c": 1}, ("a", "b", "c"), "here")
    for value in ("4", 4.0, True, None):
        with pytest.raises(ValueError, match="here: image_id is .*, a whole number"):
            json_files.require({"image_id": value}, ("image_id",), "here")
    json_files.require({"image_id": 10**12}, ("image_id",), "here")


def test_numbers_must_be_as_many_and_finite():
    assert json_files.numbers([1, 2.5], 2, "here") == [1, 2.5]
    assert json_files.numbers([], None, "here") == []
    with pytest.raises(ValueError, match="here: 2 values came, a list of 3 numbers is expected"):
        json_files.numbers([1, 2], 3, "here")
    with pytest.raises(ValueError, match="here: None came, a list of numbers is expected"):
        json_files.numbers(None, None, "here")
    for value in ("1", True, None, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="here: value 1 is .*, finite numbers are allowed"):
            json_files.numbers([1, value], 2, "here")
    with pytest.raises(ValueError, match="here: value 0 is 'x'"):
        json_files.number("x", "here")
