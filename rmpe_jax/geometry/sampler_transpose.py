"""The gradient of an image that an affine map pulled, without a scatter: the form for CPU.

XLA's CPU compiler scatters on one core, pixel after pixel. Where theta made the points, the
outputs that read a pixel lie in a small window about gamma of that pixel: they are gathered
instead, on all cores. Each size of window is a branch, since theta is not known beforehand; the
last branch scatters, for a theta so narrow that no window holds all outputs of a pixel.
"""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jax.custom_batching import custom_vmap
from jaxtyping import Float

from rmpe_jax.geometry import affine, pixels, sampler_gather

# Outputs a side. Of 6, XLA's compiler no longer keeps all reads in one loop: the scatter is faster.
WINDOWS = (2, 3, 4, 5)


def gradient_of_image(
    theta: Float[JaxArray, "2 3"],
    points: Float[JaxArray, "oh ow 2"],
    upstream: Float[JaxArray, "oh ow c"],
    height: int,
    width: int,
) -> Float[JaxArray, "{height} {width} c"]:
    """Return the upstream gradient summed where each output was read.

    `points` are theta of the centres of the outputs. Jaderberg et al., Spatial Transformer
    Networks (2015), eq. 6.
    """

    def scattered(_: _Map, points: JaxArray, upstream: JaxArray) -> JaxArray:
        return sampler_gather.gradient_of_image(points, upstream, height, width)

    def window(side: int):
        def gathered(steps: _Map, _: JaxArray, upstream: JaxArray) -> JaxArray:
            return _gathered(steps, upstream, height, width, side)

        return jax.vmap(gathered)

    branches = [*(window(side) for side in WINDOWS), jax.vmap(scattered)]

    # The batch takes one branch, that of its widest window: `jax.vmap` of a branch runs them all.
    @custom_vmap
    def batch(steps: _Map, points: JaxArray, upstream: JaxArray) -> JaxArray:
        # Asked so that a NaN is too wide for every window.
        too_wide = ~(jnp.max(_side(steps), initial=0) <= jnp.array(WINDOWS, points.dtype))
        return jax.lax.switch(too_wide.sum(), branches, steps, points, upstream)

    @batch.def_vmap
    def batch_of_batches(
        axis_size: int, batched: list, steps: _Map, points: JaxArray, upstream: JaxArray
    ) -> tuple[JaxArray, bool]:
        def every(array: JaxArray, is_batched: bool) -> JaxArray:
            return array if is_batched else jnp.broadcast_to(array, (axis_size, *array.shape))

        def flat(array: JaxArray) -> JaxArray:
            return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])

        arguments = jax.tree.map(every, (steps, points, upstream), tuple(batched))
        out = batch(*jax.tree.map(flat, arguments))
        return out.reshape(*arguments[2].shape[:2], *out.shape[1:]), True

    output_height, output_width, _ = upstream.shape
    steps = _steps(theta, output_height, output_width, height, width)
    one = jax.tree.map(lambda array: array[None], (steps, points, upstream))
    return batch(*one)[0]


class _Map(NamedTuple):
    """Theta in pixels: output (i, j) reads at column a i + b j + x, row c i + d j + y."""

    a: Float[JaxArray, "*n"]
    b: Float[JaxArray, "*n"]
    c: Float[JaxArray, "*n"]
    d: Float[JaxArray, "*n"]
    x: Float[JaxArray, "*n"]
    y: Float[JaxArray, "*n"]


def _steps(
    theta: Float[JaxArray, "2 3"], output_height: int, output_width: int, height: int, width: int
) -> _Map:
    first = jnp.array([1 / output_width - 1, 1 / output_height - 1], theta.dtype)
    x, y = (affine.apply(theta, first) + 1) * jnp.array([width / 2, height / 2], theta.dtype) - 0.5
    return _Map(
        theta[0, 0] * (width / output_width),
        theta[0, 1] * (width / output_height),
        theta[1, 0] * (height / output_width),
        theta[1, 1] * (height / output_height),
        x,
        y,
    )


def _reach(steps: _Map) -> tuple[Float[JaxArray, "*n"], Float[JaxArray, "*n"]]:
    """Return how many outputs from a pixel's gamma, along x and along y, may still read it."""
    determinant = jnp.abs(steps.a * steps.d - steps.b * steps.c)
    along_x, along_y = jnp.abs(steps.d) + jnp.abs(steps.b), jnp.abs(steps.c) + jnp.abs(steps.a)
    return along_x / determinant, along_y / determinant


def _side(steps: _Map) -> Float[JaxArray, "*n"]:
    """Return the side of the smallest window that holds all outputs of any pixel."""
    return jnp.ceil(2 * jnp.maximum(*_reach(steps)))


def _gathered(
    steps: _Map, upstream: Float[JaxArray, "oh ow c"], height: int, width: int, side: int
) -> Float[JaxArray, "{height} {width} c"]:
    """Return the sum over side x side outputs about gamma of each pixel."""
    output_height, output_width, channels = upstream.shape
    a, b, c, d, x, y = steps
    pixel_x = jnp.arange(width, dtype=upstream.dtype)[None, :]
    pixel_y = jnp.arange(height, dtype=upstream.dtype)[:, None]
    determinant = a * d - b * c
    middle_x = (d * (pixel_x - x) - b * (pixel_y - y)) / determinant
    middle_y = (a * (pixel_y - y) - c * (pixel_x - x)) / determinant
    reach_x, reach_y = _reach(steps)
    # Clipped, so that a window far outside cannot overflow the integers.
    left = jnp.clip(jnp.floor(middle_x - reach_x) + 1, -side, output_width)
    top = jnp.clip(jnp.floor(middle_y - reach_y) + 1, -side, output_height)
    flat = upstream.reshape(output_height * output_width, channels)

    @jax.jit  # traced once for all outputs of the window
    def share(column: JaxArray, row: JaxArray) -> JaxArray:
        """Return what one output gives each pixel."""
        across = pixels.weight(a * column + b * row + x, pixel_x)
        down = pixels.weight(c * column + d * row + y, pixel_y)
        outside = (row < 0) | (row >= output_height) | (column < 0) | (column >= output_width)
        row = jnp.clip(row.astype(jnp.int32), 0, output_height - 1)
        column = jnp.clip(column.astype(jnp.int32), 0, output_width - 1)
        value = flat.at[row * output_width + column].get(mode="promise_in_bounds")
        return jnp.where(outside, 0, across * down)[..., None] * value

    window = [(down, right) for down in range(side) for right in range(side)]
    shares = (share(left + right, top + down) for down, right in window)
    return functools.reduce(operator.add, shares)
