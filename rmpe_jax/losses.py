"""How far heat-maps are from their targets. Batched; a joint with weight 0 costs nothing.

Both losses are means over all labelled joints of the batch together, not over people first. Where
a part of a batch is seen, on one of several devices, `labelled` says how many the whole batch has:
the losses of the parts then add up to that of the whole. Every stack is compared with the
same target and counts the same (Newell et al., Stacked Hourglass Networks, 2016). With no
labelled joint the loss and its gradient are 0.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmpe_jax.geometry import heatmaps as maps


def joints_loss(
    heatmaps: Float[Array, "stacks b h w k"],
    joints: Float[Array, "b k 2"],
    weight: Float[Array, "b k"],
    *,
    loss: Literal["squared", "cross_entropy"],
    sigma: float,
    labelled: Float[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Return how far heat-maps are from joints, given in the maps' frame, in one of two ways.

    The target is one Gaussian a joint, `sigma` in heat-map pixels. `labelled` is the sum of weights
    of the whole batch (None: this is the whole batch).
    """
    _, _, height, width, _ = heatmaps.shape
    targets = jax.vmap(lambda joints: maps.encode(joints, height, width, sigma))(joints)
    return {"squared": heatmap_loss, "cross_entropy": cross_entropy_loss}[loss](
        heatmaps, targets, weight, labelled
    )


def heatmap_loss(
    heatmaps: Float[Array, "stacks b h w k"],
    targets: Float[Array, "b h w k"],
    weight: Float[Array, "b k"],
    labelled: Float[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Return the squared error a labelled joint's map has per pixel, summed over the stacks."""
    return _mean(jnp.mean((heatmaps - targets[None]) ** 2, axis=(2, 3)), weight, labelled)


def cross_entropy_loss(
    logits: Float[Array, "stacks b h w k"],
    targets: Float[Array, "b h w k"],
    weight: Float[Array, "b k"],
    labelled: Float[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Return the cross entropy of a labelled joint's place in nats, summed over the stacks.

    A joint's map is a distribution over the pixels, the softmax of its logits; its target is
    scaled to sum to 1. (`geometry.heatmaps.from_logits` turns logits into heat-maps.)
    """
    probability = targets / jnp.maximum(jnp.sum(targets, axis=(1, 2), keepdims=True), 1e-6)
    log_softmax = logits - jax.nn.logsumexp(logits, axis=(2, 3), keepdims=True)
    return _mean(-jnp.sum(probability[None] * log_softmax, axis=(2, 3)), weight, labelled)


def _mean(
    per_joint: Float[Array, "stacks b k"],
    weight: Float[Array, "b k"],
    labelled: Float[Array, ""] | None,
) -> Float[Array, ""]:
    labelled = jnp.sum(weight) if labelled is None else labelled
    return jnp.sum(per_joint * weight[None]) / jnp.maximum(labelled, 1.0)
