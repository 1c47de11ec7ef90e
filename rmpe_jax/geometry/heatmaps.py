"""Joints to heat-maps and back.

Joints are (x, y) in [-1, 1] of the map's own frame: -1 and 1 are the outer edges of the map, so
pixel centres lie half a pixel inside, and a joint has the same numbers in a crop and in its
smaller heat-map. `sigma` and `blur` are in heat-map pixels. Functions take one example; use
`jax.vmap` for many. A decoder returns joints and, for each, the highest value of its map.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from rmpe_jax.geometry import affine
from rmpe_jax.geometry.affine import Scalar
from rmpe_jax.records import Array

QUARTER = 0.25  # px towards the higher neighbour; Newell et al., Stacked Hourglass (2016), sec. 3.1
LOG_FLOOR = 1e-10  # smallest value whose logarithm is taken; the DARK authors' code


def encode(
    joints: Float[Array, "k 2"], height: int, width: int, sigma: Scalar
) -> Float[Array, "{height} {width} k"]:
    """Return a Gaussian for each joint, with peak 1 exactly at the joint, between pixels too.

    It is not cut off, and a joint outside the map still has its tail inside.
    """
    joints_px = affine.to_pixels(jnp.asarray(joints), height, width)
    x = (jnp.arange(width, dtype=joints_px.dtype) + 0.5)[:, None] - joints_px[None, :, 0]
    y = (jnp.arange(height, dtype=joints_px.dtype) + 0.5)[:, None] - joints_px[None, :, 1]
    scale = -1 / (2 * sigma**2)
    return jnp.exp(scale * y**2)[:, None, :] * jnp.exp(scale * x**2)[None, :, :]


def from_logits(logits: Float[Array, "h w k"], sigma: float) -> Float[Array, "h w k"]:
    """Return heat-maps of a network that was trained with cross entropy.

    The softmax over the pixels is scaled by 2 pi sigma^2, so that a network that is sure, and
    gives exactly the Gaussian of its target, has a peak of 1 as the maps of `encode` have.
    """
    return jax.nn.softmax(logits, axis=(0, 1)) * (2 * math.pi * sigma**2)


def decode_argmax(
    heatmaps: Float[Array, "h w k"],
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return joints at the highest pixel, a quarter pixel towards its higher neighbour.

    Each axis is moved on its own, and only where the pixel has a neighbour on both sides; equal
    neighbours move nothing, of equal pixels the first one counts. No gradient flows to the joints.
    """
    heatmaps = _at_least_float32(heatmaps)
    row, column = _highest(heatmaps)
    return _to_points(row, column, _quarter_step(heatmaps, row, column), heatmaps), _peak(heatmaps)


