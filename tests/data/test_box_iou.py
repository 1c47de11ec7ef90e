"""Boxes of a given IoU with an annotated one."""

import numpy as np
import pytest

from rmpe_jax.data.box_iou import at_iou
from rmpe_jax.geometry import boxes

BOX = np.array((40.0, 10.0, 100.0, 210.0))


@pytest.mark.parametrize("iou", [1.0, 0.9, 0.7, 0.5, 0.2])
def test_the_iou_is_that_which_was_asked_for(iou):
    for seed in range(50):
        found = at_iou(np.random.default_rng(seed), BOX, iou)
        assert (boxes.size(found) > 0).all()
        assert boxes.iou(BOX[None], found[None])[0, 0] == pytest.approx(iou, abs=1e-6)


def test_all_sides_move_either_way_and_by_shares_of_the_box():
    found = np.array([at_iou(np.random.default_rng(seed), BOX, 0.7) for seed in range(400)])
    offset = (found - BOX) / np.tile(boxes.size(BOX), 2)
    assert (np.abs(offset.mean(axis=0)) < 0.04).all()
    # As far in widths as in heights, though the box is three times as high as wide.
    spread = offset.std(axis=0)
    assert spread.max() / spread.min() < 1.3


def test_the_same_numbers_give_the_same_box():
    found = [at_iou(np.random.default_rng(3), BOX, 0.6) for _ in range(2)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("box", "iou"), [(BOX, 0.0), (BOX, 1.1), (BOX * 0, 0.5)])
def test_what_there_is_not_is_refused(box, iou):
    with pytest.raises(ValueError, match="an IoU in"):
        at_iou(np.random.default_rng(0), box, iou)
