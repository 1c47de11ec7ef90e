import json

import numpy as np
import pytest

from rmpe_jax import pose_formats
from rmpe_jax.skeletons import COCO17, MPII16
from rmpe_jax.stream import Result
from tests.test_stream import fake


def result(count: int = 2) -> Result:
    """Return poses whose joint k lies at (10 k, 10 k + 1) with confidence k / 20."""
    poses = fake(np.zeros((4, 4, 3), np.uint8), [[0, 0, 9, 9]] * count)
    steps = np.arange(17, dtype=np.float32)
    joints = np.tile(np.stack([10 * steps, 10 * steps + 1], axis=1), (count, 1, 1))
    poses = poses._replace(joints_px=joints, confidence=np.tile(steps / 20, (count, 1)))
    return Result("a.png", 3, poses, None, 5, np.zeros((4, 6, 3), np.uint8))


def test_coco_has_a_record_a_person_with_a_score_in_0_1_beside_the_raw_one():
    given = result()
    given = given._replace(poses=given.poses._replace(score=np.asarray([0.5, 1.5], np.float32)))
    records = json.loads(json.dumps(pose_formats.recorder("coco", COCO17)(given)))
    assert [(record["score"], record["raw_score"]) for record in records] == [(0.5, 0.5), (1, 1.5)]
    assert {"image_id", "category_id", "keypoints", "bbox", "box_score"} < set(records[0])


@pytest.mark.parametrize(
    ("layout", "people", "key"),
    [
        ("cmu", "bodies", "joints"),
        ("openpose", "people", "pose_keypoints_2d"),
        ("open", "people", "pose_keypoints_2d"),
    ],
)
def test_cmu_and_openpose_have_a_record_an_image(layout, people, key):
    recorded = pose_formats.recorder(layout, COCO17)
    (record,) = json.loads(json.dumps(recorded(result())))
    assert record["image_id"] == "a.png" and record["version"] == 0.1
    assert len(record[people]) == 2
    joints = np.reshape(record[people][0][key], (18, 3))
    for row, name in enumerate(pose_formats.OPENPOSE18):
        if name != "neck":
            place = COCO17.joints.index(name)
            np.testing.assert_allclose(joints[row], [10 * place, 10 * place + 1, place / 20])
    np.testing.assert_allclose(joints[1], [55, 56, 5.5 / 20])  # between joints 5 and 6
    (empty,) = recorded(result(0)._replace(problem="cut off"))
    assert empty[people] == [] and empty["problem"] == "cut off"


def test_the_order_is_that_of_openposes_coco_model():
    """As its documentation lists it: R before L, eyes before ears."""
    short = [name.replace("right_", "R").replace("left_", "L") for name in pose_formats.OPENPOSE18]
    assert " ".join(short) == (
        "nose neck Rshoulder Relbow Rwrist Lshoulder Lelbow Lwrist Rhip Rknee Rankle Lhip Lknee "
        "Lankle Reye Leye Rear Lear"
    )


def test_other_joints_are_refused_with_the_format_that_takes_them():
    with pytest.raises(ValueError, match="MPII16 has no left_ear.*take --format coco"):
        pose_formats.recorder("openpose", MPII16)


def test_every_frame_has_a_record():
    record = json.loads(json.dumps(pose_formats.frame_record(result())))
    assert record == {
        "image_id": "a.png",
        "number": 3,
        "place": 0,
        "height": 4,
        "width": 6,
        "poses": 2,
        "left_out": 5,
        "problem": None,
    }
    record = pose_formats.frame_record(result(0)._replace(image=None, problem="cut off"))
    assert (record["height"], record["poses"], record["problem"]) == (None, 0, "cut off")
