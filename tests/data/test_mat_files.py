import numpy as np
import pytest
import scipy.io

from rmpe_jax.data import mat_files


def struct_array(records):
    """Return a MATLAB structure array; a field that a record lacks is an empty matrix, as there."""
    names = list(dict.fromkeys(name for record in records for name in record))
    array = np.empty((1, len(records)), dtype=[(name, object) for name in names])
    for column, record in enumerate(records):
        for name in names:
            array[0, column][name] = record.get(name, np.zeros((0, 0)))
    return array


def cells(values):
    """Return a MATLAB cell column of the values."""
    array = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        array[row, 0] = value
    return array


def stored(tmp_path, **variables):
    scipy.io.savemat(tmp_path / "a.mat", variables)
    return tmp_path / "a.mat"


def test_structures_come_back_field_by_field(tmp_path):
    people = struct_array([{"x": 2.5, "s": "1"}, {"n": "im.jpg", "e": ""}])
    one, other = mat_files.structs(mat_files.load(stored(tmp_path, p=people), "p"))
    assert mat_files.number(one, "x") == 2.5
    assert mat_files.number(one, "s") == 1
    assert mat_files.numbers(one, ("s", "x")) == [1, 2.5]
    assert mat_files.text(other, "n") == "im.jpg"
    for name in ("x", "s", "e", "missing"):
        assert mat_files.number(other, name) is None
    assert mat_files.numbers(one, ("s", "missing")) is None
    assert mat_files.field(other, "missing").size == 0


def test_numbers_that_are_none_are_none(tmp_path):
    (one,) = mat_files.structs(
        mat_files.load(stored(tmp_path, p=struct_array([{"x": np.nan}])), "p")
    )
    assert mat_files.number(one, "x") is None


def test_an_empty_matrix_holds_no_structures():
    assert mat_files.structs(np.zeros((0, 0))) == []


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.mat: no such file; expected a MATLAB file"):
        mat_files.load(tmp_path / "none.mat", "p")
    (tmp_path / "text.mat").write_text("hello, this is not MATLAB at all " * 9)
    with pytest.raises(ValueError, match=r"text\.mat: not a MATLAB file that SciPy can read"):
        mat_files.load(tmp_path / "text.mat", "p")
    with pytest.raises(ValueError, match=r"a\.mat: no variable q; it has \['p'\]"):
        mat_files.load(stored(tmp_path, p=1), "q")
