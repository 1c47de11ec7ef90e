import numpy as np
import pytest

from rmpe_jax.evaluation import multi_person
from rmpe_jax.evaluation.multi_person import Candidates, People


def people(joints, unit, labelled=None, radius=1.0) -> People:
    joints = np.asarray(joints, float)
    labelled = np.ones(joints.shape[:2], bool) if labelled is None else np.array(labelled, bool)
    return People(joints, labelled, np.full(len(joints), radius), np.array(unit, np.int64))


def candidates(joints, unit, score=None) -> Candidates:
    joints = np.asarray(joints, float)
    score = np.full(joints.shape[:2], 0.5) if score is None else np.array(score, float)
    return Candidates(joints, score, np.array(unit, np.int64))


def line(x: float, joints: int = 2) -> list[list[float]]:
    """Return a pose: its joints one over the other, far from each other."""
    return [[x, 100.0 * joint] for joint in range(joints)]


def precisions(truth: People, found: Candidates, units: int) -> list[float]:
    assigned = multi_person.assign(truth, found)
    rankings = multi_person.rank(truth, found, assigned, units)
    return multi_person.average_precisions(rankings).tolist()


def test_pairs_are_all_of_the_same_unit_in_order():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 9, 40), rng.integers(0, 11, 30)
    expected = [(i, j) for i in range(40) for j in range(30) if left[i] == right[j]]
    i, j = multi_person.pairs(left, right)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected


@pytest.mark.parametrize("lengths", [(0, 0), (0, 3), (3, 0)])
def test_nothing_has_no_pairs(lengths):
    left, right = (np.zeros(length, np.int64) for length in lengths)
    assert [len(rows) for rows in multi_person.pairs(left, right)] == [0, 0]


def test_the_annotated_poses_have_precision_one():
    poses = [line(0), line(50), line(0)]
    truth, found = people(poses, [0, 0, 2]), candidates(poses[::-1], [2, 0, 0])
    assert multi_person.assign(truth, found).tolist() == [2, 1, 0]
    assert precisions(truth, found, 3) == [1, 1]


def test_a_joint_at_exactly_the_radius_is_right_and_further_is_not():
    truth = people([line(0)], [0], radius=5.0)
    found = candidates([[[3, 4], [5.001, 100]]], [0])
    assert precisions(truth, found, 1) == [1, 0]


def test_a_second_pose_of_a_person_is_false_and_costs_by_its_score():
    truth = people([line(0)], [0])
    poses, score = [line(0), line(0.5)], [[0.2, 0.9], [0.8, 0.3]]
    assert multi_person.assign(truth, candidates(poses, [0, 0], score)).tolist() == [0, -1]
    assert precisions(truth, candidates(poses, [0, 0], score), 1) == [0.5, 1]


def test_the_pose_with_the_larger_share_takes_the_person_whatever_the_scores():
    truth = people([line(0, 3)], [0])
    worse, better = line(0, 3), line(0, 3)
    worse[0], worse[1], better[0] = [9, 9], [9, 9], [9, 9]
    found = candidates([worse, better], [0, 0], [[0.9] * 3, [0.1] * 3])
    assert multi_person.assign(truth, found).tolist() == [-1, 0]


def test_a_pose_keeps_its_best_person_only_even_if_another_pose_takes_that_one():
    truth = people([line(0, 3), line(1, 3)], [0, 0], radius=1.2)
    first, second = line(0, 3), line(0, 3)
    second[2] = [1.3, 200]  # 2 of 3 for the first person, 3 of 3 for the second
    found = candidates([first, line(0, 3)], [0, 0])
    assert multi_person.assign(truth, found).tolist() == [0, -1]
    found = candidates([first, second], [0, 0])
    assert multi_person.assign(truth, found).tolist() == [0, 1]


def test_of_equal_shares_the_first_person_and_the_first_pose_are_taken():
    truth = people([line(1), line(0)], [0, 0], radius=5.0)
    assert multi_person.assign(truth, candidates([line(0)], [0])).tolist() == [0]
    found = candidates([line(0), line(1), line(0.5)], [0, 0, 0])
    assert multi_person.assign(truth, found).tolist() == [0, -1, -1]


def test_the_share_is_of_the_labelled_joints():
    truth = people([line(0, 3), line(0.5, 3)], [0, 0], [[1, 1, 1], [1, 0, 0]])
    pose = line(0, 3)
    pose[2] = [9, 9]  # two of three, one of one
    assert multi_person.assign(truth, candidates([pose], [0])).tolist() == [1]


