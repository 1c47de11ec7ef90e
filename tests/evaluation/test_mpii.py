import numpy as np
import pytest

from rmpe_jax.evaluation import mpii, multi_person
from rmpe_jax.skeletons import COCO17, MPII16
from tests.evaluation.scenes import body, empty, found, photograph

ALL = {"members": [0, 1], "box_px": [0, 0, 1000, 1000]}
COLUMNS = ["Head", "Sho", "Elb", "Wri", "Hip", "Knee", "Ank", "Total"]


def pair(**facts):
    return photograph(7, [body(MPII16, 100), body(MPII16, 300)], **facts)


def at(name: str) -> int:
    return MPII16.joints.index(name)


def score(photographs, poses, weights=None) -> dict[str, float]:
    return mpii.table(mpii.judge(photographs, poses, MPII16), weights)


def test_the_annotated_poses_have_precision_one():
    poses = found(MPII16, [(0, body(MPII16, 300)), (0, body(MPII16, 100))])
    figures = score([pair(groups=[ALL])], poses)
    assert figures == dict.fromkeys(COLUMNS, 1.0)
    assert list(figures) == COLUMNS


def test_a_joint_may_be_half_a_head_off():
    near, off = body(MPII16, 100), body(MPII16, 300)
    near[:, 0] += 5.0
    off[:, 0] += 5.01
    poses = found(MPII16, [(0, near), (0, off)], score=[0.9, 0.8])
    assert score([pair(groups=[ALL])], poses)["Total"] == 0.5


def test_the_columns_are_means_of_their_joints():
    pose = body(MPII16, 100)
    for name in ("head_top", "left_wrist", "right_knee", "left_knee"):
        pose[at(name)] += 50
    one = photograph(1, [body(MPII16, 100)], groups=[{"members": [0], "box_px": [0, 0, 500, 500]}])
    figures = score([one], found(MPII16, [(0, pose)]))
    expected = [0.5, 1, 1, 0.5, 1, 0, 1, 10 / 14]
    np.testing.assert_allclose(list(figures.values()), expected)


def test_pelvis_and_thorax_are_not_judged_though_they_make_the_centre():
    pose = body(MPII16, 100)
    pose[at("pelvis")] += [40, 0]
    pose[at("thorax")] -= [40, 0]
    one = photograph(1, [body(MPII16, 100)], groups=[{"members": [0], "box_px": [0, 0, 500, 500]}])
    assert score([one], found(MPII16, [(0, pose)]))["Total"] == 1


def test_a_pose_with_its_centre_outside_all_groups_is_not_judged():
    group = {"members": [0, 1], "box_px": [50, 0, 350, 400]}
    right = [(0, body(MPII16, 100)), (0, body(MPII16, 300))]
    far = found(MPII16, [(0, body(MPII16, 800)), *right], score=[0.9, 0.5, 0.5])
    assert score([pair(groups=[group])], far)["Total"] == 1
    near = found(MPII16, [(0, body(MPII16, 200)), *right], score=[0.9, 0.5, 0.5])
    np.testing.assert_allclose(score([pair(groups=[group])], near)["Total"], 2 / 3)


def test_the_edge_of_the_box_belongs_to_the_group():
    pose = body(MPII16, 100)
    x, y = pose[[at("pelvis"), at("thorax")]].mean(axis=0)
    for box, expected in (([x, y, 900, 900], 1), ([x + 0.01, y, 900, 900], 0)):
        one = photograph(1, [pose], groups=[{"members": [0], "box_px": box}])
        assert score([one], found(MPII16, [(0, pose)]))["Total"] == expected


def test_a_pose_in_two_groups_is_judged_in_both():
    groups = [
        {"members": [0], "box_px": [0, 0, 400, 400]},
        {"members": [1], "box_px": [0, 0, 400, 400]},
    ]
    poses = found(MPII16, [(0, body(MPII16, 100)), (0, body(MPII16, 300))], score=[0.9, 0.8])
    judged = mpii.judge([pair(groups=groups)], poses, MPII16)
    assert {len(joint.image) for joint in judged.rankings} == {4}
    # By score: true in the first group, false in the second, false, true.
    np.testing.assert_allclose(mpii.table(judged)["Total"], (1 + 2 / 4) / 2)


def test_people_of_no_group_are_not_needed():
    judged = mpii.judge(
        [pair(groups=[{"members": [1], "box_px": [250, 0, 350, 400]}])],
        found(MPII16, [(0, body(MPII16, 300))]),
        MPII16,
    )
    assert mpii.table(judged)["Total"] == 1


def test_members_without_a_head_size_are_left_out_and_counted():
    for size in (np.nan, 0.0):
        one = pair(groups=[ALL, ALL], head=[size, 10.0])
        poses = found(MPII16, [(0, body(MPII16, 300))])
        judged = mpii.judge([one], poses, MPII16)
        assert judged.left_out["people without head size"] == 1
        both = found(MPII16, [(0, body(MPII16, 100)), (0, body(MPII16, 300))])
        assert mpii.table(mpii.judge([one], both, MPII16))["Total"] == 1, "nor is theirs false"
        assert judged.rankings[0].needed.tolist() == [[2]]
        assert mpii.table(judged)["Total"] == 1


