"""Batch norm whose statistics are those of groups of a batch, seen by a program that sees it all.

With one group a device, statistics need no message between devices: what batch norm does when every
device runs a program of its own. (Statistics of the whole batch cost two all-reduces a layer, one
after the other, and as many in the gradient.)
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import Array

from rmpe_jax.config import Remat
from rmpe_jax.models.layers import BLOCK
from rmpe_jax.records import Variables


def apply_in_groups(
    module: nn.Module,
    variables: Variables,
    *inputs: Array,
    groups: int,
    batch_axes: Any,
    method: str | None = None,
    remat: Remat = "none",
) -> tuple[Any, Variables]:
    """Return what a module in training makes of inputs [b ...], and its new batch statistics.

    Group g holds rows g b / groups onwards. `batch_axes` says where the outputs have the batch:
    one number, or one for each output. Running statistics move by the mean of the groups'. `remat`
    says what is computed again for the gradient.
    """

    def apply(*inputs: Array) -> tuple[Any, Variables]:
        outputs, moved = module.apply(
            variables, *inputs, train=True, mutable=["batch_stats"], method=method
        )
        return outputs, moved.get("batch_stats", {})

    apply = recomputed(apply, remat)
    if groups == 1:
        return apply(*inputs)
    cut = (rows.reshape(groups, -1, *rows.shape[1:]) for rows in inputs)
    outputs, moved = jax.vmap(apply, out_axes=(batch_axes, 0))(*cut)

    def joined(rows: Array, axis: int) -> Array:
        shape = rows.shape
        return rows.reshape(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])

    if isinstance(batch_axes, int):
        outputs = joined(outputs, batch_axes)
    else:
        outputs = jax.tree.map(joined, outputs, batch_axes)
    return outputs, jax.tree.map(lambda each: each.mean(axis=0), moved)


def recomputed(function: Callable[..., Any], remat: Remat) -> Callable[..., Any]:
    """Return the function, whose gradient computes again what is not kept.

    "blocks" keeps what each residual block of a network puts out.
    """
    if remat == "none":
        return function
    keep = jax.checkpoint_policies.save_only_these_names(BLOCK)
    return jax.checkpoint(function, policy=keep)
