"""From ranked detections to average precision: COCO's, and VOC's of 2011.

Every metric that ranks ends here, once it has said of each detection whether it is true. Pure
functions of arrays on the host, quick enough to be repeated for each draw of a bootstrap.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

RECALLS = np.linspace(0, 1, 101)  # where COCO reads precision
SMALLEST = np.spacing(1)  # COCO divides by detections + this


class Ranking(NamedTuple):
    """n detections on i photographs by falling score, each judged c times (thresholds, ranges).

    `image` is the row of a detection's photograph. A detection that is neither `true` nor `false`
    is ignored. `needed` is how many there are to find on each photograph.
    """

    image: Int[np.ndarray, " n"]
    true: Bool[np.ndarray, "c n"]
    false: Bool[np.ndarray, "c n"]
    needed: Int[np.ndarray, "c i"]


class _Curve(NamedTuple):
    """What one judge says at the h true detections that count, by falling score.

    `share` is how often each counts; `true` and `false` are what was found up to and with it.
    Precision falls between true detections, so that no figure needs it elsewhere.
    """

    share: Real[np.ndarray, " h"]
    true: Real[np.ndarray, " h"]
    false: Real[np.ndarray, " h"]


def by_score(
    image: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    true: Bool[np.ndarray, "c n"],
    false: Bool[np.ndarray, "c n"],
    needed: Int[np.ndarray, "c i"],
) -> Ranking:
    """Return the ranking; of equal scores the detection that comes first counts first."""
    order = np.argsort(-score, kind="stable")
    return Ranking(image[order], true[:, order], false[:, order], needed)


def regroup(ranking: Ranking, row: Int[np.ndarray, " i"], count: int) -> Ranking:
    """Return the ranking over `count` larger units, of which unit i is a part of `row[i]`."""
    needed = np.zeros((len(ranking.needed), count), np.int64)
    np.add.at(needed.T, row, ranking.needed.T)
    return ranking._replace(image=row[ranking.image], needed=needed)


def precision_at_recalls(
    ranking: Ranking, weights: Real[np.ndarray, " i"] | None = None
) -> Float[np.ndarray, "c 101"]:
    """Return COCO's interpolated precision at the recalls 0, 0.01, ... 1; -1 without need.

    Precision is true / (true + false + 2.2e-16), then the best at that recall or a higher one, and
    0 at recalls that are not reached: to the last bit what pycocotools' `accumulate` gives.

    `weights` is how often each photograph counts: 0 or 1 for a subset, the number of times it was
    drawn for a bootstrap. A detection then counts that often at its place in the ranking. That is
    what repeating the photographs gives, but for equal scores on one photograph: true (t) and
    false (f) count as t t f f where photographs, one after the other, would give t f t f.
    """
    sampled = np.full((len(ranking.needed), len(RECALLS)), -1.0)
    needed = _needed(ranking, weights)
    for row, (total, curve) in enumerate(zip(needed, _curves(ranking, weights), strict=True)):
        if total == 0:
            continue
        precision = curve.true / (curve.true + curve.false + SMALLEST)
        at = np.searchsorted(curve.true / total, RECALLS)
        reached = at < len(precision)
        sampled[row] = 0
        sampled[row, reached] = _envelope(precision)[at[reached]]
    return sampled


def interpolated_precision(
    ranking: Ranking, weights: Real[np.ndarray, " i"] | None = None
) -> Float[np.ndarray, " c"]:
    """Return COCO's average precision: the mean over 101 recalls; -1 where nothing is needed.

    For `weights` see `precision_at_recalls`.
    """
    return precision_at_recalls(ranking, weights).mean(axis=1)


def area_under_precision(
    ranking: Ranking, weights: Real[np.ndarray, " i"] | None = None
) -> Float[np.ndarray, " c"]:
    """Return VOC's average precision of 2011: the area under the envelope at all recalls.

    0 where nothing was found, NaN where nothing is needed. For `weights` see
    `precision_at_recalls`. Everingham et al., The PASCAL VOC development kit (2011), VOCap.
    """
    areas = np.full(len(ranking.needed), np.nan)
    needed = _needed(ranking, weights)
    for row, (total, curve) in enumerate(zip(needed, _curves(ranking, weights), strict=True)):
        if total > 0:
            precision = curve.true / (curve.true + curve.false)
            areas[row] = np.sum(curve.share * _envelope(precision)) / total
    return areas


def highest_recall(
    ranking: Ranking, weights: Real[np.ndarray, " i"] | None = None
) -> Float[np.ndarray, " c"]:
    """Return the recall of all detections together, COCO's AR; -1 where nothing is needed.

    For `weights` see `precision_at_recalls`.
    """
    needed = _needed(ranking, weights)
    if weights is None:
        found = ranking.true.sum(axis=1)
    else:
        share = weights[ranking.image]
        found = np.array([share[true].sum() for true in ranking.true])
    return np.where(needed > 0, found / np.where(needed > 0, needed, 1), -1.0)


def _needed(ranking: Ranking, weights: Real[np.ndarray, " i"] | None) -> Real[np.ndarray, " c"]:
    if weights is None:
        return ranking.needed.sum(axis=1)
    photographs = ranking.needed.shape[1]
    if len(weights) != photographs or not np.all(weights >= 0):
        lowest = f", the lowest {weights.min():g}" if len(weights) else ""
        raise ValueError(
            f"{len(weights)} weights came{lowest}; one of 0 or more is needed for each of the "
            f"{photographs} photographs: how often it counts"
        )
    return ranking.needed @ weights


def _curves(ranking: Ranking, weights: Real[np.ndarray, " i"] | None) -> Iterator[_Curve]:
    """Yield the curve of each judge: one by one, as rows of 100,000 stay in a core's cache."""
    if weights is None:
        for true, false in zip(ranking.true, ranking.false, strict=True):
            at = np.flatnonzero(true)
            share = np.ones(len(at))
            yield _Curve(share, np.arange(1, len(at) + 1), np.cumsum(false)[at])
        return
    share = weights.astype(np.float64)[ranking.image]
    drawn = share > 0
    for true, false in zip(ranking.true, ranking.false, strict=True):
        at = np.flatnonzero(true & drawn)
        own = share[at]
        yield _Curve(own, np.cumsum(own), np.cumsum(false * share)[at])


def _envelope(precision: Float[np.ndarray, " h"]) -> Float[np.ndarray, " h"]:
    """Return at each place the highest value from there on."""
    return np.maximum.accumulate(precision[::-1])[::-1]
