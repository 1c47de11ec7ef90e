from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_jax.pose_nms import (
    ALPHAPOSE_COCO,
    RMPE_MPII,
    NmsOptions,
    NmsParameters,
    check,
    greedy,
    pose_nms,
)
from rmpe_jax.records import Poses
from tests import references_nms

LOOSE = NmsParameters(sigma1=0.3, sigma2=1.5, lambda_=1.2, eta=14.0, fraction=0.1)


@pytest.fixture(autouse=True)
def no_silent_dtype_promotion():
    with jax.numpy_dtype_promotion("strict"):
        yield


def crowd(seed: int, people: int = 4, copies: int = 3, *, joints: int = 17) -> Poses:
    """`copies` noisy poses of each of some people who stand near each other."""
    generator = np.random.default_rng(seed)
    n = people * copies
    person_px = generator.uniform(0, 120, (people, 1, 2)) + generator.uniform(
        0, 100, (people, joints, 2)
    )
    noise_px = generator.normal(size=(n, joints, 2)) * generator.uniform(1, 12, (n, 1, 1))
    joints_px = np.repeat(person_px, copies, axis=0) + noise_px
    low, high = joints_px.min(axis=1), joints_px.max(axis=1)
    confidence = generator.uniform(0, 1, (n, joints))
    return single(
        Poses(
            joints_px=joints_px,
            confidence=confidence,
            peak=confidence,
            boxes_px=np.concatenate([low, high * generator.uniform(1, 1.3, (n, 2))], axis=1),
            box_score=generator.uniform(0.1, 1, n),
            score=generator.uniform(0.05, 1, n),
            valid=np.ones(n, bool),
        )
    )


def single(poses: Poses) -> Poses:
    """The same in single precision."""
    return Poses(
        *(a if a.dtype == bool else np.asarray(a, np.float32) for a in map(np.asarray, poses))
    )


def rows(poses: Poses, chosen) -> Poses:
    return Poses(*(field[chosen] for field in poses))


