import numpy as np
import pytest

from rmpe_jax.evaluation import box_map, multi_person
from rmpe_jax.geometry import boxes
from rmpe_jax.skeletons import COCO17, MPII16
from tests.evaluation.scenes import POSETRACK, body, empty, found, photograph

COLUMNS = ["Head", "Sho", "Elb", "Wri", "Hip", "Knee", "Ank", "Total"]
POSE, OTHER = body(COCO17, 100), body(COCO17, 300)


def score(photographs, poses, weights=None) -> dict[str, float]:
    return box_map.table(box_map.judge(photographs, poses, COCO17), weights)


def test_the_annotated_poses_have_precision_one():
    poses = found(COCO17, [(0, OTHER), (0, POSE)])
    figures = score([photograph(1, [POSE, OTHER])], poses)
    assert list(figures) == COLUMNS
    assert set(figures.values()) == {1.0}


def test_another_skeleton_with_the_joints_will_do():
    pose = body(POSETRACK, 100)
    judged = box_map.judge([photograph(1, [pose])], found(POSETRACK, [(0, pose)]), POSETRACK)
    assert set(box_map.table(judged).values()) == {1.0}


def test_a_joint_may_be_a_tenth_of_the_longer_side_off():
    one = photograph(1, [POSE, OTHER])
    radius = 0.1 * boxes.size(one.persons.boxes_px[0]).max()
    assert boxes.size(one.persons.boxes_px[0])[1] == pytest.approx(10 * radius)
    poses = found(
        COCO17, [(0, POSE + [0.99 * radius, 0]), (0, OTHER + [1.01 * radius, 0])], [0.9, 0.8]
    )
    assert score([one], poses)["Total"] == 0.5


def test_total_is_the_mean_of_seven_columns_of_equal_weight():
    pose = POSE.copy()
    pose[COCO17.joints.index("nose")] += 60
    pose[COCO17.joints.index("left_wrist")] += 60
    figures = score([photograph(1, [POSE])], found(COCO17, [(0, pose)]))
    assert figures["Head"] == 0
    assert figures["Wri"] == 0.5
    assert figures["Total"] == pytest.approx(5.5 / 7)


def test_eyes_and_ears_are_not_judged():
    pose = POSE.copy()
    pose[1:5] += 70
    assert score([photograph(1, [POSE])], found(COCO17, [(0, pose)]))["Total"] == 1


def test_a_false_pose_costs_precision():
    poses = found(COCO17, [(0, OTHER), (0, POSE)], score=[0.9, 0.5])
    assert score([photograph(1, [POSE])], poses)["Total"] == 0.5


def unjudged(kind: str):
    visible = np.full((2, 17), 2.0)
    if kind != "crowd":
        visible[1] = 0
    if kind == "only ears":
        visible[1, 3:5] = 2
    return photograph(1, [POSE, OTHER], crowd=[False, kind == "crowd"], visible=visible)


@pytest.mark.parametrize("kind", ["crowd", "no label", "only ears"])
def test_people_who_do_not_count_are_not_missed_and_poses_on_them_are_left_out(kind):
    one = unjudged(kind)
    assert score([one], found(COCO17, [(0, POSE)]))["Total"] == 1
    poses = found(COCO17, [(0, OTHER), (0, POSE)], score=[0.9, 0.5])
    assert score([one], poses)["Total"] == 1
    beside = found(COCO17, [(0, OTHER + [150, 0]), (0, POSE)], score=[0.9, 0.5])
    assert score([one], beside)["Total"] == 0.5


def test_only_people_of_the_same_photograph_excuse_a_pose():
    photographs = [unjudged("crowd"), photograph(2, [POSE])]
    poses = found(COCO17, [(0, POSE), (1, OTHER), (1, POSE)], score=[0.5, 0.9, 0.5])
    np.testing.assert_allclose(score(photographs, poses)["Total"], 2 / 3)


def test_a_pose_that_is_taken_for_somebody_counts_in_a_crowd_too():
    one = photograph(1, [POSE, POSE], crowd=[False, True])
    assert score([one], found(COCO17, [(0, POSE)]))["Total"] == 1


def test_the_centre_is_of_the_joints_that_are_there():
    pose = OTHER.copy()
    pose[COCO17.joints.index("left_ankle")] = [1e5, 1e5]
    poses = found(COCO17, [(0, pose), (0, POSE)], score=[0.9, 0.5])
    assert score([unjudged("crowd")], poses)["Total"] == 0.5
    poses.joint_score[0, COCO17.joints.index("left_ankle")] = -np.inf
    assert score([unjudged("crowd")], poses)["Total"] == 1


def test_joints_that_are_never_labelled_are_in_no_mean():
    visible = np.full((1, 17), 2.0)
    visible[0, 0] = 0
    judged = box_map.judge(
        [photograph(1, [POSE], visible=visible)], found(COCO17, [(0, POSE)]), COCO17
    )
    figures = box_map.table(judged)
    assert np.isnan(figures["Head"])
    assert figures["Total"] == 1
    assert multi_person.never_labelled(judged) == ("nose",)


def test_weights_count_photographs():
    photographs = [photograph(1, [POSE]), photograph(2, [POSE])]
    poses = found(COCO17, [(0, POSE)])
    assert score(photographs, poses, np.array([3, 1]))["Total"] == 0.75


def test_nothing_found_and_nobody_annotated():
    nothing = found(COCO17, [])
    assert set(score([photograph(1, [POSE])], nothing).values()) == {0.0}
    assert np.isnan(list(score([empty(1, COCO17)], nothing).values())).all()


def test_missing_joints_are_named():
    with pytest.raises(ValueError, match="needs the joints nose, which MPII16 lacks"):
        box_map.judge([], found(MPII16, []), MPII16)
    arms = COCO17._replace(name="ARMS", joints=tuple(j for j in COCO17.joints if "knee" not in j))
    with pytest.raises(ValueError, match="left_knee, right_knee, which ARMS lacks"):
        box_map.judge([], found(arms, []), arms)