def test_people_without_a_label_are_nobody():
    truth = people([line(0)], [0], [[0, 0]])
    found = candidates([line(0)], [0])
    assert multi_person.assign(truth, found).tolist() == [-1]
    assert np.isnan(precisions(truth, found, 1)).all()


def test_a_found_joint_without_an_annotated_one_is_false():
    poses = [line(0), line(50)]
    truth = people(poses, [0, 0], [[1, 1], [1, 0]])
    score = [[0.1, 0.1], [0.9, 0.9]]
    assert precisions(truth, candidates(poses, [0, 0], score), 1) == [1, 0.5]


@pytest.mark.parametrize("absent", [np.nan, -np.inf])
def test_a_joint_without_a_score_is_not_there(absent):
    truth = people([line(0), line(50)], [0, 0])
    found = candidates([line(0), line(50)], [0, 0], [[0.9, absent], [0.9, 0.9]])
    assert precisions(truth, found, 1) == [1, 0.5]
    rankings = multi_person.rank(truth, found, multi_person.assign(truth, found), 1)
    assert [len(joint.image) for joint in rankings] == [2, 1]
    nothing = candidates([line(0)], [0], [[absent, absent]])
    assert multi_person.assign(truth, nothing).tolist() == [-1]


def test_a_joint_of_any_other_score_is_there():
    truth = people([line(0)], [0])
    assert precisions(truth, candidates([line(0)], [0], [[np.inf, -9999.0]]), 1) == [1, 1]


def test_people_and_poses_of_different_units_do_not_meet():
    truth = people([line(0)], [0])
    found = candidates([line(0)], [1])
    assert multi_person.assign(truth, found).tolist() == [-1]
    assert precisions(truth, found, 2) == [0, 0]


def test_nothing_found_is_zero_and_nobody_annotated_is_nothing():
    truth, found = people([line(0)], [0]), candidates([line(0)], [0])
    nobody, nothing = people(np.zeros((0, 2, 2)), []), candidates(np.zeros((0, 2, 2)), [])
    assert precisions(truth, nothing, 1) == [0, 0]
    assert np.isnan(precisions(nobody, found, 1)).all()
    assert np.isnan(precisions(nobody, nothing, 1)).all()


def test_needed_are_the_labelled_joints_of_each_unit():
    truth = people([line(0), line(9), line(0)], [0, 0, 2], [[1, 0], [1, 1], [0, 1]])
    found = candidates([line(0)], [1], [[0.4, 0.3]])
    rankings = multi_person.rank(truth, found, np.array([-1]), 4)
    assert [joint.needed.tolist() for joint in rankings] == [[[2, 0, 0, 0]], [[1, 0, 1, 0]]]
    assert [joint.image.tolist() for joint in rankings] == [[1], [1]]
    assert [joint.false.tolist() for joint in rankings] == [[[True]], [[True]]]


def test_weights_choose_units():
    poses = [line(0), line(0)]
    truth = people(poses, [0, 1])
    found = candidates([line(0)], [0])
    rankings = multi_person.rank(truth, found, multi_person.assign(truth, found), 2)
    assert multi_person.average_precisions(rankings, np.array([1, 0])).tolist() == [1, 1]
    assert multi_person.average_precisions(rankings, np.array([1, 1])).tolist() == [0.5, 0.5]
    assert multi_person.average_precisions(rankings, np.array([1, 3])).tolist() == [0.25, 0.25]


def test_poses_for_nobody_that_lie_on_people_who_are_no_truth_are_excused():
    joints = np.array([[[5.0, 5.0], [7.0, 9.0]], [[50.0, 50.0], [60.0, 60.0]], [[5.0, 5.0]] * 2])
    candidates = multi_person.Candidates(joints, np.ones((3, 2)), np.array([0, 0, 1]))
    boxes_px = np.array([[0.0, 0.0, 10.0, 10.0]])
    left = multi_person.excused(candidates, np.array([-1, -1, -1]), boxes_px, np.array([0]))
    assert (left.score == [[-np.inf] * 2, [1, 1], [1, 1]]).all()
    taken = multi_person.excused(candidates, np.array([3, -1, -1]), boxes_px, np.array([0]))
    assert (taken.score == 1).all(), "one that is somebody's counts"
