import numpy as np
import pytest

from rmpe_jax.evaluation import multi_person, posetrack
from rmpe_jax.evaluation.ignore_regions import ignored
from rmpe_jax.skeletons import COCO17, Skeleton
from tests.evaluation.scenes import POSETRACK, body, empty, found, photograph

COLUMNS = ["Head", "Sho", "Elb", "Wri", "Hip", "Knee", "Ank", "Total"]


def frame(**settings):
    return photograph(1, [body(POSETRACK, 100), body(POSETRACK, 300)], **settings)


def both(score=None):
    return found(POSETRACK, [(0, body(POSETRACK, 100)), (0, body(POSETRACK, 300))], score)


def score(frames, poses, weights=None) -> dict[str, float]:
    return posetrack.table(posetrack.judge(frames, poses, POSETRACK), weights)


def square(low: float, high: float) -> list[list[float]]:
    return [[low, 0], [high, 0], [high, 400], [low, 400]]


def test_the_annotated_poses_have_precision_one():
    figures = score([frame()], both())
    assert list(figures) == COLUMNS
    assert set(figures.values()) == {1.0}


def test_head_is_three_joints_and_total_fifteen():
    poses = both()
    poses.joints_px[:, POSETRACK.joints.index("nose")] += 30
    figures = score([frame()], poses)
    np.testing.assert_allclose([figures["Head"], figures["Total"]], [2 / 3, 14 / 15])
    assert figures["Sho"] == figures["Ank"] == 1


def test_a_joint_may_be_half_a_head_off():
    poses = both([0.9, 0.8])
    poses.joints_px[0, :, 0] += 5.0
    poses.joints_px[1, :, 0] += 5.01
    assert score([frame()], poses)["Total"] == 0.5


def test_frames_without_people_are_left_out_with_their_poses():
    frames = [frame(), empty(2, POSETRACK)]
    poses = found(
        POSETRACK,
        [(0, body(POSETRACK, 100)), (0, body(POSETRACK, 300)), (1, body(POSETRACK, 100))],
        score=[0.5, 0.5, 0.9],
    )
    assert score(frames, poses)["Total"] == 1


def test_a_frame_whose_people_have_no_label_is_judged():
    frames = [frame(), frame(visible=np.zeros((2, 15)))]
    poses = found(
        POSETRACK,
        [(0, body(POSETRACK, 100)), (0, body(POSETRACK, 300)), (1, body(POSETRACK, 100))],
        score=[0.5, 0.5, 0.9],
    )
    np.testing.assert_allclose(score(frames, poses)["Total"], 2 / 3)


def test_annotated_and_found_points_in_ignore_regions_are_removed():
    one = frame(ignore_px=[square(50, 150)])
    alone = found(POSETRACK, [(0, body(POSETRACK, 300))])
    assert score([one], alone)["Total"] == 1  # the other person is not missed
    assert score([one], both([0.9, 0.5]))["Total"] == 1  # and its pose is not false
    assert score([frame()], alone)["Total"] == 0.5
    assert score([frame(ignore_px=[square(500, 600)])], alone)["Total"] == 0.5


def test_ignore_regions_are_those_of_the_own_frame():
    frames = [frame(ignore_px=[square(50, 150)]), frame(ignore_px=[square(250, 350)])]
    poses = found(POSETRACK, [(0, body(POSETRACK, 300)), (1, body(POSETRACK, 100))])
    assert score(frames, poses)["Total"] == 1
    assert score(frames[::-1], poses)["Total"] == 0


def test_a_joint_without_a_score_ranks_last_and_is_there():
    twice = found(POSETRACK, [(0, body(POSETRACK, 100))] * 2 + [(0, body(POSETRACK, 300))])
    twice.joint_score[1] = np.nan  # the false pose
    assert score([frame()], twice)["Total"] == 1
    twice.joint_score[1], twice.joint_score[2] = 0.9, np.nan
    np.testing.assert_allclose(
        score([frame()], twice)["Total"], (1 / 2 * 2 + 2 / 3 * 2) / 4 + 1 / 12
    )


