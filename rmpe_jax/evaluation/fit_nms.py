"""Learn the parameters of pose NMS by maximising average precision (RMPE, after eq. 10).

Two parameters at a time are searched while the other two are fixed: first eta with lambda, then
sigma1 with sigma2, by a coarse logarithmic grid and finer ones about its best, until neither pair
improves. What the paper leaves open (`NmsOptions`) is tried in the same way. The poses are
computed once, by whatever network. A trace of all grids is kept in a file: a search that was
killed reads it back and computes none of them twice.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from rich.console import Console

from rmpe_jax.data import coco as coco_files
from rmpe_jax.evaluation import coco, fast_oks, nms_grid, redundant_poses
from rmpe_jax.evaluation.nms_grid import Measure
from rmpe_jax.evaluation.run import commit
from rmpe_jax.nms_baselines import matched_joint_nms, no_nms, oks_nms, truncated_mean_nms
from rmpe_jax.pose_nms import (
    ALPHAPOSE_COCO,
    RMPE_MPII,
    NmsOptions,
    NmsParameters,
    NmsSet,
    pose_nms,
)
from rmpe_jax.predict import to_records
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import COCO17, Skeleton

# From hardly anything to nearly everything; similarity is at most K (1 + lambda).
RANGES = {
    "sigma1": (0.003, 3.0),
    "sigma2": (0.03, 30.0),
    "lambda_": (0.01, 10.0),
    "eta": (1.0, 100.0),
}
PAIRS = (("eta", "lambda_"), ("sigma1", "sigma2"))
ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "merge": (False, True),
    "carried": ("own", "max", "weighted"),
    "support": (0.0, 0.1, 0.3),
    "rank": ("confidence", "score"),
    "h_form": ("code", "paper"),
    "region": ("circle", "box"),
}
Scheme = Callable[[Poses], Poses]

PUBLISHED = {"RMPE_MPII": RMPE_MPII, "ALPHAPOSE_COCO": ALPHAPOSE_COCO}


@dataclass(frozen=True)
class Thoroughness:
    """How far to search."""

    coarse: int = 13
    """Points along each side of the first grid of a pair."""
    fine: int = 7
    """Points along each side of the grids about its best."""
    refinements: int = 2
    """Number of those grids, each finer than the one before."""
    enough: float = 1e-4
    """Least gain worth another round: 0.01 % of AP."""
    options: tuple[str, ...] = tuple(ALTERNATIVES)
    """Options to be tried too."""


QUICK = Thoroughness(coarse=7, fine=5, refinements=1, options=("merge", "support", "rank"))


class Fit(NamedTuple):
    """What was learned, and the figure it reaches on the poses it was learned from."""

    parameters: NmsParameters
    options: NmsOptions
    figure: float


class Data(NamedTuple):
    """Annotated photographs (COCO content, their ids) and poses before NMS, [i p ...]."""

    truth: dict[str, Any]
    ids: list[int]
    poses: Poses


class OksPrecision(NamedTuple):
    """COCO's AP as a measure; `truth` is `fast_oks.Truth`."""

    sigmas: tuple[float, ...]

    def __call__(self, truth: Any, poses: Poses) -> Float[Array, ""]:
        """Return AP in [0, 1]."""
        return fast_oks.average_precision(truth, poses, sigmas=self.sigmas)


class Task(NamedTuple):
    """What is searched: poses [i p ...], their truth in the measure's own form, and the trace."""

    poses: Poses
    truth: Any
    measure: Measure
    trace: "Trace"
    thoroughness: Thoroughness


class Trace:
    """The grids computed so far, in a JSON file that is written whole after each of them."""

    def __init__(self, path: Path | None, about: str, console: Console | None = None) -> None:
        """Read the trace of an earlier search back; `about` says of which poses and truth."""
        self.path, self.about, self.console = path, about, console
        self.grids: list[dict[str, Any]] = []
        if path is not None and path.exists():
            content = json.loads(path.read_text())
            if content["about"] != about:
                raise ValueError(
                    f"{path} is the trace of a search over other poses or annotations; delete it "
                    "or choose another folder"
                )
            self.grids = content["grids"]

    def figures(self, request: dict[str, Any]) -> np.ndarray | None:
        """Return what a grid gave, None if it was not computed yet."""
        done = [grid for grid in self.grids if grid["request"] == request]
        return np.array(done[0]["figures"]) if done else None

    def add(self, request: dict[str, Any], figures: np.ndarray) -> None:
        """Keep a grid, in the file too."""
        self.grids.append({"request": request, "figures": figures.tolist()})
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial_file = self.path.with_suffix(".partial")
            partial_file.write_text(json.dumps({"about": self.about, "grids": self.grids}))
            os.replace(partial_file, self.path)

    def say(self, text: str) -> None:
        """Show progress."""
        if self.console is not None:
            self.console.print(text)


def fit(task: Task, start: NmsSet = RMPE_MPII) -> Fit:
    """Return the best parameters and options found from `start`.

    Parameters are searched to the end, then every option is tried with its parameters searched
    coarsely, and so on until no option helps.
    """
    best = search(task, Fit(*start, figure=-1.0))
    while True:
        before = best
        for name in task.thoroughness.options:
            best = _try_option(task, best, name)
        if best.figure - before.figure < task.thoroughness.enough:
            return best
        best = search(task, best)


def search(task: Task, best: Fit) -> Fit:
    """Return the best parameters found with the given options."""
    while True:
        before = best
        for pair in PAIRS:
            best = search_pair(task, best, pair, task.thoroughness.refinements)
        if best.figure - before.figure < task.thoroughness.enough:
            return best


