import dataclasses
import json
import subprocess
import sys
from pathlib import Path

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

    paths = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))
    assert paths
    for path in paths:
        assert isinstance(configs.load(str(path)), Config)
        told = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert "rmpe train" in told or "rmpe ablate" in told, path


@pytest.mark.parametrize(
    ("group", "change", "message"),
    [
        ("optimiser", {"name": "sgd"}, r"optimiser.name is 'sgd'; allowed are 'adam', 'rmsprop'"),
        ("train", {"loss": "mse"}, r"train.loss is 'mse'; allowed are 'squared', 'cross_entropy'"),
        ("augment", {"samples_per_person": 0}, "samples_per_person is 0; at least 1"),
        ("augment", {"proposals": "dense"}, "proposals is 'dense'; allowed are 'none', 'jitter'"),
        (
            "augment",
            {"pgpg": "x.json"},
            "pgpg is 'x.json' and augment.proposals 'none', which does not use it; type "
            "--augment.proposals pgpg or --augment.pgpg None",
        ),
        (
            "augment",
            {"proposals": "pgpg", "detections": "x.json"},
            "augment.detections is .* type --augment.proposals jitter",
        ),
        (
            "augment",
            {"proposals": "jitter", "jitter": 1.0},
            "a box is moved in one way; type --augment.jitter 0",
        ),
        (
            "augment",
            {"proposals": "pgpg", "pgpg": "x.json", "jitter": 1.0},
            "a box is moved in one way; type --augment.jitter 0",
        ),
        ("train", {"log_every": 0}, r"train.log_every is 0; at least 1 is allowed"),
        ("train", {"steps": 1.5}, r"train.steps is 1.5; a whole number is expected"),
        ("train", {"sigma": "2"}, r"train.sigma is '2'; a number is expected"),
        ("train", {"sigma": 0.0}, r"train.sigma is 0.0; at least 0.001"),
        ("optimiser", {"ema": 1.0}, r"optimiser.ema is 1.0; 0 \(none\) to below 1"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_naming_it(group, change, message):
    config = Config()
    for name, value in change.items():
        # Past the type check that tests run with and a user's Python does not.
        object.__setattr__(getattr(config, group), name, value)
    with pytest.raises(ValueError, match=message):
        configs.checked(config)


def loaded(path: Path, settings: str) -> str:
    """What a user's Python, without type checks, says of a file with these settings."""
    path.write_text(f"from rmpe_jax.config import *\nconfig = Config({settings})\n")
    code = f"from rmpe_jax import config\ntry: print(config.load({str(path)!r}))\n"
    code += "except ValueError as error: print(error)"
    return subprocess.check_output([sys.executable, "-c", code], text=True)


def test_a_misspelt_setting_in_a_file_is_refused_with_the_known_ones(tmp_path):
    said = loaded(tmp_path / "mine.py", "train=TrainConfig(step=3)")
    assert "'step'; TrainConfig has steps, batch_size" in said


def test_a_list_in_a_file_becomes_a_tuple(tmp_path):
    said = loaded(tmp_path / "mine.py", "optimiser=OptimiserConfig(milestones=[0.5])")
    assert "milestones=(0.5,)" in said


@pytest.mark.parametrize(
    "allowed",
    [
        {"jitter": 1.0},
        {"proposals": "pgpg", "jitter": 0.5},
        {"proposals": "pgpg", "pgpg": "x.json", "patch": True},
        {"proposals": "jitter", "detections": "x.json", "samples_per_person": 4},
    ],
)
def test_kinds_of_proposals_that_go_together_are_allowed(allowed):
    augment = dataclasses.replace(Config().augment, **allowed)
    config = dataclasses.replace(Config(), augment=augment)
    assert configs.checked(config) == config
