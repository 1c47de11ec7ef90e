"""What leaves one pose of each person in a row: chosen on poses that a held-out part tells.

Every scheme has its parameters sought for the highest AP on the same poses, those of the paper's
competitors too: what is compared is the schemes, not how well somebody guessed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rmpe_jax.ablation.rows import Nms
from rmpe_jax.evaluation import fast_oks, nms_grid
from rmpe_jax.evaluation.fit_nms import OksPrecision
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
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import Skeleton

# The four parameters of the paper, by its alternation; the options are those of the paper's code.
SEARCH = Thoroughness(coarse=6, fine=3, refinements=1, options=())
OPTIONS = {"learned": NmsOptions(), "unmerged": NmsOptions(merge=False, carried="own")}
GRIDS: dict[str, list[Any]] = {
    "matched_joints": [
        MatchedJoints(float(count), fraction)
        for count in (2, 3, 4, 5, 6, 7, 9, 11)
        for fraction in (0.05, 0.1, 0.15, 0.2)
    ],
    "truncated_mean": [TruncatedMean(norm=norm) for norm in np.geomspace(0.25, 8, 11).tolist()],
}


def learned(data: Data, nms: Nms, skeleton: Skeleton, trace: Path) -> dict[str, Any]:
    """Return the parameters with which a scheme reaches the highest AP on these poses.

    A search that was interrupted goes on from `trace`.
    """
    measure = OksPrecision(skeleton.sigmas)
    _, truth = fast_oks.truth_arrays(data.truth)
    if nms in OPTIONS:
        task = Task(data.poses, truth, measure, Trace(trace, "held-out poses"), SEARCH)
        best = fit(task, NmsSet(RMPE_MPII.parameters, OPTIONS[nms]))
        told = {"parameters": best.parameters._asdict(), "options": asdict(best.options)}
        return {"scheme": "parametric", **told, "AP": best.figure}
    reached = [
        float(measure(truth, _of_all(data.poses, tried, scheme=nms))) for tried in GRIDS[nms]
    ]
    best_at = int(np.argmax(reached))
    return {
        "scheme": nms,
        "parameters": GRIDS[nms][best_at]._asdict(),
        "AP": reached[best_at],
        "tried": len(reached),
    }


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
    return _records(left, data.ids)


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


def _records(poses: Poses, ids: Sequence[int]) -> list[dict[str, Any]]:
    return [
        record
        for row, image_id in enumerate(ids)
        for record in to_records(Poses(*(field[row] for field in poses)), image_id)
    ]


def write(path: Path, chosen: dict[str, Any]) -> None:
    """Write what was chosen."""
    path.write_text(json.dumps(chosen, indent=2) + "\n")
