import json

import numpy as np
import pytest

from rmpe_jax.evaluation import given_persons, single_person, sticks
from rmpe_jax.evaluation.single_person import Counts
from rmpe_jax.skeletons import COCO17, MPII16
from tests.evaluation.scenes import body, empty, found, photograph

GOLDEN = ("bearpaw-hg_s2_b1", "tompson")
LSP = MPII16._replace(
    name="LSP", joints=tuple(j for j in MPII16.joints if j not in ("pelvis", "thorax"))
)


@pytest.fixture(scope="module", params=GOLDEN)
def golden(request, data_root):
    folder = data_root / "golden"
    truth = np.load(folder / "mpii_pckh_ground_truth.npz")
    joints = np.load(folder / "mpii_pckh_predictions.npz")[request.param]
    expected = json.loads((folder / "mpii_pckh_metrics.json").read_text())
    arrays = (joints, truth["pos_gt"], truth["visible"], truth["headsize"])
    joints, pos, visible, head = arrays
    given = (joints.astype(np.float64), pos.astype(np.float64), visible, head)
    return given, expected["results"][request.param]


def test_pckh_of_public_predictions_is_that_of_the_reference_programs(golden):
    given, expected = golden
    counts = single_person.pckh_all(*given)
    per_joint = 100 * single_person.share(counts.half)
    np.testing.assert_allclose(per_joint, expected["per_joint"], rtol=0, atol=1e-6)
    table = single_person.pckh_table(counts, MPII16)
    compared = [name for name in expected if not name.startswith("per_joint")]
    assert len(compared) == 10
    for name in compared:
        assert 100 * table[name] == pytest.approx(expected[name], abs=1e-6), name
    assert table["mean_official_total"] == table["mean_hrnet_count_weighted"]
    neck_and_top = np.mean([expected["per_joint"][8], expected["per_joint"][9]])
    assert 100 * table["official_head"] == pytest.approx(neck_and_top)
    assert counts.half.labelled.sum() == 44240
    assert counts.half.left_out.sum() == 0


def test_what_hrnet_prints_for_a_tenth_is_read_at_eleven_hundredths(golden):
    given, expected = golden
    table = single_person.pckh_table(single_person.pckh_all(*given), MPII16)
    joints, truth, labelled, head = given
    distance = np.linalg.norm(joints - truth, axis=2) / head[:, None]
    at = [row for row in range(16) if row not in (6, 7)]
    near = (distance <= np.arange(0, 0.51, 0.01)[11]) & labelled
    assert table["mean_hrnet_at_0p11"] == near[:, at].sum() / labelled[:, at].sum()
    assert table["mean_hrnet_at_0p11"] > table["mean_at_0p1"] + 0.03


def test_upper_body_pools_arms(golden):
    (joints, truth, labelled, head), _ = golden
    table = single_person.pckh_table(single_person.pckh_all(joints, truth, labelled, head), MPII16)
    near = (np.linalg.norm(joints - truth, axis=2) / head[:, None] <= 0.5) & labelled
    arms = [10, 11, 12, 13, 14, 15]
    assert table["upper_body"] == near[:, arms].sum() / labelled[:, arms].sum()


def test_a_joint_at_exactly_half_a_head_is_right_for_hrnet_and_not_for_pytorch_pose():
    truth = np.zeros((1, 16, 2))
    joints = truth + [3.0, 4.0]
    given = (joints, truth, np.ones((1, 16), bool), np.array([10.0]))
    table = single_person.pckh_table(single_person.pckh_all(*given), MPII16)
    assert table["mean_hrnet_count_weighted"] == table["head"] == table["ankle"] == 1
    assert table["mean_pytorch_pose_unweighted"] == 0
    assert table["mean_at_0p1"] == 0
    exactly = (truth + [0.6, 0.8], *given[1:])  # 0.1 heads, and a rounding
    assert single_person.pckh(*exactly, threshold=0.1).hits.sum() == 16


def test_the_two_means_weigh_joints_otherwise():
    truth, labelled = np.zeros((4, 16, 2)), np.ones((4, 16), bool)
    labelled[1:, 0] = False
    joints = truth.copy()
    joints[:, 0] = 99
    given = (joints, truth, labelled, np.full(4, 10.0))
    table = single_person.pckh_table(single_person.pckh_all(*given), MPII16)
    assert table["mean_hrnet_count_weighted"] == pytest.approx(52 / 53)
    assert table["mean_pytorch_pose_unweighted"] == pytest.approx(13 / 14)
    assert table["ankle"] == 0.5


