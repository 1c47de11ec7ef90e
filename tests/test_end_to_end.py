"""From photographs on disk to a trained network, its AP and a pose: on 60 real images."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import rmpe_jax
from rmpe_jax.config import Config, DataConfig, SetConfig, TrainConfig
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


def test_two_other_sets_are_mixed_trained_on_and_scored_by_their_own_metrics(data_root, tmp_path):
    """A part of MPII, of which some images have groups of people, and CrowdPose in its joints."""
    whole = json.loads((data_root / "mpii_small/mpii_small.json").read_text())
    complete = [image for image in whole["images"] if image["in_rmpe_multi_val"]][:5]
    others = [image for image in whole["images"] if not image["in_rmpe_multi_val"]][:7]
    part = tmp_path / "mpii"
    part.mkdir()
    (part / "images").symlink_to(data_root / "mpii_small/images")
    (part / "some.json").write_text(json.dumps(whole | {"images": complete + others}))
    crowdpose = SetConfig(
        source="crowdpose",
        root=str(data_root / "mmpose_min/crowdpose"),
        train_annotations="test_crowdpose.json",
        train_images=".",
        weight=0.5,
    )
    base = small.config(tmp_path, steps=2)
    mixed = DataConfig(
        source="mpii",
        root=str(part),
        train_annotations="some.json",
        train_images="images",
        validation_annotations="some.json",
        validation_images="images",
        also=(crowdpose,),
        prepared=base.data.prepared,
    )
    result = rmpe_jax.train(replace(base, data=mixed))
    assert result["skeleton"] == "MPII16" and result["data_set"] == "mpii"
    assert result["images"] == 12 and result["MPII mAP"].keys() >= {"Head", "Ank", "Total"}
    assert result["left_out"]["MPII mAP"]["photographs without groups"] == 7
    assert 0 <= result["PCKh@0.5"]["mean_hrnet_count_weighted"] < 0.5
    model = rmpe_jax.load(tmp_path / "run")
    assert model.skeleton == rmpe_jax.MPII16
    poses = model(np.zeros((64, 64, 3), np.uint8), [[5, 5, 60, 60]])
    assert poses.joints_px.shape == (1, 16, 2)
