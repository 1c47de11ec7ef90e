"""One person before one network: what each theta that is tried there costs and shows."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmpe_jax.inspection import branches, motion
from rmpe_jax.inspection.branches import Parallel, Runner
from rmpe_jax.inspection.example import Example
from rmpe_jax.inspection.motion import Motion
from rmpe_jax.inspection.views import View, view
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array


class Scene(NamedTuple):
    """A network, who is looked at, and the theta that it finds; `model` has a transformer."""

    model: PoseModel
    person: Example
    parallel: Parallel | None
    run: Runner
    start: Float[np.ndarray, "2 3"]

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the crop, in pixels."""
        settings = self.model.config.model
        return settings.input_height, settings.input_width


class Place(NamedTuple):
    """One theta, what it costs and shows; `loss_parallel` is weighted as in training.

    `error` is |theta - theta*| (Frobenius), `moved` the motion from the theta that was found.
    """

    label: str
    theta: Float[np.ndarray, "2 3"]
    loss_main: float
    loss_parallel: float
    error: float
    determinant: float
    moved: Motion
    view: View


def scene(model: PoseModel, person: Example, parallel: Parallel | None) -> Scene:
    """Return the scene of one person; raises ValueError if the model has no transformer."""
    run = branches.runner(model, person, parallel)
    return Scene(model, person, parallel, run, np.asarray(run.theta(), np.float64))


def place(
    scene: Scene,
    label: str,
    theta: Float[np.ndarray, "2 3"],
    losses: tuple[Array, Array] | None = None,
) -> Place:
    """Return what a theta (straight point -> crop point) costs and shows.

    `losses` (main, parallel, of each stack) need not be computed again where they are known.
    """
    person = scene.person
    main, parallel = losses or scene.run.losses(jnp.asarray(theta, jnp.float32))
    return Place(
        label=label,
        theta=theta,
        loss_main=float(jnp.sum(main)),
        loss_parallel=float(jnp.sum(parallel)),
        error=float(np.linalg.norm(theta - np.asarray(person.theta_star))),
        determinant=float(theta[0, 0] * theta[1, 1] - theta[0, 1] * theta[1, 0]),
        moved=motion.motion_of(scene.start, theta - scene.start, *scene.size),
        view=view(scene.model, person, scene.parallel, theta=theta),
    )
