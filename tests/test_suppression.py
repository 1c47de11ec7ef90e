import numpy as np
import pytest

from rmpe_jax import suppression

SIDE = 100


def best(rows, score):
    return suppression.best(np.array(rows, float), np.array(score), SIDE, SIDE)


def test_the_best_of_those_that_overlap_stays_and_the_best_goes_first():
    rows = [[0, 0, 10, 10], [50, 0, 60, 10], [0, 0, 10, 9], [0, 0, 10, 5]]
    found = best(rows, [0.3, 0.8, 0.4, 0.2])
    assert found.boxes_px.tolist() == [[50, 0, 60, 10], [0, 0, 10, 9], [0, 0, 10, 5]]
    assert found.score == pytest.approx([0.8, 0.4, 0.2]) and found.valid.all()


def test_boxes_are_compared_as_the_photograph_cuts_them():
    found = best([[-90, 0, 10, 10], [-2, 0, 10, 10]], [0.5, 0.6])
    assert found.boxes_px.tolist() == [[0, 0, 10, 10]]


def test_what_is_no_box_is_left_out():
    nan = float("nan")
    rows = [[120, 0, 130, 10], [5, 5, 5, 9], [nan, 0, 9, 9], [0, 0, 9, 9], [20, 0, 30, 9]]
    found = best(rows, [0.9, 0.9, 0.9, nan, suppression.LEAST_SCORE - 1e-3])
    assert len(found.score) == 0 and found.boxes_px.shape == (0, 4)


def test_no_more_than_allowed_come_back():
    places = np.arange(1500)
    rows = np.stack([places % 50 * 2, places // 50 * 2] * 2, axis=1) + [0.0, 0, 2, 2]
    score = np.linspace(0.1, 0.9, 1500)
    found = best(rows, score)
    assert found.score == pytest.approx(score[::-1][: suppression.MOST])
