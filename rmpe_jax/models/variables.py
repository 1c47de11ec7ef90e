"""The variables of a network: their first values, their shapes, and which of them stay fixed."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import PRNGKeyArray

from rmpe_jax.config import ModelConfig
from rmpe_jax.records import Variables


def initialise(key: PRNGKeyArray, module: nn.Module, model: ModelConfig) -> Variables:
    """Return random parameters and the first batch statistics, as one compiled program."""
    images = jnp.zeros((1, model.input_height, model.input_width, 3))
    return jax.jit(lambda key: module.init(key, images, train=False))(key)


def shapes(module: nn.Module, model: ModelConfig) -> Variables:
    """Return the variables' shapes and types; nothing is computed."""
    images = jax.ShapeDtypeStruct((1, model.input_height, model.input_width, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(lambda key, images: module.init(key, images, train=False), key, images)


def is_frozen(model: ModelConfig, path: tuple) -> bool:
    """Return whether a parameter belongs to the stem or the stages that stay fixed.

    `path` is the parameter's path as `jax.tree_util.tree_map_with_path` gives it.
    """
    if model.frozen_stages == 0:
        return False
    names = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
    fixed = {"conv1", "bn1"}
    stages = {f"layer{stage}" for stage in range(1, model.frozen_stages + 1)}
    return names[0] == "trunk" and (names[1] in fixed or names[1].split("_")[0] in stages)
