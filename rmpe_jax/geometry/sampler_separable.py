"""The sampler as two matrix products: the form for TPU where rows and columns stay apart.

That is where a point's x depends on its column alone and its y on its row alone, as it does under
scale, translation and mirroring. Values and conventions are those of `sampler.sample`.
"""

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jaxtyping import Float

from rmpe_jax.geometry import pixels


def read(
    image: Float[JaxArray, "h w c"], points: Float[JaxArray, "oh ow 2"]
) -> Float[JaxArray, "oh ow c"]:
    """Return the image at the points; x is read off the first row, y off the first column."""
    height, width, _ = image.shape
    x = pixels.position(points[0, :, 0], width)[:, None]
    y = pixels.position(points[:, 0, 1], height)[:, None]
    across = pixels.weight(x, jnp.arange(width, dtype=x.dtype)[None, :])
    down = pixels.weight(y, jnp.arange(height, dtype=y.dtype)[None, :])
    # TF32 or bfloat16, the default of accelerators, would spoil the values.
    precision = jax.lax.Precision.HIGHEST
    rows = jnp.einsum("ph,hwc->pwc", down, image, precision=precision)
    return jnp.einsum("qw,pwc->pqc", across, rows, precision=precision)


def gradients(
    image: Float[JaxArray, "h w c"],
    points: Float[JaxArray, "oh ow 2"],
    upstream: Float[JaxArray, "oh ow c"],
) -> tuple[Float[JaxArray, "h w c"], Float[JaxArray, "oh ow 2"]]:
    """Return the gradients of image and points.

    That of the points lies where they were read, in the first row and the first column: right
    for a theta without off-diagonal entries, which has no other way to them.
    """
    return jax.vjp(read, image, points)[1](upstream)
