"""A human detector from nothing to boxes, on drawn people, by the same loop as poses."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import rmpe_jax
from rmpe_jax import human_detector, suppression
from rmpe_jax.config import (
    Config,
    DataConfig,
    DevicesConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
)
from rmpe_jax.data import detection_files, images
from rmpe_jax.data.dataset import prepare
from rmpe_jax.geometry import boxes


def config(folder, steps=60) -> Config:
    """Return a detector that learns twelve drawn photographs by heart."""
    return Config(
        workdir=str(folder / "run"),
        data=DataConfig(
            prepared=str(folder / "prepared"),
            synthetic_train=12,
            synthetic_validation=3,
            synthetic_height=96,
            synthetic_width=128,
        ),
        model=ModelConfig(
            family="detector",
            depth=10,
            head_width=24,
            head_blocks=1,
            input_height=96,
            input_width=96,
        ),
        optimiser=OptimiserConfig(
            name="muon", learning_rate=5e-3, warmup_steps=5, clip_norm=5.0, ema=0.9
        ),
        train=TrainConfig(steps=steps, batch_size=8, log_every=20, checkpoint_every=30),
        devices=DevicesConfig(count=1),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    settings = config(tmp_path_factory.mktemp("detector"))
    return settings, rmpe_jax.train(settings)


def test_it_learns(trained):
    settings, _ = trained
    lines = (Path(settings.workdir) / "metrics.jsonl").read_text().splitlines()
    read = [json.loads(line) for line in lines]
    losses = [line["loss"] for line in read if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    assert {"loss_score", "loss_box", "points_with_a_person"} <= set(read[0])


def test_people_it_has_seen_are_found_better_than_by_chance(trained):
    settings, _ = trained
    detector = human_detector.load(settings.workdir)
    best = []
    for photograph in prepare(settings.data, "train"):
        found = detector(images.pixels(photograph))
        people = photograph.persons.boxes_px
        if len(people):
            overlaps = boxes.iou(people, found.boxes_px)
            best += overlaps.max(axis=1, initial=0).tolist()
    assert np.mean(np.array(best) > 0.4) > 0.5


def test_a_run_leaves_boxes_that_every_command_reads(trained):
    settings, result = trained
    folder = Path(settings.workdir)
    found = detection_files.read(folder / "boxes.json")
    assert result["boxes"] == sum(len(of.score) for of in found.values())
    assert result["images"] == 3 and 0 <= result["recall50"] <= 1
    assert cv2.imread(str(folder / "contact_sheet.png")) is not None
    assert json.loads((folder / "result.json").read_text())["AP"] == result["AP"]


def test_boxes_are_sorted_inside_the_photograph_and_no_more_than_allowed(trained):
    settings, _ = trained
    detector = human_detector.load(settings.workdir)
    for shape in ((40, 200, 3), (300, 50, 3), (96, 96, 3)):
        image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
        found = detector(image)
        assert len(found.score) <= suppression.MOST and found.valid.all()
        assert (np.diff(found.score) <= 0).all() and (found.score <= 1).all()
        height, width, _ = shape
        assert (found.boxes_px >= 0).all()
        assert (found.boxes_px[:, 2:] <= [width, height]).all()


def test_a_stopped_run_goes_on_and_other_data_are_refused(trained, tmp_path):
    settings = replace(config(tmp_path, steps=2), workdir=str(tmp_path / "short"))
    rmpe_jax.train(settings)
    longer = replace(settings, train=replace(settings.train, steps=3))
    assert rmpe_jax.train(longer)["step"] == 3
    other = replace(longer, data=replace(longer.data, seed=9))
    with pytest.raises(ValueError, match="was trained on other data"):
        rmpe_jax.train(other)


def test_a_pose_network_is_no_detector_and_the_other_way_round(trained, tmp_path):
    settings, _ = trained
    with pytest.raises(ValueError, match="is 'detector', which finds boxes and no joints"):
        rmpe_jax.load(settings.workdir)
