import numpy as np
import pytest

from rmpe_jax.evaluation import bootstrap


def mean_of(values):
    return lambda weights: np.array([weights @ values / weights.sum()])


def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    values = np.random.default_rng(0).normal(3, 2, 400)
    (interval,) = bootstrap.interval(bootstrap.drawn(mean_of(values), 400))
    wide = 1.96 * values.std() / np.sqrt(400)
    assert interval == pytest.approx([values.mean() - wide, values.mean() + wide], abs=0.05)


def test_draws_are_the_same_every_time_and_of_as_many_photographs():
    seen = []
    for _ in range(2):
        bootstrap.drawn(lambda w: seen.append(w) or np.zeros(1), 30, resamples=5)
    np.testing.assert_array_equal(seen[:5], seen[5:])
    assert {int(weights.sum()) for weights in seen} == {30}
    assert len({tuple(weights) for weights in seen}) == 5


def test_an_interval_leaves_out_draws_in_which_the_figure_is_not_to_be_had():
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    low_high = bootstrap.interval(values)
    assert low_high[0] == pytest.approx([1.05, 2.95])
    assert np.isnan(low_high[1]).all()


def test_a_paired_difference_is_surer_than_the_two_apart():
    """A photograph is easy or hard for both: this cancels in the difference."""
    generator = np.random.default_rng(1)
    hard = generator.normal(0, 1, 300)
    a, b = hard, hard + generator.normal(0.05, 0.1, 300)
    drawn_a, drawn_b = (bootstrap.drawn(mean_of(values), 300) for values in (a, b))
    found = bootstrap.difference(np.array([a.mean()]), np.array([b.mean()]), drawn_a, drawn_b)
    assert found.value == pytest.approx([(b - a).mean()])
    ((low, high),) = found.interval
    assert 0 < low < high < 0.08
    assert found.better == pytest.approx([1.0])
    ((apart_low, apart_high),) = bootstrap.interval(drawn_a)
    assert apart_high - apart_low > 5 * (high - low)


def test_equal_results_are_better_half_of_the_time():
    drawn = np.arange(6.0)[:, None]
    found = bootstrap.difference(np.array([1.0]), np.array([1.0]), drawn, drawn)
    assert (found.value, found.better) == (pytest.approx([0]), pytest.approx([0.5]))
    nothing = bootstrap.difference(np.ones(1), np.ones(1), drawn * np.nan, drawn)
    assert np.isnan(nothing.better).all()
