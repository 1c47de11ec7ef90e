import json
import resource

import pytest

from rmpe_jax.json_list import json_list


def test_items_become_a_list(tmp_path):
    path = tmp_path / "list.json"
    with json_list(path) as add:
        add([{"a": 1}, 2])
        add([])
        add(["ü"])
        assert not path.exists()
    assert json.loads(path.read_text()) == [{"a": 1}, 2, "ü"]
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_becomes_an_empty_list(tmp_path):
    with json_list(tmp_path / "list.json"):
        pass
    assert json.loads((tmp_path / "list.json").read_text()) == []


def test_the_file_is_valid_after_every_item(tmp_path):
    with json_list(tmp_path / "list.json") as add:
        for count in range(4):
            assert json.loads((tmp_path / "list.json.part").read_text()) == list(range(count))
            add([count])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_written_is_kept_when_work_ends_early(tmp_path, error):
    path = tmp_path / "list.json"
    with pytest.raises(error), json_list(path) as add:
        add([1, 2])
        raise error
    assert json.loads(path.read_text()) == [1, 2]


def test_an_error_before_the_first_item_leaves_an_earlier_file(tmp_path):
    path = tmp_path / "list.json"
    path.write_text("[3]")
    with pytest.raises(RuntimeError), json_list(path):
        raise RuntimeError
    assert path.read_text() == "[3]" and list(tmp_path.iterdir()) == [path]


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    with pytest.raises(ValueError), json_list(tmp_path / "list.json") as add:
        add([1])
        add([float("nan")])
    assert json.loads((tmp_path / "list.json").read_text()) == [1]


def test_a_full_disk_is_an_error_and_earlier_items_are_kept(tmp_path):
    """A limit on the size of files ends a write in the middle, as a full disk does."""
    path = tmp_path / "list.json"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match="list.json"), json_list(path) as add:
            add(["x" * 100, "y"])
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
            add(["z" * 500])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert json.loads(path.read_text()) == ["x" * 100, "y"]