def test_pelvis_and_thorax_are_in_no_mean():
    truth = np.zeros((1, 16, 2))
    joints = truth.copy()
    joints[:, 6:8] = 99
    given = (joints, truth, np.ones((1, 16), bool), np.array([10.0]))
    table = single_person.pckh_table(single_person.pckh_all(*given), MPII16)
    assert set(table.values()) == {1.0}


@pytest.mark.parametrize("size", [np.nan, 0.0])
def test_people_without_a_head_size_are_left_out_and_counted(size):
    truth = np.zeros((3, 16, 2))
    head = np.array([10.0, size, 10.0])
    counts = single_person.pckh(truth, truth, np.ones((3, 16), bool), head)
    assert counts.left_out.tolist() == [0, 1, 0]
    assert counts.labelled.sum(axis=1).tolist() == [16, 0, 16]
    assert counts.hits.sum(axis=1).tolist() == [16, 0, 16]


def test_joints_without_a_label_or_not_found_are_no_hits():
    truth, labelled = np.zeros((1, 16, 2)), np.ones((1, 16), bool)
    labelled[0, :4] = False
    joints = truth.copy()
    joints[0, 10:] = np.nan
    counts = single_person.pckh(joints, truth, labelled, np.array([10.0]))
    assert counts.hits.tolist() == [[0] * 4 + [1] * 6 + [0] * 6]
    assert counts.labelled.tolist() == [[0] * 4 + [1] * 12]
    assert np.isnan(single_person.share(counts)[:4]).all()


def test_nobody_is_no_number_and_no_warning():
    nobody = (np.zeros((0, 16, 2)), np.zeros((0, 16, 2)), np.zeros((0, 16), bool), np.zeros(0))
    table = single_person.pckh_table(single_person.pckh_all(*nobody), MPII16)
    assert np.isnan(list(table.values())).all()


def test_weights_are_rows_repeated():
    rng = np.random.default_rng(0)
    counts = Counts(rng.integers(0, 5, (6, 16)), np.full((6, 16), 5), np.zeros(6, int))
    weights = np.array([0, 1, 2, 0, 3, 1])
    repeated = Counts(*(np.repeat(field, weights, axis=0) for field in counts))
    np.testing.assert_array_equal(
        single_person.share(counts, weights), single_person.share(repeated)
    )
    pckh = single_person.Pckh(counts, counts, counts, counts)
    assert single_person.pckh_table(pckh, MPII16, weights) == single_person.pckh_table(
        single_person.Pckh(repeated, repeated, repeated, repeated), MPII16
    )
    assert single_person.pck_table(counts, MPII16, weights) == single_person.pck_table(
        repeated, MPII16
    )


def test_a_skeleton_without_heads_has_no_pckh():
    counts = Counts(np.zeros((1, 17), int), np.zeros((1, 17), int), np.zeros(1, int))
    with pytest.raises(ValueError, match="PCKh needs the joints upper_neck, head_top"):
        single_person.pckh_table(single_person.Pckh(counts, counts, counts, counts), COCO17)


def lsp(off: dict[str, float] | None = None):
    """Return (joints, truth, labelled) of one person of LSP with some joints that much too low."""
    truth = body(LSP, 100)[None]
    joints = truth.copy()
    for name, down in (off or {}).items():
        joints[0, LSP.joints.index(name), 1] += down
    return joints, truth, np.ones((1, 14), bool)


def torso(truth) -> float:
    ends = [LSP.joints.index(name) for name in ("left_shoulder", "right_hip")]
    return float(np.linalg.norm(truth[0, ends[0]] - truth[0, ends[1]]))


def test_pck_is_a_fifth_of_the_torso():
    _, truth, _ = lsp()
    length = torso(truth)
    given = lsp({"left_wrist": 0.199 * length, "right_knee": 0.201 * length})
    hits = dict(zip(LSP.joints, single_person.pck(*given, LSP).hits[0].tolist(), strict=True))
    assert [name for name, hit in hits.items() if not hit] == ["right_knee"]
    assert single_person.pck(*given, LSP, threshold=0.21).hits.sum() == 14


