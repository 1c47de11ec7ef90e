"""One training step: a pure function of (state, batch)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rmpe_jax.config import Config
from rmpe_jax.data.teacher_maps import TeacherBatch
from rmpe_jax.geometry import affine
from rmpe_jax.losses import joints_loss
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.models.variables import learning
from rmpe_jax.records import Batch, Variables
from rmpe_jax.training.distillation import teacher_loss
from rmpe_jax.training.parallel import ParallelSPPE, parallel_loss


class TrainState(NamedTuple):
    """Everything a run is at one moment; `step` batches have been used.

    `average` is the running average of parameters and batch statistics that is evaluated (None:
    the present ones are).
    """

    step: Int[Array, ""]
    key: PRNGKeyArray
    params: Variables
    batch_stats: Variables
    optimiser: optax.OptState
    average: Variables | None

    @property
    def evaluated(self) -> Variables:
        """Return the variables that evaluation and prediction use."""
        if self.average is not None:
            return self.average
        return {"params": self.params, "batch_stats": self.batch_stats}


def start(
    key: PRNGKeyArray, variables: Variables, optimiser: optax.GradientTransformation, *, ema: float
) -> TrainState:
    """Return the state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        optimiser=optimiser.init(variables["params"]),
        # A copy: the step gives its input buffers away, and none may be given twice.
        average=jax.tree.map(jnp.copy, variables) if ema > 0 else None,
    )


class Branches(NamedTuple):
    """One thing for each of the two branches."""

    main: Float[Array, "b 2 3"]
    parallel: Float[Array, "b 2 3"]


