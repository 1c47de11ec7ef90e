"""What a row differs from the full system by, how sure that is, and whether the paper says so too.

The draws of photographs are paired: those behind two results on the same photographs belong
together (`evaluation.bootstrap`). With several seeds an interval holds both chances, other
photographs and another training: the bootstrap interval of the mean over seeds, widened by
Student's interval of the seeds' differences (half widths add as squares). With one seed it holds
that of photographs alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from rmpe_jax.evaluation import bootstrap

SURE, ONE_TRAINING, SIGN, UNKNOWN, OPPOSITE = (
    "same sign, outside noise",
    "same sign, outside the noise of photographs, of one training",
    "same sign",
    "not distinguishable",
    "opposite",
)
LIKELY = 5 / 6  # of the draws have the sign of a difference that is worth naming: one deviation
NO_DIFFERENCE = "-"  # the paper has no such row


class Difference(NamedTuple):
    """A figure of a row minus that of the full system, mean over seeds, and its interval.

    `positive` is the share of draws above 0, ties counting half; `half_width` is that of the
    interval: about the smallest difference that could be told from chance.
    """

    value: float
    low: float
    high: float
    positive: float

    @property
    def half_width(self) -> float:
        """Return half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def told_apart(self) -> bool:
        """Return whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def difference(
    full: Sequence[float],
    row: Sequence[float],
    full_draws: Sequence[Float[np.ndarray, " r"]],
    row_draws: Sequence[Float[np.ndarray, " r"]],
) -> Difference:
    """Return how a row differs, from a figure and its draws for each seed of both."""
    values = np.asarray(row) - np.asarray(full)
    # On the same photographs, seeds differ by training alone.
    drawn = (np.stack(row_draws) - np.stack(full_draws)).mean(axis=0)
    value, seeds = float(values.mean()), len(values)
    ((low, high),) = bootstrap.interval(drawn[:, None])
    between = 0.0
    if seeds > 1:
        quantile = float(stats.t.ppf((1 + bootstrap.COVERED) / 2, seeds - 1))
        between = quantile * float(values.std(ddof=1)) / seeds**0.5
    known = drawn[~np.isnan(drawn)]
    positive = float(((known > 0) + 0.5 * (known == 0)).mean()) if len(known) else float("nan")
    return Difference(
        value,
        value - float(np.hypot(value - low, between)),
        value + float(np.hypot(high - value, between)),
        positive,
    )


def mark(found: Difference, paper: float | None, *, one_training: bool = False) -> str:
    """Return how a difference agrees with the paper's.

    `one_training`: the row was trained anew, once, so that its interval lacks the noise of that.
    """
    if paper is None or paper == 0:
        return NO_DIFFERENCE
    same = np.sign(found.value) == np.sign(paper)
    if found.told_apart:
        return (ONE_TRAINING if one_training else SURE) if same else OPPOSITE
    agrees = found.positive if paper > 0 else 1 - found.positive
    return SIGN if same and agrees >= LIKELY else UNKNOWN
