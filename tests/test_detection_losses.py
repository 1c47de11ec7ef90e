import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax import detection_losses
from rmpe_jax.geometry import boxes as box_geometry
from rmpe_jax.models.detector import points_px

POINTS, STRIDES = (jnp.asarray(a, jnp.float32) for a in points_px(256, 256))


def assign(boxes, valid=None, crowd=None):
    boxes = jnp.asarray(boxes, jnp.float32).reshape(-1, 4)
    valid = jnp.ones(len(boxes), bool) if valid is None else jnp.asarray(valid)
    crowd = jnp.zeros(len(boxes), bool) if crowd is None else jnp.asarray(crowd)
    return detection_losses.assign(POINTS, STRIDES, boxes, valid, crowd)


@pytest.mark.parametrize(("side", "stride"), [(40, 8), (160, 16), (250, 32)])
def test_a_person_has_points_near_the_middle_at_the_stride_of_the_size(side, stride):
    box = [128 - side / 2, 128 - side / 2, 128 + side / 2, 128 + side / 2]
    own = np.flatnonzero(assign([box]).person == 0)
    assert len(own) and set(np.asarray(STRIDES)[own]) == {stride}
    assert np.abs(np.asarray(POINTS)[own] - 128).max() < 1.5 * stride


def test_a_person_too_small_for_any_point_has_the_nearest():
    targets = assign([[101.0, 101.0, 103.0, 103.0]])
    (own,) = np.flatnonzero(targets.person == 0)
    np.testing.assert_array_equal(POINTS[own], [100, 100])
    assert STRIDES[own] == 8


def test_where_two_overlap_the_smaller_has_the_point():
    large, small = [60.0, 60.0, 110.0, 110.0], [75.0, 75.0, 95.0, 95.0]
    for order in ((0, 1), (1, 0)):
        given = [[large, small][i] for i in order]
        targets = assign(given)
        at = int(np.flatnonzero((np.asarray(POINTS) == [84, 84]).all(1) & (STRIDES == 8))[0])
        assert order[int(targets.person[at])] == 1


def test_a_crowd_is_nobodys_and_padding_is_not_there():
    box = [100.0, 100.0, 140.0, 140.0]
    targets = assign([box], crowd=[True])
    assert (targets.person == -1).all()
    inside = ((POINTS > 100) & (POINTS < 140)).all(axis=1)
    np.testing.assert_array_equal(targets.judged, ~inside)
    nothing = assign([box], valid=[False])
    assert (nothing.person == -1).all() and nothing.judged.all()


def test_a_person_in_a_crowd_is_learned():
    targets = assign([[0.0, 0.0, 256.0, 256.0], [100.0, 100.0, 140.0, 140.0]], crowd=[True, False])
    own = targets.person == 1
    assert own.any() and (targets.judged == own).all()


def test_overlaps_are_those_of_the_geometry_and_far_boxes_are_worse():
    generator = np.random.default_rng(0)
    low = generator.uniform(0, 50, (30, 2, 2))
    pairs = np.concatenate([low, low + generator.uniform(5, 60, low.shape)], axis=-1)
    a, b = (jnp.asarray(pairs[:, side], jnp.float32) for side in (0, 1))
    iou, giou = jax.vmap(detection_losses.overlap)(a, b)
    wanted = [box_geometry.iou(p[:1], p[1:])[0, 0] for p in pairs]
    np.testing.assert_allclose(iou, wanted, atol=1e-5)
    assert (giou <= iou + 1e-6).all() and (giou >= -1).all()
    near, far = (jnp.array([x, 0.0, x + 10, 10.0]) for x in (20.0, 90.0))
    home = jnp.array([0.0, 0.0, 10.0, 10.0])
    assert detection_losses.overlap(home, near)[1] > detection_losses.overlap(home, far)[1]
    np.testing.assert_allclose(detection_losses.overlap(home, home), [1.0, 1.0], atol=1e-6)


def test_perfect_boxes_and_sure_scores_cost_nothing_and_wrong_ones_something():
    box = jnp.array([[60.0, 60.0, 110.0, 110.0]])
    targets = assign(box)
    own = targets.person == 0
    perfect = jnp.tile(box[0], (len(POINTS), 1))
    sure = jnp.where(own, 12.0, -12.0)
    score, boxes, count = detection_losses.losses(sure, perfect, box, targets)
    assert score < 1e-3 and boxes < 1e-4 and count == own.sum()
    moved = perfect + jnp.array([[20.0, 0.0, 20.0, 0.0]])
    score_moved, boxes_moved, _ = detection_losses.losses(sure, moved, box, targets)
    assert boxes_moved > 0.3 * count and score_moved > score, "the score is to be the IoU"
    blind, _, _ = detection_losses.losses(-sure, perfect, box, targets)
    assert blind > 100


def test_points_that_are_not_judged_cost_nothing():
    targets = assign([[100.0, 100.0, 140.0, 140.0]], crowd=[True])
    quiet = jnp.full(len(POINTS), -12.0)
    loud = jnp.where(targets.judged, -12.0, 12.0)
    found = jnp.tile(jnp.array([0.0, 0.0, 9.0, 9.0]), (len(POINTS), 1))
    boxes = jnp.array([[100.0, 100.0, 140.0, 140.0]])
    losses = [detection_losses.losses(logit, found, boxes, targets)[0] for logit in (quiet, loud)]
    assert losses[0] == pytest.approx(losses[1])


def test_the_scores_target_has_no_gradient():
    """Else boxes would be made worse where the score is low."""
    box = jnp.array([[60.0, 60.0, 110.0, 110.0]])
    targets = assign(box)
    found = jnp.tile(box[0] + 5, (len(POINTS), 1))

    def score(found):
        return detection_losses.losses(jnp.zeros(len(POINTS)), found, box, targets)[0]

    assert (jax.grad(score)(found) == 0).all()
