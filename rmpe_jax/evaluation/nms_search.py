"""Search the parameters of pose NMS for the highest figure (RMPE, after eq. 10).

Two parameters at a time are searched while the other two are fixed: first eta with lambda, then
sigma1 with sigma2, by a coarse logarithmic grid and finer ones about its best, until neither pair
improves. What the paper leaves open (`NmsOptions`) is tried in the same way. A search that was
killed reads its trace back and computes no grid twice.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rmpe_jax.evaluation.nms_trace import Trace
from rmpe_jax.pose_nms import RMPE_MPII, NmsOptions, NmsParameters, NmsSet

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


@dataclass(frozen=True)
class Thoroughness:
    """How far to search."""

    coarse: int = 9
    """Points along each side of the first grid of a pair."""
    fine: int = 5
    """Points along each side of the grids about its best."""
    refinements: int = 2
    """Number of those grids, each finer than the one before."""
    enough: float = 1e-4
    """Least gain worth another round: 0.01 % of AP."""
    options: tuple[str, ...] = tuple(ALTERNATIVES)
    """Options to be tried too."""


STANDARD = Thoroughness()
QUICK = Thoroughness(coarse=6, fine=3, refinements=1, options=("merge", "support", "rank"))


class Fit(NamedTuple):
    """What was learned, and the figure it reaches on the poses it was learned from."""

    parameters: NmsParameters
    options: NmsOptions
    figure: float


class Task(NamedTuple):
    """What is searched: a figure as a function of the parameters, and where the search is noted.

    `figures(parameters, axes, options=...)` is what `nms_grid.figures` is of its poses.
    """

    figures: Callable[..., Float[np.ndarray, "x y"]]
    trace: Trace
    thoroughness: Thoroughness


def fit(task: Task, start: NmsSet = RMPE_MPII) -> Fit:
    """Return the best parameters and options found from `start`, never worse than it.

    Parameters are searched to the end, then every option is tried with its parameters searched
    less finely, and so on until no option helps.
    """
    best = search(task, _measured(task, start))
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


def _measured(task: Task, named: NmsSet) -> Fit:
    """Return parameters with the figure that they reach."""
    here = {name: np.array([getattr(named.parameters, name)]) for name in PAIRS[0]}
    return _grid(task, Fit(*named, figure=-np.inf), here)


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
            options = replace(best.options, **{name: value})
            trial = _measured(task, NmsSet(best.parameters, options))
            for pair in PAIRS:
                trial = search_pair(task, trial, pair, min(1, task.thoroughness.refinements))
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
        figures = task.figures(best.parameters, axes, options=best.options)
        task.trace.add(request, figures)
    highest = np.unravel_index(np.argmax(figures), figures.shape)
    found = {name: float(axes[name][at]) for name, at in zip(axes, highest, strict=True)}
    figure = float(figures[highest])
    where = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    task.trace.say(f"{figure:.4f}  {where}  ({_told(best.options)})")
    if figure <= best.figure:
        return best
    return best._replace(parameters=best.parameters._replace(**found), figure=figure)


def _told(options: NmsOptions) -> str:
    """Return the options that are tried, in a few words."""
    merging = "merged" if options.merge else "not merged"
    score = f"{options.carried} + {options.support:g} of the rest"
    return f"{merging}, {score}, {options.rank}, {options.h_form}, {options.region}"
