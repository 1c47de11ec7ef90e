"""The sampler as four reads a point, with its derivatives by hand: the form for CPU and GPU.

Points are (x, y) in [-1, 1] of one image; values and conventions are those of `sampler.sample`.
"""

import functools
import operator
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jaxtyping import Float, Int

from rmpe_jax.geometry import pixels


def read(
    image: Float[JaxArray, "h w c"], points: Float[JaxArray, "oh ow 2"]
) -> Float[JaxArray, "oh ow c"]:
    """Return the image at the points. Jaderberg et al. (2015), eq. 5."""
    height, width, _ = image.shape
    corners = _corners(height, width, points)
    return _total(corner.weight[..., None] * _pixels(image, corner) for corner in corners)


def gradient_of_image(
    points: Float[JaxArray, "oh ow 2"],
    upstream: Float[JaxArray, "oh ow c"],
    height: int,
    width: int,
) -> Float[JaxArray, "{height} {width} c"]:
    """Return the upstream gradient scattered to the pixels it was read from (eq. 6)."""
    corners = _corners(height, width, points)
    number = jnp.stack([corner.number for corner in corners])
    weight = jnp.stack([corner.weight for corner in corners])
    out = jnp.zeros((height * width, upstream.shape[-1]), upstream.dtype)
    # One scatter of all corners: autodiff of four reads makes four.
    out = out.at[number].add(weight[..., None] * upstream[None], mode="promise_in_bounds")
    return out.reshape(height, width, upstream.shape[-1])


def gradient_of_points(
    image: Float[JaxArray, "h w c"],
    points: Float[JaxArray, "oh ow 2"],
    upstream: Float[JaxArray, "oh ow c"],
) -> Float[JaxArray, "oh ow 2"]:
    """Return eq. 7, with the right-hand derivative at pixel centres."""
    height, width, _ = image.shape
    corners = _corners(height, width, points)
    slope_x = _total(corner.slope_x[..., None] * _pixels(image, corner) for corner in corners)
    slope_y = _total(corner.slope_y[..., None] * _pixels(image, corner) for corner in corners)
    # Both sums in one reduction: XLA's CPU compiler fuses the reads into it. Of two reductions it
    # makes calls of a library, and writes every corner's pixels to memory for them, 3 times slower.
    zero = jnp.zeros((), image.dtype)
    d_x, d_y = jax.lax.reduce(
        (upstream * slope_x, upstream * slope_y),
        (zero, zero),
        lambda a, b: (a[0] + b[0], a[1] + b[1]),
        dimensions=(2,),
    )
    return jnp.stack([d_x * (width / 2), d_y * (height / 2)], axis=-1)


class _Corner(NamedTuple):
    """One of the four pixels about each point: its number, its weight, the weight's slopes.

    Weight and slopes are 0 for a pixel outside the image; `number` is then the nearest one inside.
    """

    number: Int[JaxArray, "oh ow"]
    weight: Float[JaxArray, "oh ow"]
    slope_x: Float[JaxArray, "oh ow"]
    slope_y: Float[JaxArray, "oh ow"]


def _corners(height: int, width: int, points: Float[JaxArray, "oh ow 2"]) -> list[_Corner]:
    """Return the four corners of each point.

    They are floor(x) and floor(x) + 1, never ceil(x): at a pixel centre floor and ceil meet, and
    the gradient would vanish just where theta is the identity.
    """
    x = pixels.position(points[..., 0], width)
    y = pixels.position(points[..., 1], height)
    left, top = jnp.floor(x), jnp.floor(y)
    right_share, bottom_share = x - left, y - top
    corners = []
    for down, share_y, slope_y in ((0, 1 - bottom_share, -1), (1, bottom_share, 1)):
        for right, share_x, slope_x in ((0, 1 - right_share, -1), (1, right_share, 1)):
            row, column = top + down, left + right
            # Asked so that NaN is not outside: it must come out as NaN, not as 0.
            outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
            row = jnp.clip(row.astype(jnp.int32), 0, height - 1)
            column = jnp.clip(column.astype(jnp.int32), 0, width - 1)
            values = (share_y * share_x, share_y * slope_x, share_x * slope_y)
            shares = (jnp.where(outside, 0, value) for value in values)
            corners.append(_Corner(row * width + column, *shares))
    return corners


def _pixels(image: Float[JaxArray, "h w c"], corner: _Corner) -> Float[JaxArray, "oh ow c"]:
    """Return each point's pixel; read one corner at a time, XLA fuses it with what follows."""
    return image.reshape(-1, image.shape[-1]).at[corner.number].get(mode="promise_in_bounds")


def _total(parts: Iterable[JaxArray]) -> JaxArray:
    return functools.reduce(operator.add, parts)