def decode_taylor(
    heatmaps: Float[Array, "h w k"], *, blur: float | int = 0.0
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return joints at the summit of the logarithm's second-order expansion about the top pixel.

    Exact for a Gaussian. `blur` smooths the maps by a Gaussian of that sigma beforehand (0: not);
    the peak is that of the map as it came. A step is at most one pixel in x and in y. Where the
    top is less than two pixels from the border or its Hessian is not negative definite, the
    quarter step of `decode_argmax` is taken. Zhang et al., DARK (CVPR 2020), eq. 4-11, with the
    finite differences of the authors' code.
    """
    heatmaps = _at_least_float32(heatmaps)
    smooth = _blur(heatmaps, blur) if blur > 0 else heatmaps
    row, column = _highest(smooth)
    step, usable = _taylor_step(jnp.log(jnp.maximum(smooth, LOG_FLOOR)), row, column)
    step = jnp.where(usable[:, None], step, _quarter_step(smooth, row, column))
    return _to_points(row, column, step, heatmaps), _peak(heatmaps)


def decode_expectation(
    heatmaps: Float[Array, "h w k"], *, sharpness: Scalar = 40.0
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return joints as the mean position under softmax(sharpness * heatmaps); differentiable.

    The mean is biased. Every pixel of the background pulls towards the middle of the map, the
    more the lower the peak is; a second summit pulls towards itself; and a sharpness so high that
    the softmax is narrower than half a pixel rounds towards pixel centres. The default errs by
    0.1, 0.03 and 0.08 px on Gaussians of sigma 2 and height 1, 0.5 and 0.3 in 64 x 48 maps; a
    sharpness of 15 by 0.01, 3 and 9 px.
    """
    heatmaps = _at_least_float32(heatmaps)
    height, width, joints = heatmaps.shape
    flat = jax.nn.softmax(sharpness * heatmaps.reshape(height * width, joints), axis=0)
    share = flat.reshape(height, width, joints)
    columns = jnp.arange(width, dtype=share.dtype)[:, None] + 0.5
    rows = jnp.arange(height, dtype=share.dtype)[:, None] + 0.5
    x, y = (share.sum(axis=0) * columns).sum(axis=0), (share.sum(axis=1) * rows).sum(axis=0)
    return affine.from_pixels(jnp.stack([x, y], axis=-1), height, width), _peak(heatmaps)


def merge_flip(
    heatmaps: Float[Array, "h w k"],
    mirrored: Float[Array, "h w k"],
    flip_order: Sequence[int],
) -> Float[Array, "h w k"]:
    """Return the mean of the maps of a crop and those of its mirror image, mirrored back.

    `flip_order` is the skeleton's. Pixel centres are mirrored onto pixel centres, so no map is
    shifted by a pixel, as it is elsewhere to make up for another convention.
    """
    joints = heatmaps.shape[-1]
    if len(flip_order) != joints:
        raise ValueError(
            f"flip_order has {len(flip_order)} joints, the heat-maps have {joints}: pass the "
            "flip_order of the skeleton the model was trained on"
        )
    back = jnp.asarray(mirrored)[:, ::-1, jnp.asarray(flip_order, dtype=jnp.int32)]
    return (heatmaps + back) / 2


def _at_least_float32(heatmaps: Float[Array, "h w k"]) -> Float[Array, "h w k"]:
    """Return the maps with digits enough for a position; half precision has too few."""
    heatmaps = jnp.asarray(heatmaps)
    return heatmaps.astype(jnp.float32) if heatmaps.dtype.itemsize < 4 else heatmaps


def _peak(heatmaps: Float[Array, "h w k"]) -> Float[Array, " k"]:
    return heatmaps.max(axis=(0, 1))


def _highest(heatmaps: Float[Array, "h w k"]) -> tuple[Int[Array, " k"], Int[Array, " k"]]:
    height, width, joints = heatmaps.shape
    index = heatmaps.reshape(height * width, joints).argmax(axis=0)
    return index // width, index % width


def _to_points(
    row: Int[Array, " k"],
    column: Int[Array, " k"],
    step: Float[Array, "k 2"],
    heatmaps: Float[Array, "h w k"],
) -> Float[Array, "k 2"]:
    """Return pixel centres plus a step in pixels, as points."""
    height, width, _ = heatmaps.shape
    centre = jnp.stack([column, row], axis=-1).astype(step.dtype) + 0.5
    return affine.from_pixels(centre + step, height, width)


def _neighbour(
    maps: Float[Array, "h w k"], row: Int[Array, " k"], column: Int[Array, " k"]
) -> Float[Array, " k"]:
    """Return each joint's value at its pixel; the nearest pixel's outside of the map."""
    height, width, joints = maps.shape
    row, column = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
    return maps[row, column, jnp.arange(joints)]


def _quarter_step(
    heatmaps: Float[Array, "h w k"], row: Int[Array, " k"], column: Int[Array, " k"]
) -> Float[Array, "k 2"]:
    height, width, _ = heatmaps.shape
    right, left = _neighbour(heatmaps, row, column + 1), _neighbour(heatmaps, row, column - 1)
    below, above = _neighbour(heatmaps, row + 1, column), _neighbour(heatmaps, row - 1, column)
    x = jnp.where((column > 0) & (column < width - 1), jnp.sign(right - left), 0)
    y = jnp.where((row > 0) & (row < height - 1), jnp.sign(below - above), 0)
    return QUARTER * jnp.stack([x, y], axis=-1)


def _taylor_step(
    log: Float[Array, "h w k"], row: Int[Array, " k"], column: Int[Array, " k"]
) -> tuple[Float[Array, "k 2"], Bool[Array, " k"]]:
    """Return -H^-1 g clipped to one pixel, and where it can be trusted."""

    def at(down: int, right: int) -> Float[Array, " k"]:
        return _neighbour(log, row + down, column + right)

    g_x, g_y = (at(0, 1) - at(0, -1)) / 2, (at(1, 0) - at(-1, 0)) / 2
    h_xx = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    h_yy = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
    h_xy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    determinant = h_xx * h_yy - h_xy**2
    height, width, _ = log.shape
    usable = (row > 1) & (row < height - 2) & (column > 1) & (column < width - 2)
    usable &= (h_xx < 0) & (determinant > 0)
    safe = jnp.where(usable, determinant, 1)
    step = jnp.stack([h_xy * g_y - h_yy * g_x, h_xy * g_x - h_xx * g_y], axis=-1)
    return jnp.clip(step / safe[:, None], -1, 1), usable


def _blur(heatmaps: Float[Array, "h w k"], sigma: float | int) -> Float[Array, "h w k"]:
    """Return the maps smoothed by a Gaussian with peak 1; they are zero outside.

    The Gaussian need not sum to 1: a factor changes neither a maximum nor a logarithm's slope.
    """
    height, width, _ = heatmaps.shape

    def gaussian(length: int) -> Float[Array, "{length} {length}"]:
        at = jnp.arange(length, dtype=heatmaps.dtype)
        return jnp.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * sigma**2))

    # "highest": a product in TF32 or bfloat16 would roughen what is being smoothed.
    rows = jnp.einsum("ih,hwk->iwk", gaussian(height), heatmaps, precision="highest")
    return jnp.einsum("jw,iwk->ijk", gaussian(width), rows, precision="highest")
