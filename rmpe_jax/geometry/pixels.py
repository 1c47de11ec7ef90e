"""Where a point lies among the pixels of an image, and what each pixel weighs there.

A position is counted in pixels along one axis from the centre of the first one: pixel m is centred
at position m, and the image reaches from -0.5 to size - 0.5.
"""

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jaxtyping import Float

from rmpe_jax.records import Array


def centres(height: int, width: int) -> Float[Array, "{height} {width} 2"]:
    """Return the point (x, y) in [-1, 1] at the centre of each pixel."""
    x = jnp.arange(0.5, width) * (2 / width) - 1
    y = jnp.arange(0.5, height) * (2 / height) - 1
    return jnp.stack(jnp.meshgrid(x, y), axis=-1)


def position(coordinate: Float[JaxArray, "*n"], size: int) -> Float[JaxArray, "*n"]:
    """Return the positions of coordinates in [-1, 1] along an axis of that many pixels.

    Far outside every pixel weighs nothing wherever it is; positions are clipped there, so that
    they cannot overflow the integers. NaN stays NaN.
    """
    return jnp.clip((coordinate + 1) * (size / 2) - 0.5, -2, size + 1)


@jax.custom_jvp
def weight(
    position: Float[JaxArray, "*#n"], pixel: Float[JaxArray, "*#n"]
) -> Float[JaxArray, "*n"]:
    """Return max(0, 1 - |position - pixel|); NaN for a NaN position.

    Jaderberg et al., Spatial Transformer Networks (2015), eq. 5. The derivative is the right-hand
    one: -1 for the pixel floor(position), 1 for floor(position) + 1, else 0. Autodiff, and eq. 7
    read literally, weigh only one pixel where position and pixel meet, which is where the
    identity puts every point.
    """
    return jnp.maximum(0, 1 - jnp.abs(position - pixel))


@weight.defjvp
def _weight_jvp(
    primals: tuple[JaxArray, JaxArray], tangents: tuple[JaxArray, JaxArray]
) -> tuple[JaxArray, JaxArray]:
    """Differentiate with respect to `position` alone: pixels do not move."""
    position, pixel = primals
    left = jnp.floor(position)
    slope = (pixel == left + 1).astype(position.dtype) - (pixel == left).astype(position.dtype)
    return weight(position, pixel), slope * tangents[0]
