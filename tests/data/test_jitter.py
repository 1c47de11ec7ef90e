import numpy as np
import pytest

from rmpe_jax.data.jitter import DEVIATION, MEAN, jittered

BOX = np.array((400.0, 300.0, 500.0, 600.0))


def draw(seed, box=BOX, amount=1.0, height=1000, width=1000):
    return jittered(np.random.default_rng(seed), box, height, width, amount)


def test_the_sides_move_by_the_published_gaussian():
    offsets = np.array([draw(seed) for seed in range(4000)]) - BOX
    offsets /= np.array((100.0, 300.0, 100.0, 300.0))
    np.testing.assert_allclose(offsets.mean(0), MEAN, atol=4 * DEVIATION.max() / 4000**0.5)
    np.testing.assert_allclose(offsets.std(0), DEVIATION, rtol=0.06)
    correlation = np.corrcoef(offsets.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.08, "each side moves on its own"


def test_amount_is_a_factor_and_zero_changes_nothing():
    np.testing.assert_array_equal(draw(3, amount=0.0), BOX)
    np.testing.assert_allclose(draw(3, amount=0.5) - BOX, (draw(3) - BOX) / 2)


def test_numbers_are_drawn_whatever_the_amount():
    still, moved = np.random.default_rng(0), np.random.default_rng(0)
    jittered(still, BOX, 1000, 1000, 0.0)
    jittered(moved, BOX, 1000, 1000, 1.0)
    assert still.random() == moved.random()


@pytest.mark.parametrize("box", [(0, 0, 100, 120), (20, 30, 100, 118), (98, 2, 100, 4)])
def test_boxes_stay_inside_the_image_and_have_a_size(box):
    for seed in range(200):
        x_min, y_min, x_max, y_max = draw(seed, np.array(box, float), 3.0, height=120, width=100)
        assert 0 <= x_min and x_max <= 100 and x_max - x_min > 5 - 1e-9
        assert 0 <= y_min and y_max <= 120 and y_max - y_min > 5 - 1e-9