def joined(*parts: Poses) -> Poses:
    return Poses(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def nonsense(count: int, like: Poses) -> Poses:
    """Padding as bad as can be."""
    blank = rows(like, np.zeros(count, int))
    return Poses(*(np.full_like(f, False if f.dtype == bool else np.nan) for f in blank))


def equal(one: Poses, other: Poses) -> None:
    for name, a, b in zip(Poses._fields, one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)


def kept(poses: Poses) -> list[int]:
    return np.flatnonzero(poses.valid).tolist()


def reference(poses: Poses, parameters: NmsParameters, options: NmsOptions):
    return references_nms.pose_nms(
        poses.joints_px,
        poses.confidence,
        poses.boxes_px,
        poses.score,
        parameters._asdict(),
        asdict(options),
    )


def agree(poses: Poses, parameters: NmsParameters, options: NmsOptions) -> int:
    """Compare with the sequential oracle; return how many were eliminated."""
    found = pose_nms(poses, parameters, options)
    chosen, joints_px, confidence, score = reference(poses, parameters, options)
    assert kept(found) == sorted(chosen)
    np.testing.assert_allclose(found.joints_px, joints_px, atol=1e-3)
    np.testing.assert_allclose(found.confidence, confidence, atol=1e-5)
    np.testing.assert_allclose(found.score, score, atol=1e-5)
    return len(poses.valid) - len(chosen)


# Every pair of values occurs: one compiled program each, so not all 48.
OPTIONS = [
    NmsOptions("code", "circle", merge=True, carried="max", rank="confidence"),
    NmsOptions("paper", "box", merge=True, carried="weighted", rank="score", support=0.3),
    NmsOptions("code", "box", merge=True, carried="own", rank="score", support=0.1),
    NmsOptions("paper", "circle", merge=False, carried="max", rank="score"),
    NmsOptions("code", "circle", merge=False, carried="weighted", rank="confidence"),
    NmsOptions("paper", "box", merge=False, carried="own", rank="confidence"),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_agrees_with_the_sequential_oracle(options):
    eliminated = sum(agree(crowd(seed), LOOSE, options) for seed in range(4))
    assert eliminated > 6


@pytest.mark.parametrize("named", [RMPE_MPII, ALPHAPOSE_COCO])
def test_the_named_sets_agree_with_the_sequential_oracle(named):
    assert sum(agree(crowd(seed), *named) for seed in range(10)) > 20


def test_the_matched_joints_rule_eliminates_more_and_agrees_with_the_oracle():
    parameters = LOOSE._replace(eta=40.0)
    options = NmsOptions(matched_joints=4, matched_radius_px=6.0)
    without = sum(agree(crowd(s), parameters, replace(options, matched_joints=0)) for s in range(6))
    assert sum(agree(crowd(s), parameters, options) for s in range(6)) > without + 5


@pytest.fixture(scope="module")
def published(data_root):
    """The authors' poses on the MPII test photographs, [photographs padded to the most people]."""
    stored = np.load(data_root / "rmpe_v1_predictions" / "predictions.npz")
    count = stored["stop"] - stored["first"]
    slot = np.arange(count.max())[None]
    at = np.minimum(stored["first"][:, None] + slot, len(stored["joints_px"]) - 1)
    score = stored["detector_scores"][at]
    confidence = stored["joint_scores"][at]
    joints_px, boxes_px = stored["joints_px"][at], stored["boxes_px"][at]
    valid = slot < count[:, None]
    return Poses(joints_px, confidence, confidence, boxes_px, score, score, valid)


def eliminated_everywhere(poses: Poses) -> Poses:
    return jax.jit(lambda p: jax.lax.map(lambda q: pose_nms(q, *RMPE_MPII), p, batch_size=32))(
        poses
    )


def test_the_authors_poses_are_kept_as_by_their_code(published):
    found = np.asarray(eliminated_everywhere(published).valid)
    assert published.valid.sum() == 10421
    assert found.sum() == 8523
    options = replace(RMPE_MPII.options, merge=False)
    for image, valid in enumerate(published.valid):
        poses = rows(Poses(*(field[image] for field in published)), valid)
        chosen, *_ = reference(poses, RMPE_MPII.parameters, options)
        assert np.flatnonzero(found[image]).tolist() == sorted(chosen), image


def test_the_authors_poses_are_kept_in_double_precision_too(published, float64):
    double = Poses(*(f if f.dtype == bool else f.astype(np.float64) for f in published))
    assert eliminated_everywhere(double).valid.sum() == 8523


@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_elimination_all_at_once_is_elimination_in_turn(seed, n, share):
    generator = np.random.default_rng(seed)
    eliminates = generator.random((n, n)) < share
    rank = generator.integers(0, 6, n).astype(np.float32)
    valid = generator.random(n) < 0.8
    alive = np.flatnonzero(valid)
    groups = references_nms.groups(rank[alive], lambda i, j: bool(eliminates[alive[i], alive[j]]))
    padded = 25 - n  # one shape, so that one program serves all examples
    got_kept, got_owner = jax.jit(greedy)(
        np.pad(eliminates, (0, padded), constant_values=True),
        np.pad(rank, (0, padded), constant_values=99),
        np.pad(valid, (0, padded)),
    )
    owner = {alive[member]: alive[pick] for pick, members in groups for member in members}
    assert np.flatnonzero(got_kept).tolist() == sorted(set(owner.values()))
    assert {row: int(got_owner[row]) for row in owner} == owner


def test_a_chain_of_eliminations_keeps_every_other_pose():
    n = 40
    eliminates = np.eye(n, k=1, dtype=bool)
    found, owner = greedy(eliminates, np.arange(n, 0, -1, np.float32), np.ones(n, bool))
    assert np.flatnonzero(found).tolist() == list(range(0, n, 2))
    assert owner.tolist() == [row // 2 * 2 for row in range(n)]


def test_the_program_does_not_grow_with_the_number_of_poses():
    def operations(copies):
        return str(jax.make_jaxpr(lambda p: pose_nms(p, *RMPE_MPII))(crowd(0, 4, copies))).count(
            "="
        )

    assert operations(2) == operations(20)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [NmsOptions(), NmsOptions(rank="score", carried="weighted")])
def test_the_order_of_the_poses_does_not_matter(seed, options):
    poses = crowd(seed)
    order = np.random.default_rng(seed).permutation(len(poses.valid))
    straight, shuffled = (pose_nms(p, LOOSE, options) for p in (poses, rows(poses, order)))
    assert 2 < np.sum(straight.valid) < len(order)
    np.testing.assert_array_equal(straight.valid[order], shuffled.valid)
    np.testing.assert_allclose(straight.joints_px[order], shuffled.joints_px, atol=1e-3)
    np.testing.assert_allclose(straight.confidence[order], shuffled.confidence, atol=1e-6)
    np.testing.assert_allclose(straight.score[order], shuffled.score, atol=1e-6)


@pytest.mark.parametrize("options", [NmsOptions(), NmsOptions(carried="weighted", region="box")])
def test_padding_changes_nothing_however_bad(options):
    poses = crowd(1)
    n = len(poses.valid)
    plain = pose_nms(poses, LOOSE, options)
    for before, after in ((0, 5), (5, 0), (2, 3)):  # one shape, one program
        padded = joined(nonsense(before, poses), poses, nonsense(after, poses))
        found = pose_nms(padded, LOOSE, options)
        inner = rows(found, slice(before, before + n))
        np.testing.assert_array_equal(inner.valid, plain.valid)
        np.testing.assert_allclose(inner.joints_px, plain.joints_px, atol=1e-4)
        np.testing.assert_allclose(inner.score, plain.score, atol=1e-6)
        assert not np.any(found.valid[:before]) and not np.any(found.valid[before + n :])


def test_rows_that_are_not_valid_neither_eliminate_nor_merge():
    poses = crowd(2, people=1)
    loud = poses._replace(confidence=np.ones_like(poses.confidence), valid=poses.valid & False)
    found = pose_nms(joined(poses, loud), LOOSE)
    plain = pose_nms(poses, LOOSE)
    np.testing.assert_array_equal(found.valid, np.concatenate([plain.valid, loud.valid]))
    np.testing.assert_allclose(found.joints_px[:3], plain.joints_px, atol=1e-4)


@pytest.mark.parametrize("options", OPTIONS)
def test_copies_collapse_to_the_pose_itself(options):
    pose = crowd(3, people=1, copies=1)
    found = pose_nms(joined(*[pose] * 5), RMPE_MPII.parameters, options)
    assert kept(found) == [0]
    supported = pose._replace(score=pose.score + options.support * 4 * pose.score)
    equal(rows(found, slice(1)), supported._replace(score=found.score[:1]))
    np.testing.assert_allclose(found.score[:1], supported.score, rtol=1e-6)


def test_rows_that_are_eliminated_come_back_unchanged():
    poses = crowd(4)
    found = pose_nms(poses, LOOSE)
    gone = ~np.asarray(found.valid)
    assert gone.any()
    equal(rows(found, gone), rows(poses, gone)._replace(valid=np.zeros(gone.sum(), bool)))


def test_of_ties_the_first_is_kept():
    poses = crowd(5, people=1, copies=2)
    level = np.full_like(poses.confidence, 0.5)
    tied = poses._replace(confidence=level, score=np.full(2, 0.5, np.float32))
    for rank in ("confidence", "score"):
        found = pose_nms(tied, LOOSE._replace(eta=1e-3), NmsOptions(rank=rank))
        assert kept(found) == [0]


def test_the_rank_is_the_mean_confidence_or_the_score():
    poses = crowd(6, people=1, copies=2)
    sure = np.array([[0.2], [0.9]], np.float32) * np.ones_like(poses.confidence)
    poses = poses._replace(confidence=sure, score=np.array([0.8, 0.3], np.float32))
    everything = LOOSE._replace(eta=1e-3)
    assert kept(pose_nms(poses, everything, NmsOptions(rank="confidence"))) == [1]
    assert kept(pose_nms(poses, everything, NmsOptions(rank="score"))) == [0]


def test_no_pose_and_one_pose():
    nobody = rows(crowd(0), slice(0))
    equal(pose_nms(nobody, *RMPE_MPII), nobody)
    alone = rows(crowd(0), slice(1))
    for options in OPTIONS:
        equal(pose_nms(alone, RMPE_MPII.parameters, options), alone)


@pytest.mark.parametrize("options", OPTIONS)
def test_without_any_confidence_the_merged_joints_are_plain_means(options):
    poses = crowd(7, people=1, copies=4)
    joints_px = poses.joints_px[:1] + np.arange(4, dtype=np.float32)[:, None, None]
    silent = poses._replace(
        joints_px=joints_px,
        confidence=np.zeros_like(poses.confidence),
        peak=np.zeros_like(poses.peak),
        score=np.zeros_like(poses.score),
    )
    found = pose_nms(silent, LOOSE._replace(eta=2.0), options)
    assert kept(found) == [0]
    moved = 1.5 if options.merge else 0.0
    np.testing.assert_allclose(found.joints_px[0], joints_px[0] + moved, atol=1e-4)
    assert not np.any(found.confidence) and not np.any(found.score)


def two(width: float, other_width: float, apart: float, confidences=(0.9, 0.8)) -> Poses:
    """Two poses of three joints `apart` pixels from each other, in boxes of two widths."""
    joints_px = np.array([[30.0, 30], [50, 60], [40, 90]])
    n = 2
    confidence = np.array(confidences).reshape(n, -1) * np.ones((n, 3))
    boxes_px = [[0, 0, width, width / 2], [0, 0, other_width, other_width / 2]]
    return single(
        Poses(
            joints_px=np.stack([joints_px, joints_px + [apart, 0]]),
            confidence=confidence,
            peak=confidence,
            boxes_px=np.array(boxes_px),
            box_score=np.ones(n),
            score=np.array([0.6, 0.2]),
            valid=np.ones(n, bool),
        )
    )


THREE = NmsParameters(sigma1=0.01, sigma2=1.0, lambda_=1.0, eta=4.0)


def test_distances_are_measured_by_the_box_of_the_picked_pose():
    """Three joints at 5 pixels: within a tenth of 100 pixels, not of 10."""
    assert kept(pose_nms(two(100, 10, 5), THREE)) == [0]
    assert kept(pose_nms(two(10, 100, 5), THREE)) == [0, 1]


def test_a_similarity_of_exactly_eta_eliminates():
    """Equal joints: 3 matched + lambda x 3."""
    assert kept(pose_nms(two(100, 100, 0), THREE._replace(eta=6.0))) == [0]
    assert kept(pose_nms(two(100, 100, 0), THREE._replace(eta=6.001))) == [0, 1]


def test_the_box_is_half_as_wide_and_has_its_own_height():
    """Boxes 100 x 50: half sides of 5 and 2.5 pixels, a circle of radius 10."""
    options = NmsOptions(region="box")
    match = THREE._replace(lambda_=1e-6, eta=2.9)  # nothing but matched joints count
    assert kept(pose_nms(two(100, 100, 4.9), match, options)) == [0]
    assert kept(pose_nms(two(100, 100, 5.1), match, options)) == [0, 1]
    assert kept(pose_nms(two(100, 100, 9.9), match)) == [0]
    assert kept(pose_nms(two(100, 100, 10.1), match)) == [0, 1]
    turned = two(100, 100, 2.6)
    turned = turned._replace(joints_px=turned.joints_px[..., ::-1].copy())
    assert kept(pose_nms(turned, match, options)) == [0, 1]


def test_merged_joints_are_means_weighted_by_confidence():
    found = pose_nms(two(100, 100, 8, (0.6, 0.2)), THREE._replace(eta=0.5))
    assert kept(found) == [0]
    np.testing.assert_allclose(found.joints_px[0, :, 0], [32, 52, 42], atol=1e-4)
    np.testing.assert_allclose(found.confidence[0], 0.6)
    weighted = NmsOptions(carried="weighted")
    found = pose_nms(two(100, 100, 8, (0.6, 0.2)), THREE._replace(eta=0.5), weighted)
    np.testing.assert_allclose(found.confidence[0], (0.36 + 0.04) / 0.8, rtol=1e-5)
    np.testing.assert_allclose(found.score[0], (0.36 + 0.04) / 0.8, rtol=1e-5)


def test_a_merged_peak_is_a_mean_even_of_negative_ones():
    poses = crowd(1, people=1, copies=2)
    peak = poses.peak.copy()
    peak[:, 0] = (0.1, -0.0999)
    poses = poses._replace(peak=peak, confidence=np.clip(peak, 0, 1))
    loose = RMPE_MPII.parameters._replace(eta=1e-3, fraction=1.0)
    for how in ("weighted", "max", "own"):
        found = pose_nms(poses, loose, NmsOptions(carried=how))
        (row,) = kept(found)
        assert -0.1 <= found.peak[row, 0] <= 0.1


def test_joints_far_from_the_kept_one_do_not_merge():
    """11 pixels are outside the radius of 10; 8 are outside a radius of 7 pixels set by hand."""
    for apart, options in ((11, NmsOptions()), (8, NmsOptions(merge_radius_px=7.0))):
        poses = two(100, 100, apart)
        found = pose_nms(poses, THREE._replace(eta=0.5), options)
        assert kept(found) == [0]
        np.testing.assert_array_equal(found.joints_px, poses.joints_px)


def test_a_box_without_area_gives_no_nan():
    poses = crowd(8)
    flat = poses._replace(boxes_px=np.zeros_like(poses.boxes_px))
    found = pose_nms(flat, LOOSE)
    assert all(np.isfinite(field).all() for field in found)
    assert kept(found) == list(range(len(poses.valid)))


def test_a_batch_is_as_its_photographs():
    batch = [crowd(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *fields: np.stack(fields), *batch)
    mapped = jax.jit(jax.vmap(lambda poses: pose_nms(poses, LOOSE)))(stacked)
    for row, poses in enumerate(batch):
        alone = pose_nms(poses, LOOSE)
        np.testing.assert_array_equal(alone.valid, mapped.valid[row])
        np.testing.assert_allclose(alone.joints_px, mapped.joints_px[row], atol=1e-4)


def test_parameters_can_be_a_grid():
    poses = crowd(9)
    etas = jnp.array([1.0, 14.0, 100.0])
    grid = jax.vmap(lambda eta: pose_nms(poses, LOOSE._replace(eta=eta)).valid)(etas)
    alone = [pose_nms(poses, LOOSE._replace(eta=float(eta))).valid for eta in etas]
    np.testing.assert_array_equal(grid, np.stack(alone))


@pytest.mark.parametrize("name", NmsParameters._fields)
@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf")])
def test_parameters_that_mean_nothing_are_refused_by_name(name, value):
    wrong = LOOSE._replace(**{name: value})
    with pytest.raises(ValueError, match=f"{name} is {value:g}; finite numbers above 0"):
        check(wrong)
    for kind in (float, np.float32, lambda v: jnp.asarray([1.0, v], jnp.float32)):
        with pytest.raises(ValueError, match="rmpe fit-nms"):
            pose_nms(crowd(0), LOOSE._replace(**{name: kind(value)}))
