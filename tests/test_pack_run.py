from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from rmpe_jax import human_detector, packed, predict
from rmpe_jax.checkpoint import CheckpointError, Checkpoints
from rmpe_jax.config import Config, ModelConfig, to_dict
from rmpe_jax.models.build import build, build_detector
from rmpe_jax.models.variables import initialise
from rmpe_jax.pack_run import pack_run
from rmpe_jax.skeletons import COCO17

IMAGE = np.random.default_rng(0).integers(0, 255, (70, 90, 3)).astype(np.uint8)
SMALL = {"depth": 10, "head_width": 16, "input_height": 64, "input_width": 64}


def run(folder: Path, config: Config) -> Path:
    """Leave a checkpoint as training does, of a network that has learned nothing."""
    if config.model.family == "detector":
        module = build_detector(config.model)
    else:
        module = build(config.model, len(COCO17.joints))
    variables = initialise(jax.random.key(0), module, config.model)
    checkpoints = Checkpoints(folder / "checkpoints")
    meta = {"config": to_dict(config), "skeleton": COCO17._asdict(), "data_fingerprint": "f"}
    checkpoints.save(7, {"step": np.int32(7)}, variables, meta)
    checkpoints.close()
    return folder


@pytest.fixture
def pose_run(tmp_path):
    model = ModelConfig(family="pyramid", trunk_stages=2, trunk_weights="/home/me/w.npz", **SMALL)
    config = Config(workdir="/home/me/run", model=model)
    config = replace(config, data=replace(config.data, root="/home/me/data"))
    return run(tmp_path / "run", config)


def test_a_pose_network_is_the_same_from_its_file(pose_run, tmp_path):
    size = pack_run(pose_run, tmp_path / "pose.safetensors")
    assert size == (tmp_path / "pose.safetensors").stat().st_size
    before, after = predict.load(pose_run), predict.load(tmp_path / "pose.safetensors")
    assert after.skeleton == COCO17
    assert after.meta["step"] == 7
    boxes = [[5, 5, 60, 65]]
    np.testing.assert_allclose(
        before(IMAGE, boxes).joints_px, after(IMAGE, boxes).joints_px, atol=0.5
    )


def test_a_detector_is_the_same_from_its_file(tmp_path):
    folder = run(tmp_path / "run", Config(model=ModelConfig(family="detector", **SMALL)))
    pack_run(folder, tmp_path / "boxes.safetensors")
    before = human_detector.load(folder)
    after = human_detector.load(tmp_path / "boxes.safetensors")
    for name, old in jax.tree_util.tree_leaves_with_path(before.variables):
        new = dict(jax.tree_util.tree_leaves_with_path(after.variables))[name]
        np.testing.assert_allclose(old, new, rtol=5e-4, atol=1e-6)
    assert after.config.model == before.config.model


def test_no_folder_of_this_machine_is_in_the_file(pose_run, tmp_path):
    pack_run(pose_run, tmp_path / "pose.safetensors")
    assert b"home" not in (tmp_path / "pose.safetensors").read_bytes()


def test_it_goes_where_a_pose_network_is_wanted_and_nowhere_else(pose_run, tmp_path):
    pack_run(pose_run, tmp_path / "pose.safetensors")
    with pytest.raises(ValueError, match="which finds poses"):
        human_detector.load(tmp_path / "pose.safetensors")


def test_a_file_of_another_network_is_named(pose_run, tmp_path):
    path = tmp_path / "pose.safetensors"
    pack_run(pose_run, path)
    variables, meta = packed.read(path)
    del variables["params"]["trunk"]
    packed.write(path, variables, meta)
    with pytest.raises(CheckpointError, match="pose.safetensors.*belongs to another network"):
        predict.load(path)


def test_the_suffix_is_checked(pose_run, tmp_path):
    with pytest.raises(ValueError, match="must end in .safetensors"):
        pack_run(pose_run, tmp_path / "pose.npz")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        pack_run(tmp_path, tmp_path / "pose.safetensors")
