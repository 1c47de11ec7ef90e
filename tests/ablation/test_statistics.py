"""Differences and their marks."""

import numpy as np
import pytest

from rmpe_jax.ablation import statistics
from rmpe_jax.ablation.statistics import OPPOSITE, SIGN, SURE, UNKNOWN, Difference, difference, mark


def draws(centre, spread, seed, count=4000):
    return centre + spread * np.random.default_rng(seed).standard_normal(count)


def test_draws_are_paired():
    """What both have in common with a draw of photographs is no noise of their difference."""
    common = draws(0.6, 0.05, 0)
    own = draws(0, 0.01, 1)
    found = difference([0.6], [0.55], [common], [common - 0.05 + own])
    assert found.value == pytest.approx(-0.05)
    assert found.low == pytest.approx(-0.05 - 0.0196, abs=0.002)
    assert found.high == pytest.approx(-0.05 + 0.0196, abs=0.002)
    assert found.told_apart and found.positive == 0
    assert found.half_width == pytest.approx(0.0196, abs=0.002)


def test_seeds_that_differ_widen_the_interval_by_students():
    full = [draws(0.6, 0.0, 0)] * 3
    rows = [draws(0.6 + shift, 1e-6, seed) for seed, shift in enumerate((-0.06, 0.0, 0.06))]
    found = difference([0.6] * 3, [0.54, 0.6, 0.66], full, rows)
    assert found.value == pytest.approx(0)
    expected = 4.3027 * 0.06 / 3**0.5  # Student's 97.5 % point with two degrees of freedom
    assert found.high == pytest.approx(expected, rel=1e-3)
    assert found.low == pytest.approx(-expected, rel=1e-3)
    alike = difference([0.6] * 3, [0.6] * 3, full, [draws(0.6, 0.001, s) for s in range(3)])
    assert alike.half_width < 0.003


def test_an_interval_of_three_seeds_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    still = [np.zeros(50)] * 3
    covered = 0
    for _ in range(2000):
        values = generator.normal(0, 0.02, 3)
        found = difference([0.0] * 3, values.tolist(), still, [np.full(50, v) for v in values])
        covered += found.low <= 0 <= found.high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_same_input_gives_the_same_interval():
    given = ([0.5, 0.5], [0.4, 0.45], [draws(0.5, 0.1, 0)] * 2, [draws(0.4, 0.1, 1)] * 2)
    assert difference(*given) == difference(*given)


def test_equal_results_differ_by_nothing_in_half_of_the_draws():
    same = draws(0.5, 0.1, 0)
    assert difference([0.5], [0.5], [same], [same]) == Difference(0, 0, 0, 0.5)


def test_draws_that_cannot_be_taken_do_not_count():
    broken = np.array([np.nan, 0.4, 0.6, 0.5])
    found = difference([0.5], [0.6], [broken], [broken + 0.1])
    assert found.low == pytest.approx(0.1) and found.positive == 1


def test_a_training_that_was_done_once_is_not_outside_all_noise():
    found = Difference(-0.05, -0.07, -0.03, 0.0)
    assert mark(found, -0.08, one_training=True) == statistics.ONE_TRAINING
    assert mark(found, 0.08, one_training=True) == OPPOSITE
    likely = Difference(-0.05, -0.11, 0.01, 0.06)
    assert mark(likely, -0.08, one_training=True) == SIGN


@pytest.mark.parametrize(
    ("found", "paper", "expected"),
    [
        (Difference(-0.05, -0.07, -0.03, 0.0), -0.08, SURE),
        (Difference(-0.05, -0.11, 0.01, 0.06), -0.08, SIGN),
        (Difference(-0.01, -0.06, 0.04, 0.3), -0.08, UNKNOWN),
        (Difference(0.01, -0.04, 0.06, 0.9), -0.08, UNKNOWN),
        (Difference(0.05, 0.03, 0.07, 1.0), -0.08, OPPOSITE),
        (Difference(0.05, 0.03, 0.07, 1.0), 0.03, SURE),
        (Difference(0.05, -0.01, 0.11, 0.94), 0.03, SIGN),
        (Difference(-0.05, -0.07, -0.03, 0.0), 0.03, OPPOSITE),
        (Difference(0.0, 0.0, 0.0, 0.5), -0.08, UNKNOWN),
        (Difference(0.05, 0.03, 0.07, 1.0), None, statistics.NO_DIFFERENCE),
    ],
)
def test_a_mark_says_how_a_difference_agrees_with_the_paper(found, paper, expected):
    assert mark(found, paper) == expected
