"""The variables of a network: their first values, their shapes, and which of them stay fixed."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from rmpe_jax.config import ModelConfig
from rmpe_jax.records import Variables


def initialise(key: PRNGKeyArray, module: nn.Module, model: ModelConfig) -> Variables:
    """Return random parameters and the first batch statistics, as one compiled program."""
    images = jnp.zeros((1, model.input_height, model.input_width, 3))
    return jax.jit(lambda key: _first(module, key, images))(key)


def shapes(module: nn.Module, model: ModelConfig) -> Variables:
    """Return the variables' shapes and types; nothing is computed."""
    images = jax.ShapeDtypeStruct((1, model.input_height, model.input_width, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(lambda key, images: _first(module, key, images), key, images)


def _first(module: nn.Module, key: PRNGKeyArray, images: Float[Array, "1 h w 3"]) -> Variables:
    # A network without batch norm has no statistics, and says nothing of them.
    return {"batch_stats": {}, **module.init(key, images, train=False)}


def sppe_path(path: tuple) -> tuple[str, ...]:
    """Return a parameter's names inside the pose network, with or without a transformer about it.

    Of a parallel network that learns as well they are those inside that. `path` is the parameter's
    path as `jax.tree_util.tree_map_with_path` gives it; one of the localisation network comes back
    whole.
    """
    names = tuple(jax.tree_util.keystr(path, simple=True, separator="/").split("/"))
    return names[1:] if names[0] in ("sppe", "judge") else names


def is_frozen(model: ModelConfig, path: tuple) -> bool:
    """Return whether a parameter belongs to the stem or the stages that stay fixed.

    `path` is the parameter's path as `jax.tree_util.tree_map_with_path` gives it.
    """
    if model.frozen_stages == 0:
        return False
    names = sppe_path(path)
    fixed = {"conv1", "bn1"}
    stages = {f"layer{stage}" for stage in range(1, model.frozen_stages + 1)}
    return names[0] == "trunk" and (names[1] in fixed or names[1].split("_")[0] in stages)


def learning(model: ModelConfig, params: Variables) -> Variables:
    """Return the parameters, those that stay fixed without a gradient (and its cost)."""
    return jax.tree_util.tree_map_with_path(
        lambda path, value: jax.lax.stop_gradient(value) if is_frozen(model, path) else value,
        params,
    )


def started_from(variables: Variables, earlier: Variables, *, where: str) -> Variables:
    """Return first variables with the weights of an earlier run in their place.

    Either may have a transformer about the pose network: what the earlier run lacks stays as it
    is, what only it has is left out. Raises ValueError if the pose networks differ; `where` names
    the earlier run.
    """
    started = {}
    for kind, values in variables.items():
        old = earlier.get(kind, {})
        if "sppe" not in values:
            old = old.get("sppe", old)
            started[kind] = _replaced(values, old, f"{where}: {kind}")
        else:
            old = old if "sppe" in old else {"sppe": old}
            kept = {name: old.get(name, part) for name, part in values.items()}
            started[kind] = _replaced(values, kept, f"{where}: {kind}")
    return started


def _replaced(values: Variables, new: Variables, where: str) -> Variables:
    """Return `new` if it has the arrays of `values`, in their shapes."""
    wanted, came = _shapes(values), _shapes(new)
    for path in wanted.keys() | came.keys():
        if wanted.get(path) != came.get(path):
            raise ValueError(
                f"{where}: {path} has shape {came.get(path, 'none')} there and "
                f"{wanted.get(path, 'none')} here; start from a run of the same pose network"
            )
    return new


def _shapes(values: Variables) -> dict[str, tuple[int, ...]]:
    flat = jax.tree_util.tree_leaves_with_path(values)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): v.shape for path, v in flat}
