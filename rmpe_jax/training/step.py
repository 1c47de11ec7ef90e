"""One training step: a pure function of (state, batch)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rmpe_jax.config import Config
from rmpe_jax.geometry import heatmaps
from rmpe_jax.losses import cross_entropy_loss, heatmap_loss
from rmpe_jax.records import Batch, Variables


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


def targets(
    joints_crop: Float[Array, "b k 2"], height: int, width: int, sigma: float
) -> Float[Array, "b {height} {width} k"]:
    """Return one Gaussian per joint, `sigma` in heat-map pixels."""
    return jax.vmap(lambda joints: heatmaps.encode(joints, height, width, sigma))(joints_crop)


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    module: nn.Module,
    optimiser: optax.GradientTransformation,
    config: Config,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Return the state after `batch`, and the metrics of the step.

    Written for the global view of a batch: means are over all of it, on however many devices.
    """
    images = jnp.asarray(batch.crop, jnp.float32) / 255
    loss_function = heatmap_loss if config.train.loss == "squared" else cross_entropy_loss

    def loss_of(params: Variables) -> tuple[Float[Array, ""], Variables]:
        predicted, updated = module.apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
        )
        _, _, height, width, _ = predicted.shape
        wanted = targets(batch.joints_crop, height, width, config.train.sigma)
        return loss_function(predicted, wanted, batch.weight), updated["batch_stats"]

    (loss, batch_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    updates, optimiser_state = optimiser.update(gradient, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {
        "loss": loss,
        "gradient_norm": optax.tree.norm(gradient),
        "parameter_norm": optax.tree.norm(params),
    }
    return TrainState(
        step=state.step + 1,
        key=state.key,
        params=params,
        batch_stats=batch_stats,
        optimiser=optimiser_state,
        average=_moved(
            state.average,
            {"params": params, "batch_stats": batch_stats},
            state.step,
            config.optimiser.ema,
        ),
    ), metrics


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
