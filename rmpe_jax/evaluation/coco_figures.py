"""COCO's ten numbers and CrowdPose's, on any part of the photographs, without pycocotools.

Equal to pycocotools' to the last digits (`tests/evaluation/test_coco_figures.py`); `coco` has the
reference itself, this has weights. -1 where nothing is to be found, as there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Real

from rmpe_jax.evaluation import oks, ranking
from rmpe_jax.evaluation.coco import NAMES
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.ranking import Ranking
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

# CrowdPose's easy, medium and hard photographs by the index of crowding: below these (Li et al.,
# CrowdPose, CVPR 2019; crowdposetools).
LEVELS = {"APeasy": 0.2, "APmedium": 0.8, "APhard": np.inf}


class Judged(NamedTuple):
    """The poses of i photographs, judged at ten thresholds for each range of sizes.

    `level` is the row in LEVELS of each photograph, -1 where it does not say how crowded it is.
    """

    ranking: Ranking
    level: Int[np.ndarray, " i"]


def judge(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Judged:
    """Match all poses with the annotated people by OKS."""
    persons, image = everyone(photographs, skeleton)
    meeting = oks.meeting(persons, image, len(photographs), found, skeleton.sigmas)
    crowded = [photograph.facts.get("crowd_index", np.nan) for photograph in photographs]
    index = np.array(crowded, np.float64)
    level = np.searchsorted(list(LEVELS.values()), index, side="right")
    return Judged(oks.by_size(meeting, persons, found), np.where(np.isnan(index), -1, level))


def table(judged: Judged, weights: Real[np.ndarray, " i"] | None = None) -> dict[str, float]:
    """Return COCO's ten numbers in [0, 1]."""
    shape = (len(oks.RANGES), len(oks.THRESHOLDS))
    precision = ranking.interpolated_precision(judged.ranking, weights).reshape(shape)
    recall = ranking.highest_recall(judged.ranking, weights).reshape(shape)
    at_75 = int(np.argmin(np.abs(oks.THRESHOLDS - 0.75)))
    values = [
        mean
        for of in (precision, recall)
        for mean in (of[0].mean(), of[0, 0], of[0, at_75], of[1].mean(), of[2].mean())
    ]
    return dict(zip(NAMES, map(float, values), strict=True))


def crowd_table(judged: Judged, weights: Real[np.ndarray, " i"] | None = None) -> dict[str, float]:
    """Return CrowdPose's figures: AP AP50 AP75 AR AR50 AR75 APeasy APmedium APhard."""
    figures = table(judged, weights)
    chosen = {name: figures[name] for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75")}
    every = ranking.Ranking(
        judged.ranking.image,
        judged.ranking.true[: len(oks.THRESHOLDS)],
        judged.ranking.false[: len(oks.THRESHOLDS)],
        judged.ranking.needed[: len(oks.THRESHOLDS)],
    )
    times = np.ones(len(judged.level)) if weights is None else weights
    for row, name in enumerate(LEVELS):
        part = ranking.interpolated_precision(every, times * (judged.level == row))
        chosen[name] = float(part.mean())
    return chosen