def test_a_joint_of_score_minus_infinity_is_not_there():
    poses = both()
    poses.joint_score[0] = -np.inf
    judged = posetrack.judge([frame()], poses, POSETRACK)
    assert {len(joint.image) for joint in judged.rankings} == {1}


@pytest.mark.parametrize("size", [np.nan, 0.0])
def test_people_without_a_head_size_are_left_out_and_counted(size):
    judged = posetrack.judge(
        [frame(head=[10.0, size])], found(POSETRACK, [(0, body(POSETRACK, 100))]), POSETRACK
    )
    assert judged.left_out["people without head size"] == 1
    assert posetrack.table(judged)["Total"] == 1


def test_joints_that_the_skeleton_lacks_are_nan_and_in_no_mean():
    keep = [row for row, name in enumerate(POSETRACK.joints) if "ankle" not in name]
    keep = [row for row in keep if POSETRACK.joints[row] not in ("nose", "head_top")]
    fewer = POSETRACK._replace(name="FEWER", joints=tuple(POSETRACK.joints[row] for row in keep))
    pose = body(POSETRACK, 100)[keep]
    judged = posetrack.judge([photograph(1, [pose])], found(fewer, [(0, pose)]), fewer)
    assert [len(joint.image) for joint in judged.rankings] == [
        int(name in fewer.joints) for name in posetrack.JOINTS
    ]
    figures = posetrack.table(judged)
    assert np.isnan(figures.pop("Ank"))
    assert set(figures.values()) == {1.0}
    assert set(multi_person.never_labelled(judged)) == {
        "nose",
        "head_top",
        "left_ankle",
        "right_ankle",
    }


def test_weights_count_frames():
    frames = [frame(), frame()]
    poses = both()
    assert score(frames, poses)["Total"] == 0.5
    assert score(frames, poses, np.array([1, 0]))["Total"] == 1
    assert score(frames, poses, np.array([3, 1]))["Total"] == 0.75


def test_nothing_found_and_nobody_annotated():
    nothing = found(POSETRACK, [])
    assert set(score([frame()], nothing).values()) == {0.0}
    assert np.isnan(list(score([empty(1, POSETRACK)], nothing).values())).all()


def test_a_skeleton_with_none_of_the_joints_is_refused():
    tail = Skeleton("TAIL", ("tail",), (), (), (0.1,), ())
    with pytest.raises(ValueError, match="TAIL has none of the joints"):
        posetrack.judge([], found(tail, []), tail)


def test_coco_people_can_be_judged_by_the_joints_they_have():
    pose = body(COCO17, 100)
    figures = posetrack.table(
        posetrack.judge([photograph(1, [pose])], found(COCO17, [(0, pose)]), COCO17)
    )
    assert set(figures.values()) == {1.0}


def even_odd(x: float, y: float, polygon) -> bool:
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def test_points_are_in_polygons_as_plain_loops_find():
    rng = np.random.default_rng(0)
    frames = [
        empty(row, POSETRACK, ignore_px=rng.uniform(0, 100, (row, 3 + row, 2)).tolist())
        for row in range(4)
    ]
    points, image = rng.uniform(0, 100, (60, 5, 2)), rng.integers(0, 4, 60)
    expected = [
        [any(even_odd(x, y, p) for p in frames[row].facts["ignore_px"]) for x, y in pose]
        for row, pose in zip(image, points, strict=True)
    ]
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_array_equal(ignored(points, image, frames), expected)


def test_polygons_of_less_than_three_corners_hold_nothing():
    frames = [empty(1, POSETRACK, ignore_px=[[], [[0, 0]], [[0, 0], [9, 9]], square(0, 9)])]
    points = np.array([[[5.0, 5.0], [20.0, 5.0]]])
    assert ignored(points, np.array([0]), frames).tolist() == [[True, False]]
    frames[0].facts["ignore_px"].pop()
    assert ignored(points, np.array([0]), frames).tolist() == [[False, False]]
