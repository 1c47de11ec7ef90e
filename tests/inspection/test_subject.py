import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rmpe_jax.inspection.subject import subject
from rmpe_jax.pose_nms import RMPE_MPII
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import COCO17, MPII16
from tests.inspection import toy

HEIGHT, WIDTH = 96, 160
BOX = "50,10,130,90"


def one_pose(model, image, boxes):
    """What a network finds: one pose, its first joints unsure."""
    assert model.nms is None, "an NMS would leave unlike poses out"
    confidence = np.linspace(0.1, 1, 17, dtype=np.float32)[None]
    joints = np.arange(34, dtype=np.float32).reshape(1, 17, 2)
    one = np.ones(1, np.float32)
    given = np.asarray(boxes, np.float32)
    return Poses(joints, confidence, confidence, given, one, one, np.ones(1, bool))


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "5.png"
    cv2.imwrite(str(path), toy.subject().image)
    return path


def annotations(folder, people, skeleton=COCO17, name="a/5.png", width=WIDTH):
    """A COCO file of one image with people given as (bbox, keypoints)."""
    records = [
        {"id": row + 1, "image_id": 5, "category_id": 1, "bbox": bbox, "keypoints": joints}
        for row, (bbox, joints) in enumerate(people)
    ]
    document = {
        "images": [{"id": 5, "file_name": name, "height": HEIGHT, "width": width}],
        "annotations": [one | {"area": 9.0, "iscrowd": 0} for one in records],
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.joints)}],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(document))
    return path


def joints_of(skeleton, value=1.0):
    return np.column_stack(
        [np.full((len(skeleton.joints), 2), value), np.full(len(skeleton.joints), 2)]
    )


def chosen(photograph, **given):
    model = replace(toy.model(), nms=RMPE_MPII)
    return subject(model, photograph, **({"boxes": BOX} | given))


def test_without_annotations_the_sure_joints_of_the_networks_own_pose_are_the_target(
    photograph, monkeypatch
):
    monkeypatch.setattr(PoseModel, "__call__", one_pose)
    found = chosen(photograph)
    np.testing.assert_array_equal(found.joints_px[:, :2], np.arange(34).reshape(17, 2))
    np.testing.assert_array_equal(found.joints_px[:, 2] > 0, np.linspace(0.1, 1, 17) > 0.2)
    assert found.annotated_box_px is None and found.target == "the network's own pose"
    np.testing.assert_array_equal(found.box_px, [50, 10, 130, 90])


def test_the_annotated_person_whose_box_is_nearest_is_the_target(photograph, tmp_path):
    people = [
        ([40.0, 8, 80, 80], joints_of(COCO17, 7.0)),
        ([52.0, 12, 80, 80], joints_of(COCO17, 9.0)),
        ([50.0, 10, 80, 80], joints_of(COCO17, 11.0) * 0),  # nearer, but not labelled
    ]
    people = [(box, joints.ravel().tolist()) for box, joints in people]
    found = chosen(photograph, joints=annotations(tmp_path, people))
    np.testing.assert_array_equal(found.joints_px[:, 0], 9)
    np.testing.assert_array_equal(found.annotated_box_px, [52, 12, 132, 92])
    assert found.target == "the joints annotated in people.json"


def test_a_file_is_also_found_by_its_number_and_joints_by_their_names(photograph, tmp_path):
    joints = joints_of(MPII16)
    joints[:, 0] = np.arange(16)
    people = [([50.0, 10, 80, 80], joints.ravel().tolist())]
    path = annotations(tmp_path, people, MPII16, name="another.jpg")
    found = chosen(photograph, joints=path).joints_px
    by_name = dict(zip(COCO17.joints, found, strict=True))
    assert by_name["left_ankle"][0] == MPII16.joints.index("left_ankle")
    assert by_name["nose"].tolist() == [0, 0, 0]  # MPII has none


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_example_out_of_range_says_what_is_allowed(photograph, number):
    with pytest.raises(ValueError, match=f"--example is {number}, and 1 person .*is 1 to 1"):
        chosen(photograph, number=number)


def test_a_photograph_without_people_says_what_to_type(photograph, tmp_path):
    nobody = tmp_path / "boxes.json"
    nobody.write_text("[]")
    with pytest.raises(ValueError, match=r'finds nobody on 5\.png.*--boxes "x0,y0,x1,y1".*whole'):
        chosen(photograph, boxes=str(nobody))


def test_annotations_that_do_not_fit_are_refused(photograph, tmp_path):
    joints = joints_of(COCO17).ravel().tolist()
    far = annotations(tmp_path, [([0.0, 0, 20, 20], joints)])
    with pytest.raises(ValueError, match=r"none of its 1 people .* IoU above 0\.5"):
        chosen(photograph, joints=far)
    wide = annotations(tmp_path, [([50.0, 10, 80, 80], joints)], width=200)
    with pytest.raises(ValueError, match="annotated as 200 x 96 .* the picture is 160 x 96"):
        chosen(photograph, joints=wide)
    other = photograph.rename(tmp_path / "other.png")
    with pytest.raises(ValueError, match=r"no image is called other\.png; it has \['a/5\.png'\]"):
        chosen(other, joints=wide)