def test_pck_table_by_hand():
    given = lsp({"right_knee": 99, "head_top": 99})
    table = single_person.pck_table(single_person.pck(*given, LSP), LSP)
    expected = {"Head": 0.5, "Sho": 1, "Elb": 1, "Wri": 1, "Hip": 1, "Knee": 0.5, "Ank": 1}
    assert table == {**expected, "Total": pytest.approx(12 / 14)}


def test_pck_of_a_skeleton_without_a_head_has_no_head():
    pose = body(COCO17, 100)[None]
    counts = single_person.pck(pose, pose, np.ones((1, 17), bool), COCO17)
    table = single_person.pck_table(counts, COCO17)
    assert np.isnan(table.pop("Head"))
    assert set(table.values()) == {1.0}


@pytest.mark.parametrize("lost", ["left_shoulder", "right_hip", "both in one place"])
def test_people_without_a_torso_are_left_out_of_pck(lost):
    joints, truth, labelled = lsp()
    if lost in LSP.joints:
        labelled[0, LSP.joints.index(lost)] = False
    else:
        truth[0, LSP.joints.index("right_hip")] = truth[0, LSP.joints.index("left_shoulder")]
    counts = single_person.pck(joints, truth, labelled, LSP)
    assert (counts.left_out.sum(), counts.labelled.sum()) == (1, 0)


def test_pcp_has_ten_sticks_and_nine_without_a_head():
    assert len(sticks.ends(LSP)) == 10
    assert sticks.ends(LSP)["head"] == (("upper_neck",), ("head_top",))
    assert len(sticks.ends(COCO17)) == 9


@pytest.mark.parametrize("neck", ["upper_neck", "neck", "head_bottom"])
def test_the_neck_goes_by_its_names(neck):
    joints = tuple(neck if name == "upper_neck" else name for name in LSP.joints)
    assert sticks.ends(LSP._replace(joints=joints))["head"] == ((neck,), ("head_top",))


def length(truth, a: str, b: str) -> float:
    ends = [LSP.joints.index(name) for name in (a, b)]
    return float(np.linalg.norm(truth[0, ends[0]] - truth[0, ends[1]]))


@pytest.mark.parametrize(("share", "right"), [(0.499, True), (0.501, False)])
@pytest.mark.parametrize("end", ["right_elbow", "right_wrist"])
def test_both_ends_of_a_stick_must_be_within_half_its_length(end, share, right):
    _, truth, _ = lsp()
    off = share * length(truth, "right_elbow", "right_wrist")
    hits = sticks.pcp(*lsp({end: off}), LSP).hits[0]
    found_sticks = dict(zip(sticks.ends(LSP), hits.tolist(), strict=True))
    assert bool(found_sticks["right_lower_arm"]) == right
    assert found_sticks["left_lower_arm"] == found_sticks["head"] == 1


def test_the_torso_is_between_the_middles():
    given = lsp({"right_hip": 200, "left_hip": -200})
    hits = sticks.pcp(*given, LSP).hits[0].tolist()
    found_sticks = dict(zip(sticks.ends(LSP), hits, strict=True))
    assert found_sticks["torso"] == 1
    assert found_sticks["left_upper_leg"] == found_sticks["right_upper_leg"] == 0


def test_a_stick_is_labelled_if_all_its_joints_are():
    joints, truth, labelled = lsp()
    labelled[0, LSP.joints.index("left_hip")] = False
    known = sticks.pcp(joints, truth, labelled, LSP).labelled[0].tolist()
    names = [n for n, k in zip(sticks.ends(LSP), known, strict=True) if not k]
    assert names == ["left_upper_leg", "torso"]


def test_pcp_table_by_hand():
    counts = sticks.pcp(*lsp({"right_ankle": 500, "head_top": 500}), LSP)
    assert sticks.pcp_table(counts, LSP) == {
        "Torso": 1,
        "Upper leg": 1,
        "Lower leg": 0.5,
        "Upper arm": 1,
        "Lower arm": 1,
        "Head": 0,
        "Total": 0.8,
    }


def test_pcp_and_pck_name_what_a_skeleton_lacks():
    tail = COCO17._replace(name="NO_ELBOWS", joints=COCO17.joints[:7] + COCO17.joints[9:])
    counts = Counts(np.zeros((1, 15), int), np.zeros((1, 15), int), np.zeros(1, int))
    with pytest.raises(ValueError, match="PCP needs the joints left_elbow, right_elbow"):
        sticks.ends(tail)
    with pytest.raises(ValueError, match="PCK needs the joints left_elbow, right_elbow"):
        single_person.pck_table(counts, tail)
    headless = COCO17._replace(name="ONE_HIP", joints=COCO17.joints[:12])
    with pytest.raises(ValueError, match="PCK needs the joints right_hip"):
        single_person.pck(*(np.zeros((1, 12, 2)),) * 2, np.ones((1, 12), bool), headless)


