"""Score poses by all metrics of their data set, each with its interval."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rmpe_jax.evaluation import bootstrap
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.metrics import COCO, METRICS, left_out, of_set
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

Figures = dict[str, float | None]


class Scores(NamedTuple):
    """What poses are worth: figures by metric, their intervals, and the draws behind these.

    A figure that cannot be taken is None. `refused` says of metrics that cannot be taken why, and
    `left_out` what a metric passed over.
    """

    figures: dict[str, Figures]
    intervals: dict[str, dict[str, list[float | None]]]
    draws: dict[str, Float[np.ndarray, "r m"]]
    refused: dict[str, str]
    left_out: dict[str, dict[str, Any]]


def score(
    photographs: Sequence[Annotation],
    found: Found,
    skeleton: Skeleton,
    data_set: str,
    *,
    resamples: int = bootstrap.RESAMPLES,
) -> Scores:
    """Score what was found on annotated photographs by the metrics of the data set.

    `resamples` draws make an interval; with 0 there are none.
    """
    scores = Scores({}, {}, {}, {}, {})
    found = _owned(photographs, found)
    for name in of_set(data_set):
        metric = METRICS[name]
        if metric.single and (found.person_id < 0).any():
            scores.refused[name] = (
                "needs to know whose each pose is: annotated boxes, or a person_id in each record"
            )
            continue
        try:
            judged = metric.judge(photographs, found, skeleton)
        except ValueError as error:
            scores.refused[name] = str(error)
            continue
        passed = left_out(judged)
        if metric.single and (beside := _beside(found)):
            passed |= {"poses beside a better one of the same person": beside}
        if passed:
            scores.left_out[name] = passed
        figures = metric.table(judged, skeleton, None)
        scores.figures[name] = {key: _told(value) for key, value in figures.items()}
        if resamples and len(photographs) > 1:
            draws = bootstrap.drawn(
                lambda weights, table=metric.table, of=judged: _values(
                    table(of, skeleton, weights)
                ),
                len(photographs),
                resamples=resamples,
            )
            scores.draws[name] = draws.astype(np.float32)
            ends = bootstrap.interval(draws)
            scores.intervals[name] = {
                key: [_told(value) for value in pair]
                for key, pair in zip(figures, ends, strict=True)
            }
    return scores


def flat(scores: Scores) -> dict[str, Any]:
    """Return figures for a result file: COCO's by their names, the others by their metric's."""
    coco = scores.figures.get(COCO, {})
    others = {name: figures for name, figures in scores.figures.items() if name != COCO}
    result: dict[str, Any] = {**coco, **others, "intervals": scores.intervals}
    told = {"refused": scores.refused, "left_out": scores.left_out}
    return result | {name: value for name, value in told.items() if value}


def _owned(photographs: Sequence[Annotation], found: Found) -> Found:
    """Return the poses with their persons, where every photograph has one person and one pose."""
    ids = [photograph.persons.person_id for photograph in photographs]
    alone = all(len(own) == 1 for own in ids) and len(np.unique(found.image)) == len(found.image)
    if not alone or (found.person_id >= 0).any():
        return found
    return found._replace(person_id=np.array(ids, np.int64).reshape(-1)[found.image])


def _beside(found: Found) -> int:
    """Return how many poses there are beyond one for each person."""
    return len(found.image) - len(np.unique(np.stack([found.image, found.person_id]), axis=1).T)


def _values(figures: dict[str, float]) -> Float[np.ndarray, " m"]:
    values = np.array(list(figures.values()), np.float64)
    # COCO says -1 where there is nothing to find: no figure to average over.
    return np.where(values < 0, np.nan, values)


def _told(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
