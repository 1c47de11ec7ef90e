import dataclasses
import json
import subprocess
import sys

import pytest

from rmpe_jax import config as configs
from rmpe_jax.config import Config, ModelConfig, OptimiserConfig


def test_settings_survive_json():
    config = Config(
        workdir="runs/x",
        model=ModelConfig(depth=34, trunk_weights="w.npz"),
        optimiser=OptimiserConfig(milestones=(0.5, 0.8)),
    )
    assert configs.from_dict(Config, json.loads(json.dumps(configs.to_dict(config)))) == config


def test_settings_of_an_earlier_version_take_defaults():
    assert configs.from_dict(Config, {"workdir": "a"}) == Config(workdir="a")


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"ModelConfig has no 'step'; it has \['depth'"):
        configs.from_dict(Config, {"model": {"step": 1}})


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().workdir = "elsewhere"  # type: ignore[misc]


def test_a_missing_file_lists_what_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.py").write_text("")
    with pytest.raises(ValueError, match=r"no configuration file 'nine.py'.*configs/mine.py"):
        configs.load("nine.py")


def test_a_file_without_a_config_is_refused(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("config = 3\n")
    with pytest.raises(ValueError, match=r"sets no `config` .*found int"):
        configs.load(str(path))


def test_the_data_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RMPE_DATA", "/somewhere/else")
    assert str(configs.example_data()) == "/somewhere/else"
    monkeypatch.delenv("RMPE_DATA")
    assert str(configs.example_data()) == "../shared/data"


def test_config_imports_nothing_heavy():
    code = "import sys, rmpe_jax.config; print({'jax', 'cv2', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_every_shipped_config_loads_and_documents_itself():
    import ast
    from pathlib import Path

    paths = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))
    assert paths
    for path in paths:
        assert isinstance(configs.load(str(path)), Config)
        assert "rmpe train" in (ast.get_docstring(ast.parse(path.read_text())) or ""), path
