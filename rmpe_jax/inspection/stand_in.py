"""A network without a transformer, between an STN and an SDTN that do nothing.

All that is asked about theta can then be asked of it as well: what a transformer that was put
there would be told.
"""

from dataclasses import replace

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.predict import PoseModel


class IdentityLocalization(nn.Module):
    """Says for every crop that it is straight."""

    def __call__(self, crops: Float[Array, "b h w 3"], *, train: bool) -> Float[Array, "b 2 3"]:
        """Return the identity for each of them."""
        return jnp.tile(jnp.eye(2, 3), (len(crops), 1, 1))


def with_identity(model: PoseModel) -> PoseModel:
    """Return the same network, with a transformer whose theta is always the identity."""
    logits = model.config.train.loss == "cross_entropy"
    module = RMPE(model.module, IdentityLocalization(), "affine", logits)
    variables = {kind: {"sppe": tree} for kind, tree in model.variables.items()}
    return replace(model, module=module, variables=variables)
