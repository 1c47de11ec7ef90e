"""Read an image between its pixels, and pull one image out of another.

Points are (x, y) in [-1, 1]: -1 and 1 are the outer edges of the image, so pixel centres lie half
a pixel inside. Functions take one image; use `jax.vmap` for many.
"""

import functools
import operator
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jaxtyping import Float, Int, Real

from rmpe_jax.geometry import affine
from rmpe_jax.records import Array


def pixel_centres(height: int, width: int) -> Float[Array, "{height} {width} 2"]:
    """Return the point at the centre of each pixel."""
    x = jnp.arange(0.5, width) * (2 / width) - 1
    y = jnp.arange(0.5, height) * (2 / height) - 1
    return jnp.stack(jnp.meshgrid(x, y), axis=-1)


def sample(image: Real[Array, "h w c"], points: Float[Array, "oh ow 2"]) -> Float[Array, "oh ow c"]:
    """Return the image read at the points by bilinear interpolation; it is zero outside.

    The interpolation is between pixel centres, so a value fades to zero within half a pixel of
    the image's edge on either side. Jaderberg et al., Spatial Transformer Networks (2015), eq. 5.
    Integer images are read as float32; the result has the more precise type of the two.

    The gradient of the image is eq. 6. That of the points is eq. 7, but at a pixel centre, where
    interpolation has a kink and the identity puts every point, it is the right-hand derivative
    U[m + 1] - U[m] (eq. 7 read literally gives U[m], which is none). On a constant image it is 0
    inside; at the last row and column it sees the zero outside. It exists in reverse mode only:
    `jax.jvp` and `jax.jacfwd` raise.
    """
    image, points = jnp.asarray(image), jnp.asarray(points)
    if not jnp.issubdtype(image.dtype, jnp.floating):
        image = image.astype(jnp.float32)
    dtype = max(image.dtype, points.dtype, key=lambda dtype: dtype.itemsize)
    return _sample(image.astype(dtype), points.astype(dtype))


def pull(
    image: Real[Array, "h w c"], theta: Float[Array, "2 3"], height: int, width: int
) -> Float[Array, "{height} {width} c"]:
    """Return a `height` x `width` image whose point p shows `image` at theta(p).

    Fang et al., RMPE (ICCV 2017), eq. 1. What is found in the result goes back to `image` by
    theta itself (see `rmpe_jax.geometry.affine`).
    """
    theta = jnp.asarray(theta)
    return sample(image, affine.apply(theta, pixel_centres(height, width).astype(theta.dtype)))


@jax.custom_vjp
def _sample(
    image: Float[JaxArray, "h w c"], points: Float[JaxArray, "oh ow 2"]
) -> Float[JaxArray, "oh ow c"]:
    height, width, _ = image.shape
    corners = _corners(height, width, points)
    return _total(corner.weight[..., None] * _read(image, corner) for corner in corners)


def _sample_forward(
    image: Float[JaxArray, "h w c"], points: Float[JaxArray, "oh ow 2"]
) -> tuple[Float[JaxArray, "oh ow c"], tuple[JaxArray, JaxArray]]:
    return _sample(image, points), (image, points)


def _sample_backward(
    residuals: tuple[Float[JaxArray, "h w c"], Float[JaxArray, "oh ow 2"]],
    upstream: Float[JaxArray, "oh ow c"],
) -> tuple[Float[JaxArray, "h w c"], Float[JaxArray, "oh ow 2"]]:
    """Return the gradients of image and points.

    By hand, because autodiff of four reads makes four scatters; this makes one.
    """
    image, points = residuals
    height, width, channels = image.shape
    corners = _corners(height, width, points)

    pixel = jnp.stack([corner.pixel for corner in corners])
    weight = jnp.stack([corner.weight for corner in corners])
    d_image = jnp.zeros((height * width, channels), image.dtype)
    d_image = d_image.at[pixel].add(weight[..., None] * upstream[None], mode="promise_in_bounds")

    along = [(_read(image, corner) * upstream).sum(axis=-1) for corner in corners]
    d_x = _total(corner.slope_x * value for corner, value in zip(corners, along, strict=True))
    d_y = _total(corner.slope_y * value for corner, value in zip(corners, along, strict=True))
    d_points = jnp.stack([d_x * (width / 2), d_y * (height / 2)], axis=-1)
    return d_image.reshape(image.shape), d_points


_sample.defvjp(_sample_forward, _sample_backward)


class _Corner(NamedTuple):
    """One of the four pixels about each point: its number, its weight, the weight's slopes.

    All three are 0 for a pixel outside the image; `pixel` is then the nearest one inside.
    """

    pixel: Int[JaxArray, "oh ow"]
    weight: Float[JaxArray, "oh ow"]
    slope_x: Float[JaxArray, "oh ow"]
    slope_y: Float[JaxArray, "oh ow"]


def _corners(height: int, width: int, points: Float[JaxArray, "oh ow 2"]) -> list[_Corner]:
    """Return the four corners of each point.

    They are floor(x) and floor(x) + 1, never ceil(x): at a pixel centre floor and ceil meet, and
    the gradient would vanish just where theta is the identity.
    """
    # Points far outside read zero wherever they are; clipped, they cannot overflow the integers.
    x = jnp.clip((points[..., 0] + 1) * (width / 2) - 0.5, -2, width + 1)
    y = jnp.clip((points[..., 1] + 1) * (height / 2) - 0.5, -2, height + 1)
    left, top = jnp.floor(x), jnp.floor(y)
    right_share, bottom_share = x - left, y - top
    corners = []
    for down, share_y, slope_y in ((0, 1 - bottom_share, -1), (1, bottom_share, 1)):
        for right, share_x, slope_x in ((0, 1 - right_share, -1), (1, right_share, 1)):
            row, column = top.astype(jnp.int32) + down, left.astype(jnp.int32) + right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            pixel = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            values = (share_y * share_x, share_y * slope_x, share_x * slope_y)
            corners.append(_Corner(pixel, *(jnp.where(inside, value, 0) for value in values)))
    return corners


def _read(image: Float[JaxArray, "h w c"], corner: _Corner) -> Float[JaxArray, "oh ow c"]:
    """Return each point's pixel; read one corner at a time, XLA fuses it with what follows."""
    return image.reshape(-1, image.shape[-1]).at[corner.pixel].get(mode="promise_in_bounds")


def _total(parts: Iterable[JaxArray]) -> JaxArray:
    return functools.reduce(operator.add, parts)
