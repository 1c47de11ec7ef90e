"""The figures that are taken on each data set: their names, how poses are judged, which leads."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rmpe_jax.evaluation import box_map, coco_figures, mpii, posetrack, single_person

COCO, BOX, CROWDPOSE = "COCO", "mAP@0.1box", "CrowdPose"
MPII, POSETRACK = "MPII mAP", "PoseTrack mAP"
PCKH, PCK, PCP = "PCKh@0.5", "PCK@0.2", "PCP"


class Metric(NamedTuple):
    """A metric: (photographs, found, skeleton) -> judged; (judged, weights) -> figures.

    `leading` names the figure that people quote. `single` metrics judge the one pose that was made
    for each annotated person, and so need the annotated boxes.
    """

    judge: Callable[..., Any]
    table: Callable[..., dict[str, float]]
    leading: str
    single: bool = False


METRICS = {
    COCO: Metric(coco_figures.judge, coco_figures.table, "AP"),
    CROWDPOSE: Metric(coco_figures.judge, coco_figures.crowd_table, "AP"),
    BOX: Metric(box_map.judge, box_map.table, "Total"),
    MPII: Metric(mpii.judge, mpii.table, "Total"),
    POSETRACK: Metric(posetrack.judge, posetrack.table, "Total"),
    PCKH: Metric(single_person.judge_pckh, single_person.pckh_figures, "mean_hrnet", True),
    PCK: Metric(single_person.judge_pck, single_person.pck_figures, "mean", True),
    PCP: Metric(single_person.judge_pcp, single_person.pcp_figures, "mean", True),
}
OF_SET = {
    "crowdpose": (COCO, CROWDPOSE, BOX),
    "posetrack18": (COCO, POSETRACK, BOX),
    "mpii": (COCO, MPII, PCKH, BOX),
    "lsp": (COCO, PCK, PCP),
    "lspet": (COCO, PCK, PCP),
}
ELSEWHERE = (COCO, BOX)


def of_set(name: str) -> tuple[str, ...]:
    """Return the metrics of a data set, COCO's first."""
    return OF_SET.get(name, ELSEWHERE)
