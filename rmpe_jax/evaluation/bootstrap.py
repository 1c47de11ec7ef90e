"""How sure a figure is: percentile bootstrap over photographs, of one result or of two compared.

Photographs are drawn, not people: the people of one photograph are not independent. The draws
depend on the number of photographs alone, so that those of two results on the same photographs
belong together pair by pair, and can be kept in a file until somebody compares them. Efron and
Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 1000
SEED = 20170424
COVERED = 0.95  # share of the draws that an interval holds

# weights (how often each photograph counts) -> figures; NaN for one that cannot be taken
Statistic = Callable[[Int[np.ndarray, " i"]], Float[np.ndarray, " m"]]


class Difference(NamedTuple):
    """Figures of B minus those of A, their intervals, and how often B was the better one.

    `better` is a share of the draws, ties counting half: near 0.5 nothing can be told apart.
    """

    value: Float[np.ndarray, " m"]
    interval: Float[np.ndarray, "m 2"]
    better: Float[np.ndarray, " m"]


def drawn(
    statistic: Statistic, photographs: int, *, resamples: int = RESAMPLES
) -> Float[np.ndarray, "r m"]:
    """Return the figures of each draw of as many photographs as there are, with replacement."""
    generator = np.random.default_rng(SEED)
    values = []
    for _ in range(resamples):
        chosen = generator.integers(photographs, size=photographs)
        values.append(statistic(np.bincount(chosen, minlength=photographs)))
    return np.array(values)


def interval(values: Float[np.ndarray, "r m"]) -> Float[np.ndarray, "m 2"]:
    """Return (low, high) of each figure: what the middle 95 % of its draws lie between.

    A draw for which a figure is NaN does not count for it; without any it is NaN.
    """
    ends = [50 * (1 - COVERED), 50 * (1 + COVERED)]
    found = np.full((values.shape[1], 2), np.nan)
    for row, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if len(known):
            found[row] = np.percentile(known, ends)
    return found


def difference(
    a: Float[np.ndarray, " m"],
    b: Float[np.ndarray, " m"],
    drawn_a: Float[np.ndarray, "r m"],
    drawn_b: Float[np.ndarray, "r m"],
) -> Difference:
    """Return how figures B differ from A, by the same draws of the same photographs."""
    values = drawn_b - drawn_a
    known = ~np.isnan(values)
    wins = ((values > 0) + 0.5 * (values == 0)).sum(axis=0)
    count = known.sum(axis=0)
    better = np.where(count > 0, wins / np.maximum(count, 1), np.nan)
    return Difference(b - a, interval(values), better)