def search_pair(task: Task, best: Fit, pair: tuple[str, str], refinements: int) -> Fit:
    """Return the best values of two parameters: a grid over their ranges, then finer ones."""
    count = task.thoroughness.coarse
    best = _grid(task, best, {name: np.geomspace(*RANGES[name], count) for name in pair})
    step = {name: np.ptp(np.log(RANGES[name])) / (count - 1) for name in pair}
    sides = np.linspace(-1, 1, task.thoroughness.fine)
    for _ in range(refinements):
        centre = best.parameters._asdict()
        axes = {name: centre[name] * np.exp(step[name] * sides) for name in pair}
        best = _grid(task, best, axes)
        step = {name: width * (sides[1] - sides[0]) for name, width in step.items()}
    return best


def _try_option(task: Task, best: Fit, name: str) -> Fit:
    for value in ALTERNATIVES[name]:
        if value != getattr(best.options, name):
            trial = best._replace(options=replace(best.options, **{name: value}), figure=-1.0)
            for pair in PAIRS:
                trial = search_pair(task, trial, pair, 0)
            if trial.figure - best.figure >= task.thoroughness.enough:
                best = trial
    return best


def _grid(task: Task, best: Fit, axes: dict[str, np.ndarray]) -> Fit:
    """Return `best`, or the best point of a grid if that is better."""
    fixed = {name: v for name, v in best.parameters._asdict().items() if name not in axes}
    # Six digits are enough, and are read back from the trace as they were.
    axes = {name: np.array([float(f"{v:.6g}") for v in values]) for name, values in axes.items()}
    request = {
        "options": asdict(best.options),
        "fixed": fixed,
        "axes": {name: values.tolist() for name, values in axes.items()},
    }
    request = json.loads(json.dumps(request))
    figures = task.trace.figures(request)
    if figures is None:
        figures = nms_grid.figures(
            task.poses,
            task.truth,
            best.parameters,
            axes,
            options=best.options,
            measure=task.measure,
        )
        task.trace.add(request, figures)
    highest = np.unravel_index(np.argmax(figures), figures.shape)
    found = {name: float(axes[name][at]) for name, at in zip(axes, highest, strict=True)}
    figure = float(figures[highest])
    where = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    task.trace.say(f"{figure:.4f}  {where}  ({_told(best.options)})")
    if figure <= best.figure:
        return best
    return best._replace(parameters=best.parameters._replace(**found), figure=figure)


def fit_nms(
    poses: Path,
    annotations: Path,
    out: Path,
    *,
    test_poses: Path | None = None,
    test_annotations: Path | None = None,
    start: NmsSet = RMPE_MPII,
    only_with_poses: bool = False,
    skeleton: Skeleton = COCO17,
    thoroughness: Thoroughness = Thoroughness(),
    console: Console | None = None,
) -> dict[str, Any]:
    """Learn from a file of redundant poses; return and write what was learned and what it reaches.

    Leaves fit_nms.json, trace.json and pairs.png in `out`. `only_with_poses` leaves annotated
    photographs without a pose out of the learning, for poses of a part of the photographs. The
    test files, of other photographs, are only measured.
    """
    began = time.perf_counter()
    console = console or Console()
    data = read_data(poses, annotations, skeleton, only_with_poses=only_with_poses)
    _, arrays = fast_oks.truth_arrays(data.truth)
    trace = Trace(out / "trace.json", _fingerprint(data), console)
    measure = OksPrecision(skeleton.sigmas)
    best = fit(Task(data.poses, arrays, measure, trace, thoroughness), start)
    learned = NmsSet(best.parameters, best.options)
    heat_maps(trace, learned, out / "pairs.png")
    compared = schemes(learned, skeleton)
    result = {
        "parameters": best.parameters._asdict(),
        "options": asdict(best.options),
        "learned_on": compare(data, compared, skeleton),
        "files": _named(poses, annotations),
        "points": int(sum(np.size(grid["figures"]) for grid in trace.grids)),
        "thoroughness": asdict(thoroughness),
        "commit": commit(),
    }
    if test_poses is not None and test_annotations is not None:
        unseen = read_data(test_poses, test_annotations, skeleton)
        result["tested_on"] = compare(unseen, compared, skeleton)
        result["test_files"] = _named(test_poses, test_annotations)
    result["seconds"] = round(time.perf_counter() - began, 1)
    text = json.dumps(result, indent=2)
    (out / "fit_nms.json").write_text(text + "\n")
    return json.loads(text)


def read_data(
    poses: Path, annotations: Path, skeleton: Skeleton, *, only_with_poses: bool = False
) -> Data:
    """Return the poses of a file padded by photograph, and the annotations of the same ones."""
    photographs = coco_files.index(annotations, skeleton)
    image, flat = redundant_poses.read(poses, len(skeleton.joints))
    if only_with_poses:
        named = set(image.tolist())
        photographs = [entry for entry in photographs if entry.image_id in named] or photographs
    truth = coco.ground_truth(photographs, skeleton)
    ids, _ = fast_oks.truth_arrays(truth)
    return Data(truth, ids, redundant_poses.by_image(image, flat, ids))


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


def _named(*paths: Path) -> dict[str, str]:
    """Return a hash of each file, by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _fingerprint(data: Data) -> str:
    """Return a hash of all that the search depends on."""
    digest = hashlib.sha256(json.dumps(data.truth, sort_keys=True).encode())
    for field in data.poses:
        digest.update(np.ascontiguousarray(field).tobytes())
    return digest.hexdigest()


def _told(options: NmsOptions) -> str:
    """Return the options that are tried, in a few words."""
    merging = "merged" if options.merge else "not merged"
    score = f"{options.carried} + {options.support:g} of the rest"
    return f"{merging}, {score}, {options.rank}, {options.h_form}, {options.region}"
