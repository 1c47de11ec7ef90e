"""What leaves one pose of each person in a row: chosen on poses that a held-out part tells.

Every scheme has its parameters sought for the highest figure of the table (the paper's: mAP) on the
same poses, those of the paper's competitors too: what is compared is the schemes, not how well
somebody guessed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from rmpe_jax.ablation.rows import Nms
from rmpe_jax.evaluation import nms_grid
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.metrics import BOX, METRICS, MPII, of_set
from rmpe_jax.evaluation.nms_search import Task, Thoroughness, fit
from rmpe_jax.evaluation.nms_trace import Trace
from rmpe_jax.evaluation.redundant_poses import Data
from rmpe_jax.nms_baselines import (
    MatchedJoints,
    TruncatedMean,
    matched_joint_nms,
    truncated_mean_nms,
)
from rmpe_jax.pose_nms import RMPE_MPII, NmsOptions, NmsParameters, NmsSet, pose_nms
from rmpe_jax.predict import to_records
from rmpe_jax.records import Annotation, Poses
from rmpe_jax.skeletons import Skeleton

# The four parameters of the paper, by its alternation; the options are those of the authors' code.
SEARCH = Thoroughness(coarse=6, fine=3, refinements=1, options=())
OPTIONS = {"learned": NmsOptions(), "unmerged": NmsOptions(merge=False, carried="own")}
GRIDS: dict[str, list[Any]] = {
    "matched_joints": [
        MatchedJoints(float(count), fraction)
        for count in (1, 2, 3, 4, 5, 6, 7, 9, 11, 13)
        for fraction in (0.05, 0.1, 0.15, 0.2, 0.3)
    ],
    "truncated_mean": [TruncatedMean(norm=norm) for norm in np.geomspace(0.25, 8, 16).tolist()],
}


class Judged(NamedTuple):
    """Poses before elimination, and by what figure of which photographs they are judged."""

    data: Data
    photographs: Sequence[Annotation]
    skeleton: Skeleton
    metric: str

    def figure(self, poses: Poses) -> float:
        """Return the leading figure of poses [i p ...] of these photographs."""
        metric = METRICS[self.metric]
        judged = metric.judge(self.photographs, _found(poses), self.skeleton)
        return metric.table(judged, self.skeleton, None)[metric.leading]


def limb_metric(data_set: str) -> str:
    """Return the figure of the paper, or where a set has no heads the one nearest to it."""
    return MPII if MPII in of_set(data_set) else BOX


def learned(judged: Judged, nms: Nms, trace: Path) -> dict[str, Any]:
    """Return the parameters with which a scheme reaches the highest figure on these poses.

    A search that was interrupted goes on from `trace`.
    """
    poses = judged.data.poses
    if nms in OPTIONS:
        task = Task(partial(_figures, judged), Trace(trace, "held-out poses"), SEARCH)
        best = fit(task, NmsSet(RMPE_MPII.parameters, OPTIONS[nms]))
        told = {"parameters": best.parameters._asdict(), "options": asdict(best.options)}
        return {"scheme": "parametric", **told, "reached": best.figure, "metric": judged.metric}
    grid = GRIDS[nms]
    reached = [judged.figure(_of_all(poses, tried, scheme=nms)) for tried in grid]
    best_at = int(np.argmax(reached))
    return {
        "scheme": nms,
        "parameters": grid[best_at]._asdict(),
        "reached": reached[best_at],
        "metric": judged.metric,
    }


def about(nms: Nms) -> Any:
    """Return what the outcome of `learned` depends on beside the poses, as plain values."""
    if nms in OPTIONS:
        return [asdict(SEARCH), asdict(OPTIONS[nms]), RMPE_MPII.parameters._asdict()]
    return [tried._asdict() for tried in GRIDS[nms]]


def published() -> dict[str, Any]:
    """Return what the authors published for MPII."""
    parameters, options = RMPE_MPII
    return {
        "scheme": "parametric",
        "parameters": parameters._asdict(),
        "options": asdict(options),
    }


def eliminated(data: Data, chosen: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the poses that are left, as COCO results; all of them where nothing is chosen."""
    poses = data.poses
    if chosen is not None:
        values = {name: float(value) for name, value in chosen["parameters"].items()}
        if chosen["scheme"] == "parametric":
            options = NmsOptions(**chosen["options"])
            poses = _of_all(poses, NmsParameters(**values), scheme="parametric", options=options)
        else:
            kind = {"matched_joints": MatchedJoints, "truncated_mean": TruncatedMean}
            parameters = kind[chosen["scheme"]](**values)
            poses = _of_all(poses, parameters, scheme=chosen["scheme"])
    left = jax.tree.map(np.asarray, poses)
    return [
        record
        for row, image_id in enumerate(data.ids)
        for record in to_records(Poses(*(field[row] for field in left)), image_id)
    ]


def write(path: Path, chosen: dict[str, Any]) -> None:
    """Write what was chosen."""
    path.write_text(json.dumps(chosen, indent=2) + "\n")


def _figures(
    judged: Judged,
    parameters: NmsParameters,
    axes: dict[str, np.ndarray],
    *,
    options: NmsOptions,
) -> Float[np.ndarray, "x y"]:
    """Return the figure for each pair of values of two axes: `nms_grid.figures`, of any metric."""
    (first, firsts), (second, seconds) = axes.items()

    def at(one: float, other: float) -> float:
        tried = parameters._replace(**{first: float(one), second: float(other)})
        left = _of_all(judged.data.poses, tried, scheme="parametric", options=options)
        return judged.figure(left)

    return np.array([[at(one, other) for other in seconds] for one in firsts])


@partial(jax.jit, static_argnames=("scheme", "options"))
def _of_all(
    poses: Poses, parameters: Any, *, scheme: str, options: NmsOptions = RMPE_MPII.options
) -> Poses:
    """Return the poses of all photographs, [i p ...], after elimination."""
    schemes: dict[str, Any] = {
        "parametric": partial(pose_nms, options=options),
        "matched_joints": matched_joint_nms,
        "truncated_mean": truncated_mean_nms,
    }
    one = partial(schemes[scheme], parameters=parameters)
    return jax.lax.map(one, poses, batch_size=nms_grid.IMAGES_AT_ONCE)


def _found(poses: Poses) -> Found:
    """Return the poses of photographs, [i p ...], as metrics take them."""
    fields = Poses(*(np.asarray(field) for field in poses))
    image, place = np.nonzero(fields.valid)
    return Found(
        image=image,
        joints_px=fields.joints_px[image, place].astype(np.float64),
        joint_score=fields.confidence[image, place].astype(np.float64),
        score=fields.score[image, place].astype(np.float64),
        person_id=np.full(len(image), -1),
        boxes_px=fields.boxes_px[image, place].astype(np.float64),
    )
