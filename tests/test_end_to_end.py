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
        train=TrainConfig(steps=60, batch_size=8, sigma=1.5, log_every=5, checkpoint_every=60),
    )


def test_train_evaluate_and_predict_on_real_photographs(sixty, tmp_path):
    settings = config(sixty, tmp_path)
    result = rmpe_jax.train(settings)
    assert result["images"] == 12
    losses = [
        json.loads(line)["loss"]
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]

    model = rmpe_jax.load(settings.workdir)
    truth = json.loads((sixty / "annotations/val.json").read_text())
    person = next(a for a in truth["annotations"] if a["num_keypoints"] > 8)
    name = next(i["file_name"] for i in truth["images"] if i["id"] == person["image_id"])
    x, y, width, height = person["bbox"]
    image = rmpe_jax.read_image(sixty / "images" / "val" / name)
    poses = model(image, [[x, y, x + width, y + height]])
    assert poses.joints_px.shape == (1, 17, 2)
    grown = [x - width, y - height, x + 2 * width, y + 2 * height]
    inside = (poses.joints_px[0] > grown[:2]) & (poses.joints_px[0] < grown[2:])
    assert inside.all()
    assert cv2.imread(str(tmp_path / "run" / "contact_sheet.png")).shape[2] == 3

    records = json.loads((tmp_path / "run" / "records.json").read_text())
    stored = {r["image_id"] for r in records}
    assert stored <= {i["id"] for i in truth["images"]} and len(stored) > 6
