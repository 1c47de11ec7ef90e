import json
import os

import pytest

from rmpe_jax.training.workdir import differences, locked, write_json


def test_differences_between_settings_are_named():
    old = {"a": 1, "b": {"c": [1, 2], "d": 3}}
    assert differences(old, {"a": 1, "b": {"c": (1, 2), "d": 4}}) == ["b.d was 3, is 4"]
    assert differences({}, {"new": 1}) == ["new was None, is 1"]


def test_a_file_is_replaced_in_one_go(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def fails(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    monkeypatch.setattr("pathlib.Path.replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_one_process_holds_a_folder_at_a_time(tmp_path):
    with locked(tmp_path / "run"):
        with pytest.raises(ValueError, match="give another --workdir"):
            with locked(tmp_path / "run"):
                pass
    with locked(tmp_path / "run"):
        pass