def train_step(
    state: TrainState,
    batch: Batch,
    parallel_variables: Variables | None = None,
    teacher: TeacherBatch | None = None,
    *,
    module: nn.Module,
    optimiser: optax.GradientTransformation,
    config: Config,
    parallel: ParallelSPPE | None = None,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Return the state after `batch`, and the metrics of the step.

    With a transformer the loss is that of the main network, in the frame of the crop, plus that
    of the parallel network, in the straight frame, whose variables get no gradient (Fang et al.,
    RMPE, ICCV 2017, section 3.1). What a `teacher` sees is learned beside the labelled joints.
    Written for the global view of a batch: means are over all of
    it, on however many devices.
    """
    images = jnp.asarray(batch.crop, jnp.float32) / 255
    kind = {"loss": config.train.loss, "sigma": config.train.sigma}

    def of_maps(maps: Float[Array, "stacks b h w k"]) -> tuple[Float[Array, ""], Any]:
        """Return the loss of maps in the frame of the crop, and its part from the teacher."""
        loss = joints_loss(maps, batch.joints_crop, batch.weight, **kind)
        if teacher is None:
            return loss, {}
        taught = teacher_loss(maps, teacher)
        return loss + config.train.teacher_weight * taught, {"loss_teacher": taught}

    shifts = Branches(*(jnp.zeros((len(images), 2, 3)) for _ in Branches._fields))

    def loss_of(params: Variables, shifts: Branches) -> tuple[Float[Array, ""], Any]:
        variables = {"params": learning(config.model, params), "batch_stats": state.batch_stats}
        if not isinstance(module, RMPE):
            predicted, updated = module.apply(
                variables, images, train=True, mutable=["batch_stats"]
            )
            loss, details = of_maps(predicted)
            return loss, (updated["batch_stats"], details, None)
        taps, updated = module.apply(
            variables, images, shifts.main, train=True, mutable=["batch_stats"], method="taps"
        )
        loss, details = of_maps(taps.heatmaps_crop)
        losses = {"loss_main": loss, **details}
        if parallel is not None:
            theta = taps.theta - shifts.main + shifts.parallel
            losses["loss_parallel"] = parallel_loss(
                parallel, parallel_variables, images, theta, batch, module.axis_aligned
            )
            loss = loss + config.train.parallel_weight * losses["loss_parallel"]
        metrics = losses | theta_metrics(taps.theta, batch.theta_star)
        return loss, (updated["batch_stats"], metrics, batch.theta_star - taps.theta)

    (loss, (batch_stats, details, to_star)), (gradient, by_branch) = jax.value_and_grad(
        loss_of, argnums=(0, 1), has_aux=True
    )(state.params, shifts)
    state, metrics = advanced(state, gradient, batch_stats, optimiser, decay=config.optimiser.ema)
    metrics = {"loss": loss, **metrics, **details}
    if isinstance(module, RMPE):
        metrics |= _theta_gradients(by_branch, to_star)
    return state, metrics


def advanced(
    state: TrainState,
    gradient: Variables,
    batch_stats: Variables,
    optimiser: optax.GradientTransformation,
    *,
    decay: float,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Return the state after one update by a gradient, and the size of it and of the parameters.

    `decay` is that of the running average.
    """
    updates, optimiser_state = optimiser.update(gradient, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    moved = {"params": params, "batch_stats": batch_stats}
    metrics = {
        "gradient_norm": optax.tree.norm(gradient),
        "parameter_norm": optax.tree.norm(params),
    }
    return TrainState(
        step=state.step + 1,
        key=state.key,
        params=params,
        batch_stats=batch_stats,
        optimiser=optimiser_state,
        average=_moved(state.average, moved, state.step, decay),
    ), metrics


def theta_metrics(
    theta: Float[Array, "b 2 3"], theta_star: Float[Array, "b 2 3"]
) -> dict[str, Float[Array, "..."]]:
    """Return how far theta is from what it should say, and whether it can be inverted at all.

    `suspects` [b] are the people whose theta is no number; all else is one figure for the batch.
    """
    determinant = theta[:, 0, 0] * theta[:, 1, 1] - theta[:, 0, 1] * theta[:, 1, 0]
    return {
        "theta_error": jnp.mean(_size(theta - theta_star)),
        "theta_error_identity": jnp.mean(_size(jnp.eye(2, 3)[None] - theta_star)),
        "theta_determinant": jnp.mean(determinant),
        "theta_clamped": jnp.sum(jax.vmap(affine.is_clamped)(theta)),
        "suspects": ~jnp.isfinite(theta).all(axis=(1, 2)),
    }


def _theta_gradients(
    by_branch: Branches, to_star: Float[Array, "b 2 3"]
) -> dict[str, Float[Array, ""]]:
    """Return what the branches' gradients of one person's theta are like, means over the batch.

    Their sizes; the cosine between the two; and that of the step against each with the way to
    theta*. A cosine with nothing counts as 0.
    """
    metrics = {"theta_cosine": _cosine(by_branch.main, by_branch.parallel)}
    for name, gradient in by_branch._asdict().items():
        metrics[f"theta_gradient_{name}"] = jnp.mean(_size(gradient)) * len(gradient)
        metrics[f"theta_{name}_toward_star"] = _cosine(-gradient, to_star)
    return metrics


def _cosine(a: Float[Array, "b 2 3"], b: Float[Array, "b 2 3"]) -> Float[Array, ""]:
    sizes = _size(a) * _size(b)
    product = jnp.sum(a * b, axis=(1, 2))
    return jnp.mean(jnp.where(sizes > 0, product / jnp.where(sizes > 0, sizes, 1), 0))


def _size(theta: Float[Array, "b 2 3"]) -> Float[Array, " b"]:
    return jnp.sqrt(jnp.sum(theta**2, axis=(1, 2)))


def _moved(
    average: Variables | None, variables: Variables, step: Int[Array, ""], decay: float
) -> Variables | None:
    """Return the running average after one more set of variables.

    Early on the decay is (1 + t) / (10 + t), so that the average forgets the random start.
    """
    if average is None:
        return None
    time = jnp.asarray(step, jnp.float32)
    share = jnp.minimum(decay, (1 + time) / (10 + time))
    return jax.tree.map(lambda old, new: share * old + (1 - share) * new, average, variables)
