"""From photographs on disk to a trained network, its AP and a pose: on 60 real images."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import rmpe_jax
from rmpe_jax.config import Config, DataConfig, TrainConfig
from tests import small

IMAGES = 60


@pytest.fixture(scope="module")
def sixty(data_root, tmp_path_factory) -> Path:
    """A COCO folder with 48 training and 12 validation photographs."""
    folder = tmp_path_factory.mktemp("sixty")
    original = data_root / "coco_pose"
    whole = json.loads((original / "annotations/person_keypoints_val.json").read_text())
    labelled = {a["image_id"] for a in whole["annotations"] if a["num_keypoints"] > 0}
    chosen = [image for image in whole["images"] if image["id"] in labelled][:IMAGES]
    (folder / "annotations").mkdir()
    (folder / "images").symlink_to(original / "images")
    for name, images in (("train", chosen[:48]), ("val", chosen[48:])):
        ids = {image["id"] for image in images}
        part = {
            **whole,
            "images": images,
            "annotations": [a for a in whole["annotations"] if a["image_id"] in ids],
        }
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(part))
    return folder


def config(folder: Path, workdir: Path) -> Config:
    """A small network that learns the training photographs by heart."""
    base = small.config(workdir)
    return replace(
        base,
        data=DataConfig(
            source="coco",
            root=str(folder),
            train_annotations="annotations/train.json",
            train_images="val",
            validation_annotations="annotations/val.json",
            validation_images="val",
            prepared=str(workdir / "prepared"),
        ),
        train=TrainConfig(
            steps=150, batch_size=8, loss="cross_entropy", sigma=1.0, checkpoint_every=150
        ),
    )


def mean_error(joints_px: np.ndarray, person: dict) -> float:
    """Mean distance to the labelled joints, in sides of the box."""
    wanted = np.asarray(person["keypoints"]).reshape(17, 3)
    labelled = wanted[:, 2] > 0
    distance = np.linalg.norm(joints_px - wanted[:, :2], axis=1)[labelled]
    return float(distance.mean() / max(person["bbox"][2:]))


def test_train_evaluate_and_predict_on_real_photographs(sixty, tmp_path):
    settings = config(sixty, tmp_path)
    result = rmpe_jax.train(settings)
    assert result["images"] == 12
    assert cv2.imread(str(tmp_path / "run" / "contact_sheet.png")).shape[2] == 3
    truth = json.loads((sixty / "annotations/val.json").read_text())
    records = json.loads((tmp_path / "run" / "records.json").read_text())
    stored = {record["image_id"] for record in records}
    assert stored <= {image["id"] for image in truth["images"]} and len(stored) > 6

    # On the photographs it has seen, the network does better than pointing at the box's centre.
    model = rmpe_jax.load(settings.workdir)
    seen = json.loads((sixty / "annotations/train.json").read_text())
    names = {image["id"]: image["file_name"] for image in seen["images"]}
    people = [a for a in seen["annotations"] if a["num_keypoints"] > 8][:20]
    found, centre = [], []
    for person in people:
        x, y, width, height = person["bbox"]
        image = rmpe_jax.read_image(sixty / "images" / "val" / names[person["image_id"]])
        poses = model(image, [[x, y, x + width, y + height]])
        found.append(mean_error(poses.joints_px[0], person))
        middle = np.tile([x + width / 2, y + height / 2], (17, 1))
        centre.append(mean_error(middle, person))
    assert np.mean(found) < 0.8 * np.mean(centre)
