"""The loss of one person over the place of the window, and the way that descent takes down it."""

from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmpe_jax.inspection import motion
from rmpe_jax.inspection.branches import Parallel, Runner, runner
from rmpe_jax.inspection.example import Example
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array

Loss = Literal["total", "main", "parallel"]


class Landscape(NamedTuple):
    """Losses where the window is shifted (pixels of the crop) and zoomed (percent) from theta.

    Zoom above 0: a larger window. `parallel` is weighted as in training, and 0 without a parallel
    network; the loss of training is the sum of the two. `star` is theta*'s shift and zoom.
    """

    theta: Float[Array, "2 3"]
    shift: Float[np.ndarray, " n"]
    zoom: Float[np.ndarray, " m"]
    main: Float[np.ndarray, "m n"]
    parallel: Float[np.ndarray, "m n"]
    star: Float[np.ndarray, " 2"]


class Descent(NamedTuple):
    """T steps of theta against its gradient, the start first.

    `shift` and `zoom` are where the path lies over a landscape about the start; it goes its way in
    all six dimensions of theta, so its losses are not those of the landscape there.
    """

    thetas: Float[np.ndarray, "t 2 3"]
    loss: Float[np.ndarray, " t"]
    shift: Float[np.ndarray, " t"]
    zoom: Float[np.ndarray, " t"]
    error: Float[np.ndarray, " t"]
    """|theta - theta*|, Frobenius."""


def landscape(
    model: PoseModel,
    person: Example,
    parallel: Parallel | None = None,
    *,
    theta: Float[Array, "2 3"] | None = None,
    shift: Any = None,
    zoom: Any = None,
    along: Literal["x", "y"] = "x",
) -> Landscape:
    """Return the losses around theta (the one that the model finds).

    `shift` in pixels of the crop (default: 21 values to a quarter of it either way), `zoom` in
    percent (21 values, -40 to 40).
    """
    run, theta, size = _begin(model, person, parallel, theta)
    side = size[1] if along == "x" else size[0]
    shifts = np.linspace(-side / 4, side / 4, 21) if shift is None else np.asarray(shift, float)
    zooms = np.linspace(-40, 40, 21) if zoom is None else np.asarray(zoom, float)
    units = motion.basis(theta, *size)
    changes = (
        shifts[None, :, None, None] * units[0 if along == "x" else 1]
        + zooms[:, None, None, None] * units[2]
    )
    places = (theta + changes).reshape(-1, 2, 3)
    losses = [run.losses(jnp.asarray(one, jnp.float32)) for one in places]
    main, judged = (
        np.array([float(jnp.sum(parts[which])) for parts in losses]).reshape(changes.shape[:2])
        for which in (0, 1)
    )
    star = motion.motion_of(theta, np.asarray(person.theta_star, np.float64) - theta, *size)
    across = star.shift_x if along == "x" else star.shift_y
    return Landscape(
        jnp.asarray(theta), shifts, zooms, main, judged, np.array([across, star.zoom], np.float64)
    )


def descend(
    model: PoseModel,
    person: Example,
    parallel: Parallel | None = None,
    *,
    theta: Float[Array, "2 3"] | None = None,
    steps: int = 20,
    first_step_px: float = 1.0,
    loss: Loss = "total",
    along: Literal["x", "y"] = "x",
) -> Descent:
    """Return the path of gradient descent on theta alone, without momentum.

    The rate is such that the first step moves the window by `first_step_px` (`motion.distance_px`).
    `loss`: which of the two losses goes down. Without a gradient theta stays where it is.
    """
    if loss == "parallel" and parallel is None:
        raise ValueError(
            "there is no parallel loss to go down without a parallel network: give "
            "training.parallel.load_parallel(...), or loss='main'"
        )
    run, start, size = _begin(model, person, parallel, theta)
    now, rate = start, None
    thetas, losses = [], []
    for step in range(steps + 1):
        found, gradients = run.summed(jnp.asarray(now, jnp.float32))
        main, judged = (float(np.sum(part)) for part in found)
        stn, sdtn, by_parallel = (np.asarray(part, np.float64).sum(axis=0) for part in gradients)
        down = {"main": stn + sdtn, "parallel": by_parallel, "total": stn + sdtn + by_parallel}
        thetas.append(now)
        losses.append({"main": main, "parallel": judged, "total": main + judged}[loss])
        if rate is None:
            far = float(motion.distance_px(down[loss], *size))
            rate = first_step_px / far if far > 0 else 0.0
        if step < steps:
            now = now - rate * down[loss]
    path = np.stack(thetas)
    moved = motion.motion_of(start, path - start, *size)
    star = np.asarray(person.theta_star, np.float64)
    return Descent(
        path,
        np.array(losses),
        moved.shift_x if along == "x" else moved.shift_y,
        moved.zoom,
        np.linalg.norm(path - star, axis=(1, 2)),
    )


def _begin(
    model: PoseModel, person: Example, parallel: Parallel | None, theta: Any
) -> tuple[Runner, Float[np.ndarray, "2 3"], tuple[int, int]]:
    run = runner(model, person, parallel)
    start = np.asarray(run.theta() if theta is None else theta, np.float64)
    if not np.isfinite(start).all():
        raise ValueError(
            f"theta is {start.tolist()}; there is nothing around it: it must be finite"
        )
    return run, start, (model.config.model.input_height, model.config.model.input_width)