def test_the_head_of_each_member_is_its_own():
    off = body(MPII16, 100)
    off[:, 0] += 8
    poses = found(MPII16, [(0, off), (0, body(MPII16, 300))])
    assert score([pair(groups=[ALL], head=[20.0, 10.0])], poses)["Total"] == 1
    assert score([pair(groups=[ALL], head=[10.0, 20.0])], poses)["Total"] == 0.25


def test_joints_that_are_never_labelled_are_in_no_mean():
    visible = np.full((1, 16), 2.0)
    visible[0, [at("head_top"), at("left_knee"), at("right_knee")]] = 0
    pose = body(MPII16, 100)
    group = {"members": [0], "box_px": [0, 0, 500, 500]}
    one = photograph(1, [pose], visible=visible, groups=[group])
    judged = mpii.judge([one], found(MPII16, [(0, pose)]), MPII16)
    figures = mpii.table(judged)
    assert figures["Head"] == figures["Total"] == 1
    assert np.isnan(figures["Knee"])
    assert multi_person.never_labelled(judged) == ("right_knee", "left_knee", "head_top")


def test_hidden_joints_are_labelled():
    group = {"members": [0], "box_px": [0, 0, 500, 500]}
    one = photograph(1, [body(MPII16, 100)], visible=np.ones((1, 16)), groups=[group])
    assert score([one], found(MPII16, [(0, body(MPII16, 100))]))["Total"] == 1


def test_weights_count_photographs_and_not_groups():
    groups = [
        {"members": [0], "box_px": [50, 0, 150, 400]},
        {"members": [1], "box_px": [250, 0, 350, 400]},
    ]
    photographs = [pair(groups=groups), empty(8, MPII16, groups=[]), pair(groups=[ALL])]
    poses = found(MPII16, [(0, body(MPII16, 100)), (2, body(MPII16, 100)), (2, body(MPII16, 300))])
    assert score(photographs, poses)["Total"] == 0.75
    assert score(photographs, poses, np.array([1, 1, 0]))["Total"] == 0.5
    assert score(photographs, poses, np.array([0, 1, 1]))["Total"] == 1
    np.testing.assert_allclose(score(photographs, poses, np.array([2, 0, 1]))["Total"], 4 / 6)


def test_members_are_rows_of_their_own_photograph():
    first = photograph(1, [body(MPII16, 600)], groups=[])
    poses = found(MPII16, [(1, body(MPII16, 100)), (1, body(MPII16, 300))])
    assert score([first, pair(groups=[ALL])], poses)["Total"] == 1


def test_nothing_found_and_nobody_annotated():
    nothing = found(MPII16, [])
    assert set(score([pair(groups=[ALL])], nothing).values()) == {0.0}
    assert np.isnan(list(score([empty(1, MPII16, groups=[])], nothing).values())).all()
    assert np.isnan(list(score([], nothing).values())).all()


def test_a_skeleton_without_pelvis_and_thorax_has_its_centre_by_hips_and_shoulders():
    keep = [row for row, name in enumerate(MPII16.joints) if name not in ("pelvis", "thorax")]
    fewer = MPII16._replace(name="FEWER", joints=tuple(MPII16.joints[row] for row in keep))
    torso = [fewer.joints.index(name) for name in mpii.TORSO]
    pose = body(MPII16, 100)[keep]
    x, y = pose[torso].mean(axis=0)
    for box, expected in (([x - 1, y - 1, x + 1, y + 1], 1), ([x + 1, y, 900, 900], 0)):
        one = photograph(1, [pose], groups=[{"members": [0], "box_px": box}])
        judged = mpii.judge([one], found(fewer, [(0, pose)]), fewer)
        assert mpii.table(judged)["Total"] == expected


def test_a_skeleton_without_heads_is_refused_by_name():
    with pytest.raises(ValueError, match="upper_neck, head_top, which COCO17 lacks"):
        mpii.judge([], found(COCO17, []), COCO17)


def test_photographs_that_say_no_groups_are_refused():
    with pytest.raises(ValueError, match="none of the 2 photographs says .*mAP@0.1box"):
        mpii.judge([pair(), pair()], found(MPII16, []), MPII16)


def test_photographs_that_say_no_groups_are_left_out_beside_others_and_counted():
    poses = found(MPII16, [(0, body(MPII16, 100)), (2, body(MPII16, 100)), (2, body(MPII16, 300))])
    judged = mpii.judge([pair(), pair(), pair(groups=[ALL])], poses, MPII16)
    assert judged.left_out["photographs without groups"] == 2
    assert mpii.table(judged)["Total"] == 1
    assert judged.rankings[0].needed.tolist() == [[0, 0, 2]]


@pytest.mark.parametrize("member", [-1, 2])
def test_members_that_are_not_there_are_refused(member):
    group = {"members": [member], "box_px": [0, 0, 9, 9]}
    with pytest.raises(ValueError, match="image 7.*2 people"):
        mpii.judge([pair(groups=[group])], found(MPII16, []), MPII16)


def test_photographs_of_another_skeleton_are_refused():
    one = photograph(3, [body(COCO17, 100)], groups=[])
    with pytest.raises(ValueError, match="image 3: people of 17 joints.*MPII16 has 16"):
        mpii.judge([one], found(MPII16, []), MPII16)
