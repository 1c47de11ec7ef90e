"""The figures that are taken on each data set: their names, how poses are judged, which leads."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rmpe_jax.evaluation import (
    box_map,
    coco_figures,
    given_persons,
    mpii,
    multi_person,
    posetrack,
    single_person,
    sticks,
)
from rmpe_jax.evaluation.single_person import Counts, Pckh
from rmpe_jax.skeletons import Skeleton

COCO, BOX, CROWDPOSE = "COCO", "mAP@0.1box", "CrowdPose"
MPII, POSETRACK = "MPII mAP", "PoseTrack mAP"
PCKH, PCK, PCP = "PCKh@0.5", "PCK@0.2", "PCP"
Table = Callable[[Any, Skeleton, Any], dict[str, float]]


class Metric(NamedTuple):
    """A metric: (photographs, found, skeleton) -> judged; (judged, skeleton, weights) -> figures.

    `leading` names the figure that people quote. `single` metrics judge the one pose that was made
    for each annotated person, and so need the annotated boxes.
    """

    judge: Callable[..., Any]
    table: Table
    leading: str
    single: bool = False


def _any_skeleton(table: Callable[[Any, Any], dict[str, float]]) -> Table:
    """Return a table which knows its joints as one that is told them."""
    return lambda judged, skeleton, weights: table(judged, weights)


METRICS = {
    COCO: Metric(coco_figures.judge, _any_skeleton(coco_figures.table), "AP"),
    CROWDPOSE: Metric(coco_figures.judge, _any_skeleton(coco_figures.crowd_table), "AP"),
    BOX: Metric(box_map.judge, _any_skeleton(box_map.table), "Total"),
    MPII: Metric(mpii.judge, _any_skeleton(mpii.table), "Total"),
    POSETRACK: Metric(posetrack.judge, _any_skeleton(posetrack.table), "Total"),
    PCKH: Metric(
        given_persons.pckh, single_person.pckh_table, "mean_hrnet_count_weighted", single=True
    ),
    PCK: Metric(given_persons.pck, single_person.pck_table, "Total", single=True),
    PCP: Metric(given_persons.pcp, sticks.pcp_table, "Total", single=True),
}
OF_SET = {
    "crowdpose": (COCO, CROWDPOSE),
    "posetrack17": (COCO, POSETRACK),
    "posetrack18": (COCO, POSETRACK, BOX),
    "mpii": (COCO, MPII, PCKH),
    "lsp": (COCO, PCK, PCP),
    "lspet": (COCO, PCK, PCP),
}
ELSEWHERE = (COCO, BOX)


def of_set(name: str) -> tuple[str, ...]:
    """Return the metrics of a data set, COCO's first."""
    return OF_SET.get(name, ELSEWHERE)


def left_out(judged: Any) -> dict[str, Any]:
    """Return what a metric could not judge: how many people without a unit, joints of nobody."""
    if isinstance(judged, multi_person.Judged):
        never = multi_person.never_labelled(judged)
        told = {name: count for name, count in judged.left_out.items() if count}
        return told | ({"joints never labelled": list(never)} if never else {})
    if isinstance(judged, Pckh):
        judged = judged.half
    if isinstance(judged, Counts) and judged.left_out.any():
        return {"people without a unit of length": int(judged.left_out.sum())}
    return {}
