"""Greedy suppression of boxes that overlap a better one, on fixed shapes: for jit and vmap."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rmpe_jax.geometry import boxes
from rmpe_jax.geometry.affine import Scalar


def keep(
    boxes_px: Float[Array, "p 4"], score: Float[Array, " p"], valid: Bool[Array, " p"], iou: Scalar
) -> Bool[Array, " p"]:
    """Return which boxes stay: none overlaps a kept one of higher score by more than `iou`.

    Of equal scores the first goes first; rows that are not valid never stay.
    """
    if not len(score):
        return valid
    order = jnp.argsort(jnp.where(valid, -score, jnp.inf), stable=True)
    overlap = boxes.iou(boxes_px[order], boxes_px[order]) > iou
    there = valid[order]

    def visit(row: Array, kept: Bool[Array, " p"]) -> Bool[Array, " p"]:
        """Let a box that is still kept put out those after it which it overlaps."""
        later = jnp.arange(len(order)) > row
        return kept & ~(kept[row] & later & overlap[row])

    kept = jax.lax.fori_loop(0, len(order), visit, there)
    return jnp.zeros(len(order), bool).at[order].set(kept)
