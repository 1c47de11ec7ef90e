"""The optimiser and its learning rate, from settings."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from rmpe_jax.config import Config, ModelConfig, OptimiserConfig
from rmpe_jax.models.variables import is_frozen, sppe_path
from rmpe_jax.records import Variables

# RMSprop of the original code (Torch's optim.rmsprop with alpha 0.99, eps outside the root).
RMSPROP_DECAY = 0.99
RMSPROP_EPSILON = 1e-8
# Root mean square of Adam's usual step, in learning rates (Liu et al., Muon is Scalable, 2025).
ADAM_RMS = 0.2
OUTPUT_LAYERS = ("final_layer", "conv_out", "outs_")  # of our networks, by how their names begin


def learning_rate(config: OptimiserConfig, steps: int) -> optax.Schedule:
    """Return the rate as a function of the step, over a run of `steps`."""
    warmup = min(config.warmup_steps, steps // 2)
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, max(1, steps - warmup))
    elif config.schedule == "steps":
        after = optax.piecewise_constant_schedule(
            config.learning_rate,
            {round(share * steps) - warmup: config.decay for share in config.milestones},
        )
    else:
        after = optax.constant_schedule(config.learning_rate)
    if warmup == 0:
        return after
    # One step in, the rate is one warm-up step high: a rate of exactly 0 wastes a batch.
    rising = optax.linear_schedule(
        config.learning_rate / warmup, config.learning_rate, max(1, warmup - 1)
    )
    return optax.join_schedules([rising, after], [warmup])


def build(config: Config) -> optax.GradientTransformation:
    """Return the optimiser of a run: clipping, Adam, RMSprop or Muon, decay, and the rate.

    Weight decay applies to kernels: not to biases and scales, and not to what the model keeps
    frozen (whose gradient is 0, but decay would still shrink it).
    """

    def decayed(params: Variables) -> Variables:
        return jax.tree_util.tree_map_with_path(
            lambda path, value: jnp.ndim(value) > 1 and not is_frozen(config.model, path), params
        )

    # Always the same chain, so that a run may go on under other settings: a limit of infinity
    # clips nothing, a decay of 0 adds nothing, a factor of 1 changes nothing.
    settings = config.optimiser
    if settings.name == "adam":
        scaling = optax.scale_by_adam()
    elif settings.name == "muon":
        choose = partial(_muon_or_adam, config.model)
        scaling = optax.partition({"muon": _muon(), "adam": optax.scale_by_adam()}, choose)
    else:
        scaling = optax.scale_by_rms(decay=RMSPROP_DECAY, eps=RMSPROP_EPSILON, eps_in_sqrt=False)
    return optax.chain(
        optax.clip_by_global_norm(settings.clip_norm or math.inf),
        scaling,
        optax.add_decayed_weights(settings.weight_decay, mask=decayed),
        optax.masked(optax.scale(settings.trunk_rate), _in_trunk),
        optax.scale_by_learning_rate(learning_rate(settings, config.train.steps)),
    )


def _in_trunk(params: Variables) -> Variables:
    """Return which parameters are the trunk's."""
    return jax.tree_util.tree_map_with_path(lambda path, _: sppe_path(path)[0] == "trunk", params)


def _muon() -> optax.GradientTransformation:
    """Return Muon (Jordan, 2024) for kernels [h w in out], each taken as one matrix.

    The step is the nearest orthogonal matrix to the averaged gradient, so that all directions
    learn alike; its size is made Adam's (Liu et al., Muon is Scalable for LLM Training, 2025), so
    that one learning rate serves both.
    """

    def axes(params: Variables) -> Variables:
        numbers = optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
        return jax.tree.map(lambda _: numbers, params)

    def resize(update: jax.Array) -> jax.Array:
        inputs, outputs = update[..., 0].size, update.shape[-1]
        return ADAM_RMS * max(inputs, outputs) ** 0.5 * update

    return optax.chain(
        optax.contrib.scale_by_muon(weight_dimension_numbers=axes),
        optax.stateless(lambda updates, _: jax.tree.map(resize, updates)),
    )


def _muon_or_adam(model: ModelConfig, params: Variables) -> Variables:
    """Return "muon" for kernels inside the network and "adam" for the rest.

    The rest are layers that give the heat-maps, whose outputs have nothing in common, biases and
    scales, and what the model keeps frozen, for which Muon's matrix products would be wasted.
    """

    def name(path: tuple, value: jax.Array) -> str:
        output = sppe_path(path)[0].startswith(OUTPUT_LAYERS)
        return "muon" if value.ndim == 4 and not output and not is_frozen(model, path) else "adam"

    return jax.tree_util.tree_map_with_path(name, params)