A, B = body(MPII16, 100), body(MPII16, 300)


def test_a_pose_is_that_of_the_person_it_was_made_for():
    photographs = [photograph(1, [A, B], first_id=5), photograph(2, [B], first_id=9)]
    poses = found(MPII16, [(1, B), (0, B), (0, A)], person_id=[9, 6, 5])
    counts = given_persons.pckh(photographs, poses, MPII16)
    assert counts.half.hits.sum(axis=1).tolist() == [32, 16]
    assert single_person.pckh_table(counts, MPII16)["mean_at_0p1"] == 1
    assert given_persons.pck(photographs, poses, MPII16).hits.sum(axis=1).tolist() == [32, 16]
    assert given_persons.pcp(photographs, poses, MPII16).hits.sum(axis=1).tolist() == [20, 10]


def test_people_with_the_same_number_on_two_photographs_are_two():
    photographs = [photograph(1, [A]), photograph(2, [B])]
    poses = found(MPII16, [(1, B), (0, A)], person_id=[1, 1])
    assert given_persons.pckh(photographs, poses, MPII16).half.hits.sum(1).tolist() == [16, 16]


@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_people_without_a_pose_are_missed(number):
    photographs = [photograph(1, [A, B], first_id=2), empty(2, MPII16)]
    counts = given_persons.pckh(photographs, found(MPII16, [(0, A)], person_id=[number]), MPII16)
    assert counts.half.labelled.sum(axis=1).tolist() == [32, 0]
    assert counts.half.hits.sum(axis=1).tolist() == [16 * (number == 2), 0]


def test_nothing_found_misses_all():
    for counts in (
        given_persons.pck([photograph(1, [A, B])], found(MPII16, []), MPII16),
        given_persons.pcp([photograph(1, [A, B])], found(MPII16, []), MPII16),
    ):
        assert (counts.hits.sum(), counts.labelled.sum() > 0) == (0, True)


def test_a_pose_for_nobody_is_not_judged():
    one = photograph(1, [A], first_id=-1)  # a number that no pose can be for
    counts = given_persons.pckh([one], found(MPII16, [(0, A)]), MPII16)
    assert counts.half.hits.sum() == 0


def test_of_several_poses_of_a_person_the_highest_score_counts():
    poses = [(0, B), (0, A), (0, B)]
    for score, hits in (([0.1, 0.9, 0.5], 16), ([0.9, 0.1, 0.5], 0), ([0.5, 0.5, 0.1], 0)):
        given = found(MPII16, poses, score, person_id=[1, 1, 1])
        counts = given_persons.pckh([photograph(1, [A])], given, MPII16)
        assert counts.half.hits.sum() == hits
    equal = found(MPII16, poses[1:], [0.5, 0.5], person_id=[1, 1])
    assert given_persons.pckh([photograph(1, [A])], equal, MPII16).half.hits.sum() == 16


def test_crowds_are_left_out():
    one = photograph(1, [A, B], crowd=[True, False])
    counts = given_persons.pckh([one], found(MPII16, [(0, A)], person_id=[1]), MPII16).half
    assert (counts.hits.sum(), counts.labelled.sum(), counts.left_out.sum()) == (0, 16, 0)


def test_head_sizes_are_those_of_the_photographs():
    one = photograph(1, [A, B], head=[10.0, np.nan])
    poses = found(MPII16, [(0, A + [4.9, 0]), (0, B)], person_id=[1, 2])
    counts = given_persons.pckh([one], poses, MPII16)
    assert counts.half.hits.sum() == 16
    assert counts.tenth.hits.sum() == 0
    assert counts.half.left_out.tolist() == [1]


def test_where_mpii_names_them_only_single_people_are_judged():
    one = photograph(1, [A, B], single=[1])
    poses = found(MPII16, [(0, A + 900), (0, B)], person_id=one.persons.person_id.tolist())
    counts = given_persons.pckh([one], poses, MPII16)
    assert counts.half.hits.sum() == counts.half.labelled.sum() == 16
