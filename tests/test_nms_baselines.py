import jax
import numpy as np
import pytest

from rmpe_jax.nms_baselines import (
    MatchedJoints,
    OksThreshold,
    TruncatedMean,
    matched_joint_nms,
    no_nms,
    oks_nms,
    truncated_mean_nms,
)
from rmpe_jax.skeletons import COCO17
from tests import references_nms
from tests.test_pose_nms import crowd, equal, joined, kept, nonsense, rows

SCHEMES = {
    "matched": lambda poses: matched_joint_nms(poses, MatchedJoints(count=5)),
    "oks": lambda poses: oks_nms(poses, OksThreshold(0.3), sigmas=COCO17.sigmas),
    "mean": truncated_mean_nms,
    "none": no_nms,
}
ELIMINATING = [name for name in SCHEMES if name != "none"]


@pytest.mark.parametrize("seed", range(6))
def test_matched_joints_agree_with_the_oracle(seed):
    poses = crowd(seed)
    expected = references_nms.matched_joint_nms(
        poses.joints_px, poses.confidence, poses.boxes_px, 5, 0.1
    )
    found = SCHEMES["matched"](poses)
    assert kept(found) == sorted(expected)
    assert len(expected) < len(poses.valid)
    equal(found, poses._replace(valid=found.valid))


@pytest.mark.parametrize("seed", range(6))
def test_object_keypoint_similarity_agrees_with_the_oracle(seed):
    poses = crowd(seed)
    expected = references_nms.oks_nms(
        poses.joints_px, poses.boxes_px, poses.score, 0.3, COCO17.sigmas
    )
    found = SCHEMES["oks"](poses)
    assert kept(found) == sorted(expected)
    assert len(expected) < len(poses.valid)
    equal(found, poses._replace(valid=found.valid))


@pytest.mark.parametrize("least", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_truncated_means_agree_with_the_oracle(seed, least):
    poses = crowd(seed)
    expected = references_nms.truncated_mean_nms(
        *(poses.joints_px, poses.confidence, poses.boxes_px, poses.score), 1.0, least, 0.1
    )
    found = truncated_mean_nms(poses, TruncatedMean(norm=1.0, least=least))
    assert kept(found) == sorted(expected)
    assert 0 < len(expected) < len(poses.valid)
    for row, (joints_px, confidence) in expected.items():
        np.testing.assert_allclose(found.joints_px[row], joints_px, atol=1e-3)
        np.testing.assert_allclose(found.confidence[row], confidence, atol=1e-5)


def test_nothing_is_eliminated_without_nms():
    poses = crowd(0)
    equal(no_nms(poses), poses)


@pytest.mark.parametrize("name", SCHEMES)
def test_padding_changes_nothing(name):
    poses = crowd(1)
    n = len(poses.valid)
    found = SCHEMES[name](joined(poses, nonsense(4, poses)))
    plain = SCHEMES[name](poses)
    np.testing.assert_array_equal(found.valid[:n], plain.valid)
    np.testing.assert_allclose(found.joints_px[:n], plain.joints_px, atol=1e-3)
    assert not np.any(found.valid[n:])


@pytest.mark.parametrize("name", SCHEMES)
def test_no_pose_and_one_pose(name):
    nobody, alone = rows(crowd(0), slice(0)), rows(crowd(0), slice(1))
    equal(SCHEMES[name](nobody), nobody)
    found = SCHEMES[name](alone)
    assert kept(found) == [0]
    np.testing.assert_allclose(found.joints_px, alone.joints_px, atol=1e-4)


@pytest.mark.parametrize("name", ELIMINATING)
def test_copies_collapse_to_one(name):
    pose = crowd(3, people=1, copies=1)
    found = SCHEMES[name](joined(*[pose] * 4))
    assert kept(found) == [0]
    np.testing.assert_allclose(found.joints_px[0], pose.joints_px[0], atol=1e-4)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_batch_is_as_its_photographs(name):
    batch = [crowd(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *fields: np.stack(fields), *batch)
    mapped = jax.jit(jax.vmap(SCHEMES[name]))(stacked)
    for row, poses in enumerate(batch):
        np.testing.assert_array_equal(SCHEMES[name](poses).valid, mapped.valid[row])


def test_poses_of_no_score_count_for_nothing_in_a_mean():
    poses = crowd(0)._replace(score=np.zeros(12, np.float32))
    assert kept(truncated_mean_nms(poses)) == []
