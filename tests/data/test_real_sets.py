"""Every known set from its real files, through records on disk, to joints on people."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
import scipy.io

from rmpe_jax.config import DataConfig
from rmpe_jax.data import dataset, images, summary

SMALL = "mmpose_min"
# name: (set, folder, annotations, images, joints)
CASES = {
    "coco": ("coco", "coco_pose", "annotations/person_keypoints_val.json", "val", 17),
    "coco_wholebody": ("coco_wholebody", f"{SMALL}/coco", "test_coco_wholebody.json", ".", 133),
    "crowdpose": ("crowdpose", f"{SMALL}/crowdpose", "test_crowdpose.json", ".", 14),
    "ochuman": ("ochuman", f"{SMALL}/ochuman", "test_ochuman.json", ".", 17),
    "halpe26": ("halpe26", SMALL, "halpe/test_halpe.json", "coco", 26),
    "halpe136": ("halpe136", SMALL, "halpe/test_halpe.json", "coco", 136),
    "posetrack18": ("posetrack18", f"{SMALL}/posetrack18", "annotations/val", ".", 17),
    "posetrack17": ("posetrack17", "bonn_video", "060470979_posetrack17.json", "images", 15),
    "own": ("coco", f"{SMALL}/aic", "test_aic.json", ".", 14),
    "mpii_json": ("mpii", f"{SMALL}/mpii", "test_mpii.json", ".", 16),
    "mpii_small": ("mpii", "mpii_small", "mpii_small.json", "images", 16),
    "lsp": ("lsp", "lsp", "joints.mat", "images", 14),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return str(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(params=CASES)
def case(request, data_root, prepared):
    """The prepared set, its name here and the annotations it was made of."""
    name, folder, annotations, pictures, joints = CASES[request.param]
    config = DataConfig(
        source=name,
        root=str(data_root / folder),
        validation_annotations=annotations,
        validation_images=pictures,
        prepared=prepared,
        missing="error",
    )
    source = dataset.prepare(config, "validation")
    assert len(source.skeleton.joints) == joints
    return source, request.param, data_root / folder / annotations


def people_in(path, name):
    """Return how often each image is annotated, read in another way than the readers do."""
    if name == "lsp":
        assert scipy.io.loadmat(path)["joints"].shape == (3, 14, 2000)
        return Counter({f"im{number:04d}.jpg": 1 for number in range(1001, 2001)})
    if name == "mpii_json":
        return Counter(entry["image"] for entry in json.loads(path.read_text()))
    if name == "posetrack17":
        frames = json.loads(path.read_text())["annolist"]
        return Counter({frame["image"][0]["name"]: len(frame["annorect"]) for frame in frames})
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    total: Counter = Counter()
    for file in files:
        document = json.loads(file.read_text())
        if name == "mpii_small":
            total += Counter({i["image"]: len(i["persons"]) for i in document["images"]})
            continue
        names = {image["id"]: image["file_name"] for image in document["images"]}
        total += Counter(names[person["image_id"]] for person in document["annotations"])
    return total


def test_people_and_images_are_those_of_the_file(case):
    source, name, path = case
    wanted = people_in(path, name)
    found = Counter({e.file_name: len(e.persons.area) for e in source.annotations()})
    assert +found == +wanted
    assert source.skipped == 0 and len(source) >= len(wanted)


def test_a_joint_lies_on_its_persons_picture(case):
    """Inside it, but for the few that annotators put just outside."""
    source, _, _ = case
    inside = outside = 0
    for entry in source.annotations():
        assert entry.height > 0 and entry.width > 0
        joints = entry.persons.joints_px
        points = joints[joints[..., 2] > 0][:, :2]
        good = ((points >= 0) & (points <= [entry.width, entry.height])).all(axis=1)
        inside, outside = inside + good.sum(), outside + (~good).sum()
    assert inside > 40 and outside <= 0.01 * inside


def test_boxes_hold_the_labelled_joints_of_most_people(case):
    source, _, _ = case
    held = []
    for entry in source.annotations():
        for joints, box_px in zip(entry.persons.joints_px, entry.persons.boxes_px, strict=True):
            points = joints[joints[:, 2] > 0, :2]
            if len(points):
                grown = 0.1 * (box_px[2:] - box_px[:2]).max()
                low, high = box_px[:2] - grown, box_px[2:] + grown
                held.append(((points >= low) & (points <= high)).mean())
    assert np.mean(held) > 0.95


def test_pictures_and_table_can_be_made(case):
    source, _, _ = case
    summary.write_contact_sheet(source)
    sheet = cv2.imread(str(source.folder / dataset.CONTACT_SHEET))
    assert sheet is not None and sheet.size > 0
    told = summary.table(source)
    assert f"photographs         {len(source)}" in told and source.fingerprint in told
    assert images.pixels(source[0]).shape[:2] == (source[0].height, source[0].width)


def test_whether_a_joint_is_hidden_is_told_by_the_set_that_says_so(data_root, prepared):
    """In LSP the third row is 1 for a hidden joint."""
    config = DataConfig(source="lsp", root=str(data_root / "lsp"), prepared=prepared)
    source = dataset.prepare(config, "validation")
    hidden = scipy.io.loadmat(data_root / "lsp/joints.mat")["joints"][2, :, 1000:].T
    visibility = np.array([entry.persons.joints_px[0, :, 2] for entry in source.annotations()])
    np.testing.assert_array_equal(visibility == 1, hidden > 0)
    np.testing.assert_array_equal(visibility == 2, hidden == 0)
