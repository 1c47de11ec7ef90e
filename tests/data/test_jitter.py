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


def test_the_sides_are_cut_as_the_authors_do():
    """The plain form, in images that hold the smallest box; runs of before stay as they were."""
    for seed in range(100):
        generator = np.random.default_rng(seed)
        box = np.sort(generator.uniform(-10, 70, (2, 2)), axis=0).ravel()
        sides = np.tile(box[2:] - box[:2], 2)
        numbers = np.random.default_rng(seed).standard_normal(4)
        x_min, y_min, x_max, y_max = box + 2.0 * (MEAN + DEVIATION * numbers) * sides
        x_min, y_min = np.clip(x_min, 0, 50 - 5), np.clip(y_min, 0, 60 - 5)
        expected = (x_min, y_min, max(min(x_max, 50), x_min + 5), max(min(y_max, 60), y_min + 5))
        np.testing.assert_array_equal(draw(seed, box, 2.0, height=60, width=50), expected)


@pytest.mark.parametrize(("height", "width"), [(3, 100), (100, 2), (1, 1)])
def test_in_an_image_smaller_than_the_smallest_box_it_is_as_large_as_the_image(height, width):
    box = np.array((0.2, 0.1, 0.8, 0.9)) * (width, height, width, height)
    for seed in range(50):
        x_min, y_min, x_max, y_max = draw(seed, box, 3.0, height=height, width=width)
        assert 0 <= x_min and x_max <= width and x_max - x_min >= min(5, width) - 1e-9
        assert 0 <= y_min and y_max <= height and y_max - y_min >= min(5, height) - 1e-9
