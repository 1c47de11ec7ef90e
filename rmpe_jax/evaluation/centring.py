"""How well a spatial transformer centres people in crops of jittered boxes."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax.config import AugmentConfig
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.data.loader import training_batches
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array, Variables

BATCH = 16
SEED = 20170424
JITTER = 1.0  # as published; a network trained with another amount is measured with that


def theta_errors(model: PoseModel, source: PhotographSource) -> dict[str, float]:
    """Return the mean |theta - theta*| over the people of `source`, and that of the identity.

    |.| is the Frobenius norm of the 2x3 matrix. Each person's box is jittered once, in the same
    way every time; nothing else varies. Empty for a network without a transformer.
    """
    if not isinstance(model.module, RMPE) or not len(source.person_index):
        return {}
    settings = model.config.model
    batches = training_batches(
        source,
        model.config.data,
        only_jittered(model.config.augment),
        height=settings.input_height,
        width=settings.input_width,
        batch_size=BATCH,
        seed=SEED,
    )
    errors: list[Any] = []
    count = len(source.person_index)
    for _ in range(-(-count // BATCH)):
        batch = next(batches)
        theta = np.asarray(_theta(model.variables, batch.crop, module=model.module))
        both = (theta - batch.theta_star, np.eye(2, 3) - batch.theta_star)
        errors.append([np.linalg.norm(part, axis=(1, 2)) for part in both])
    batches.close()
    # The last batch runs into the next round of the people: these are cut off.
    found, identity = np.concatenate(errors, axis=1)[:, :count].mean(axis=1)
    return {"theta_error": float(found), "theta_error_identity": float(identity)}


def only_jittered(config: AugmentConfig) -> AugmentConfig:
    """Return a variation that moves boxes by the published Gaussian and does nothing else."""
    return AugmentConfig(
        extend=config.extend,
        jitter=config.jitter or JITTER,
        scale=0.0,
        turn_probability=0.0,
        flip_probability=0.0,
        gain=0.0,
    )


@partial(jax.jit, static_argnames="module")
def _theta(
    variables: Variables, crops: UInt8[Array, "b h w 3"], *, module: RMPE
) -> Float[Array, "b 2 3"]:
    return module.apply(
        variables, jnp.asarray(crops, jnp.float32) / 255, train=False, method="theta"
    )
