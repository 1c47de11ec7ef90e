"""How far heat-maps are from their targets. Batched; a joint with weight 0 costs nothing."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def heatmap_loss(
    heatmaps: Float[Array, "stacks b h w k"],
    targets: Float[Array, "b h w k"],
    weight: Float[Array, "b k"],
) -> Float[Array, ""]:
    """Return the squared error a labelled joint's map has per pixel, summed over the stacks.

    Every stack is compared with the same target and counts the same (Newell et al., Stacked
    Hourglass Networks, 2016). The mean is taken over all labelled joints of the batch together,
    not over people first: under a global view of a sharded batch this is the global mean. With
    no labelled joint the loss and its gradient are 0.
    """
    per_joint = jnp.mean((heatmaps - targets[None]) ** 2, axis=(2, 3))
    return jnp.sum(per_joint * weight[None]) / jnp.maximum(jnp.sum(weight), 1.0)
