"""Pose NMS of several kinds on the same poses: figures, a table, and pictures of a search."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from rmpe_jax.evaluation import coco, nms_grid
from rmpe_jax.evaluation.nms_search import PAIRS
from rmpe_jax.evaluation.nms_trace import Trace
from rmpe_jax.evaluation.redundant_poses import Data
from rmpe_jax.nms_baselines import matched_joint_nms, no_nms, oks_nms, truncated_mean_nms
from rmpe_jax.pose_nms import ALPHAPOSE_COCO, RMPE_MPII, NmsSet, pose_nms
from rmpe_jax.predict import to_records
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import Skeleton

Scheme = Callable[[Poses], Poses]
PUBLISHED = {"RMPE_MPII": RMPE_MPII, "ALPHAPOSE_COCO": ALPHAPOSE_COCO}


def schemes(learned: NmsSet, skeleton: Skeleton) -> dict[str, Scheme]:
    """Return what is compared, compiled for all photographs: learned, published, other schemes."""
    named = {"learned": learned}
    for name, (parameters, options) in PUBLISHED.items():
        named[name] = NmsSet(parameters, options)
        alone = replace(options, merge=False, carried="own", support=0.0)
        named[f"{name}, no merging"] = NmsSet(parameters, alone)
        if options.matched_joints:
            eq_10 = replace(alone, matched_joints=0)
            named[f"{name}, no merging, by similarity only"] = NmsSet(parameters, eq_10)
    each: dict[str, Scheme] = {
        "none": no_nms,
        "OKS 0.9": partial(oks_nms, sigmas=skeleton.sigmas),
        "matched joints": matched_joint_nms,
        "truncated mean": truncated_mean_nms,
        **{name: partial(_by_set, named=one) for name, one in named.items()},
    }
    return {name: jax.jit(partial(_of_all, scheme)) for name, scheme in each.items()}


def _by_set(poses: Poses, named: NmsSet) -> Poses:
    return pose_nms(poses, *named)


def _of_all(scheme: Scheme, poses: Poses) -> Poses:
    return jax.lax.map(scheme, poses, batch_size=nms_grid.IMAGES_AT_ONCE)


def compare(
    data: Data, compared: dict[str, Scheme], skeleton: Skeleton
) -> dict[str, dict[str, float]]:
    """Return COCO's ten numbers (pycocotools) and the number of poses kept, of each scheme."""
    found = {}
    for name, scheme in compared.items():
        kept = jax.tree.map(np.asarray, scheme(data.poses))
        records = [
            record
            for row, image_id in enumerate(data.ids)
            for record in to_records(Poses(*(field[row] for field in kept)), image_id)
        ]
        numbers = coco.average_precision(data.truth, records, skeleton)
        found[name] = {**numbers, "poses": len(records)}
    return found


def table(result: dict[str, Any]) -> str:
    """Return a result as lines for people to read."""
    learned = ", ".join(f"{name} {value:.4g}" for name, value in result["parameters"].items())
    options = ", ".join(f"{name} {value}" for name, value in result["options"].items())
    lines = [f"learned: {learned}", f"options: {options}"]
    for where in ("learned_on", "tested_on"):
        if where in result:
            head = f"| {where.replace('_', ' ')} | AP | AP50 | AP75 | AR | poses |"
            lines += [head, "|---" * 6 + "|"]
            for name, numbers in result[where].items():
                values = " | ".join(f"{numbers[key]:.4f}" for key in ("AP", "AP50", "AP75", "AR"))
                lines.append(f"| {name} | {values} | {numbers['poses']} |")
    return "\n".join(lines)


def heat_maps(trace: Trace, learned: NmsSet, path: Path) -> None:
    """Draw the figure over the ranges of each pair, as it was last searched with these options."""
    figure = Figure(figsize=(6 * len(PAIRS), 4.5), layout="constrained")
    for place, pair in enumerate(PAIRS):
        x, y = pair
        options = json.loads(json.dumps(asdict(learned.options)))
        grids = [
            (grid["request"]["axes"], np.array(grid["figures"]))
            for grid in trace.grids
            if grid["request"]["options"] == options and list(grid["request"]["axes"]) == [x, y]
        ]
        axes, figures = max(reversed(grids), key=lambda grid: np.ptp(np.log(grid[0][x])))
        panel = figure.add_subplot(1, len(PAIRS), place + 1)
        mesh = panel.pcolormesh(axes[x], axes[y], figures.T, shading="nearest")
        chosen = learned.parameters._asdict()
        panel.plot(chosen[x], chosen[y], "rx", markersize=10)
        panel.set(xscale="log", yscale="log", xlabel=x, ylabel=y.rstrip("_"))
        figure.colorbar(mesh, label="AP")
    figure.savefig(path)
