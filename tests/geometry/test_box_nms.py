import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.geometry import box_nms, boxes


def plain(boxes_px, score, valid, iou):
    """Return which boxes stay, one after the other."""
    kept = []
    for row in np.argsort(-score, kind="stable"):
        overlaps = boxes.iou(boxes_px[row : row + 1], boxes_px[kept])[0] if kept else np.zeros(0)
        if valid[row] and not (overlaps > iou).any():
            kept.append(row)
    return np.isin(np.arange(len(score)), kept)


def scene(seed, count=40):
    generator = np.random.default_rng(seed)
    low = generator.uniform(0, 60, (count, 2))
    boxes_px = np.concatenate([low, low + generator.uniform(5, 50, (count, 2))], axis=1)
    score = np.round(generator.random(count), 1)  # many are equal
    return boxes_px.astype(np.float32), score.astype(np.float32), generator.random(count) < 0.8


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("iou", [0.1, 0.5, 0.9])
def test_the_same_stay_as_one_after_the_other(seed, iou):
    boxes_px, score, valid = scene(seed)
    kept = np.asarray(jax.jit(box_nms.keep)(*map(jnp.asarray, (boxes_px, score, valid)), iou))
    np.testing.assert_array_equal(kept, plain(boxes_px, score, valid, iou))


def test_photographs_can_be_mapped_over():
    scenes = [scene(seed) for seed in range(3)]
    batch = [jnp.asarray(np.stack(field)) for field in zip(*scenes, strict=True)]
    together = jax.vmap(lambda *one: box_nms.keep(*one, 0.5))(*batch)
    for kept, one in zip(together, scenes, strict=True):
        np.testing.assert_array_equal(kept, plain(*one, 0.5))


def test_nothing_stays_of_nothing():
    boxes_px, score, valid = map(jnp.asarray, scene(0))
    assert not box_nms.keep(boxes_px, score, valid & False, 0.5).any()
    assert box_nms.keep(boxes_px[:0], score[:0], valid[:0], 0.5).shape == (0,)


def test_of_equal_boxes_the_first_stays():
    same = jnp.tile(jnp.array([0.0, 0.0, 5.0, 5.0]), (3, 1))
    kept = box_nms.keep(same, jnp.array([0.5, 0.5, 0.5]), jnp.array([False, True, True]), 0.5)
    assert kept.tolist() == [False, True, False]
