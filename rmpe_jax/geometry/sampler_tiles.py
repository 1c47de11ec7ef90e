"""The sampler as matrix products of tiles with windows: the form for TPU, for any points.

A TPU reads a pixel of three channels as slowly as one of 128, so pixels are not gathered. The
points are cut into square tiles, and each tile takes one window out of the image: a contraction
with the weights of its rows and one with those of its columns give its values, exactly as four
reads a point would. A tile that reaches beyond its window takes the next window in another pass,
up to the whole image. Values and conventions are those of `sampler.sample`.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jaxtyping import Float, Int

from rmpe_jax.geometry import pixels

TILE = 16  # points a side: 256 in a tile, two rows of a TPU's 128 lanes
WINDOW = 32  # pixels a side: one pass serves maps that step up to 2 pixels, or 1.4 if turned by 45°
NOWHERE = -9  # a pixel so far from every position that it weighs nothing

Sums = TypeVar("Sums")


def read(
    image: Float[JaxArray, "h w c"], points: Float[JaxArray, "oh ow 2"]
) -> Float[JaxArray, "oh ow c"]:
    """Return the image at the points."""
    height, width, _ = image.shape
    x = _cut(pixels.position(points[..., 0], width))
    y = _cut(pixels.position(points[..., 1], height))
    return _joined(_tiles(image, x, y), *points.shape[:2])


def gradients(
    image: Float[JaxArray, "h w c"],
    points: Float[JaxArray, "oh ow 2"],
    upstream: Float[JaxArray, "oh ow c"],
) -> tuple[Float[JaxArray, "h w c"], Float[JaxArray, "oh ow 2"]]:
    """Return the gradients of image and points."""
    return jax.vjp(read, image, points)[1](upstream)


@jax.custom_vjp
def _tiles(
    image: Float[JaxArray, "h w c"], x: Float[JaxArray, "t p"], y: Float[JaxArray, "t p"]
) -> Float[JaxArray, "t c p"]:
    """Return the values at the positions of t tiles."""
    first, passes = _plan(image, x, y)
    # Zeros like a product of both: `jax.shard_map` wants to see what a loop's sum will vary with.
    zeros = jnp.zeros_like(image[0, 0][None, :, None] * x[:, None])
    return _sum(passes, zeros, lambda step: _one_pass(image, x, y, first, step))


def _tiles_forward(
    image: Float[JaxArray, "h w c"], x: Float[JaxArray, "t p"], y: Float[JaxArray, "t p"]
) -> tuple[Float[JaxArray, "t c p"], tuple[JaxArray, JaxArray, JaxArray]]:
    return _tiles(image, x, y), (image, x, y)


def _tiles_backward(
    inputs: tuple[JaxArray, JaxArray, JaxArray], upstream: Float[JaxArray, "t c p"]
) -> tuple[JaxArray, JaxArray, JaxArray]:
    """Return the sum of the passes' gradients; autodiff alone cannot reverse a loop of them."""
    image, x, y = inputs
    first, passes = _plan(image, x, y)

    def one_pass(step: "_Corner") -> tuple[JaxArray, JaxArray, JaxArray]:
        _, back = jax.vjp(lambda image, x, y: _one_pass(image, x, y, first, step), image, x, y)
        return back(upstream)

    zeros = jnp.zeros_like(image), jnp.zeros_like(x), jnp.zeros_like(y)
    return _sum(passes, zeros, one_pass)


_tiles.defvjp(_tiles_forward, _tiles_backward)


class _Corner(NamedTuple):
    """A row and a column: of pixels where windows begin, or of windows beside one another."""

    row: Int[JaxArray, "*t"]
    column: Int[JaxArray, "*t"]


def _plan(
    image: Float[JaxArray, "h w c"], x: Float[JaxArray, "t p"], y: Float[JaxArray, "t p"]
) -> tuple[_Corner, _Corner]:
    """Return where each tile's first window begins, and how many windows the longest tile needs."""
    spans = []
    for position, size in ((y, image.shape[0]), (x, image.shape[1])):
        low, high = position.min(axis=1), position.max(axis=1) + 1
        low, high = (jnp.clip(jnp.floor(end).astype(jnp.int32), 0, size - 1) for end in (low, high))
        spans.append((low, jnp.max((high - low) // min(WINDOW, size) + 1)))
    (top, rows), (left, columns) = spans
    return _Corner(top, left), _Corner(rows, columns)


def _sum(passes: _Corner, zeros: Sums, one_pass: Callable[[_Corner], Sums]) -> Sums:
    """Return the sum over the passes, window after window along a row, then the next row."""

    def add(number: JaxArray, total: Sums) -> Sums:
        step = _Corner(number // passes.column, number % passes.column)
        return jax.tree.map(jnp.add, total, one_pass(step))

    return jax.lax.fori_loop(0, passes.row * passes.column, add, zeros)


def _one_pass(
    image: Float[JaxArray, "h w c"],
    x: Float[JaxArray, "t p"],
    y: Float[JaxArray, "t p"],
    first: _Corner,
    step: _Corner,
) -> Float[JaxArray, "t c p"]:
    """Return what one window of each tile adds to the values."""
    height, width, channels = image.shape
    rows, columns = min(WINDOW, height), min(WINDOW, width)
    top, down = _weights(y, first.row + step.row * rows, rows, height)
    left, across = _weights(x, first.column + step.column * columns, columns, width)
    planes = image.transpose(2, 0, 1)
    windows = jax.vmap(
        lambda *corner: jax.lax.dynamic_slice(planes, corner, (channels, rows, columns))
    )(jnp.zeros_like(top), top, left)
    # TF32 or bfloat16, the default of accelerators, would spoil the values. Points come last in
    # all products: they fill the lanes, where three channels would leave 125 of 128 empty.
    along = jnp.einsum("tchw,thp->tcwp", windows, down, precision=jax.lax.Precision.HIGHEST)
    return (along * across[:, None]).sum(axis=2)


def _weights(
    position: Float[JaxArray, "t p"], begin: Int[JaxArray, " t"], count: int, size: int
) -> tuple[Int[JaxArray, " t"], Float[JaxArray, "t {count} p"]]:
    """Return where along one axis each window lies in the image, and what its pixels weigh.

    A window that would reach over the end is moved inside; the pixels it had before weigh nothing.
    """
    inside = jnp.clip(begin, 0, size - count)
    pixel = inside[:, None] + jnp.arange(count, dtype=inside.dtype)[None, :]
    own = (pixel >= begin[:, None]) & (pixel < begin[:, None] + count)
    pixel = jnp.where(own, pixel, NOWHERE).astype(position.dtype)
    return inside, pixels.weight(position[:, None, :], pixel[:, :, None])


def _cut(plane: Float[JaxArray, "oh ow"]) -> Float[JaxArray, "t p"]:
    """Return a plane as tiles; those at its end repeat its last row and column."""
    height, width = plane.shape
    plane = jnp.pad(plane, ((0, -height % TILE), (0, -width % TILE)), mode="edge")
    tiles = plane.reshape(plane.shape[0] // TILE, TILE, plane.shape[1] // TILE, TILE)
    return tiles.swapaxes(1, 2).reshape(-1, TILE * TILE)


def _joined(
    tiles: Float[JaxArray, "t c p"], height: int, width: int
) -> Float[JaxArray, "{height} {width} c"]:
    """Return the tiles side by side, without what they repeat."""
    down, across = -(-height // TILE), -(-width // TILE)
    planes = tiles.reshape(down, across, -1, TILE, TILE).transpose(0, 3, 1, 4, 2)
    return planes.reshape(down * TILE, across * TILE, -1)[:height, :width]
