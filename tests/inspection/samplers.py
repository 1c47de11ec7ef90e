"""Bilinear samplers with one mistake each, as people write them, and wrappers of libraries."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from rmpe_jax.geometry import sampler


def ours(image, points):
    return sampler.sample(image, points[None])[0]


def written(
    image, points, *, half=0.5, shrink=0, order=(0, 1), upper=None, clamp=False, bounds=True
):
    """A sampler by four gathers, with autodiff for its gradients; right by default."""
    height, width, _ = image.shape
    x, y = points[:, order[0]], points[:, order[1]]
    x, y = (x + 1) * (width - shrink) / 2 - half, (y + 1) * (height - shrink) / 2 - half
    if clamp:
        x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    left, top = jnp.floor(x), jnp.floor(y)
    right, bottom = (jnp.ceil(x), jnp.ceil(y)) if upper == "ceil" else (left + 1, top + 1)
    total = 0.0
    for column, share_x in ((left, 1 - (x - left)), (right, x - left)):
        for row, share_y in ((top, 1 - (y - top)), (bottom, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            weight = jnp.where(inside | (not bounds), share_x * share_y, 0)
            total += weight[:, None] * image[row.astype(int), column.astype(int)]
    return total


def by_kernel(image, points):
    """Equation 5 as printed, with autodiff."""
    height, width, _ = image.shape
    x, y = (points[:, 0] + 1) * width / 2 - 0.5, (points[:, 1] + 1) * height / 2 - 0.5
    across = jax.nn.relu(1 - jnp.abs(x[:, None] - jnp.arange(width)[None]))
    down = jax.nn.relu(1 - jnp.abs(y[:, None] - jnp.arange(height)[None]))
    return jnp.einsum("nh,nw,hwc->nc", down, across, image)


@jax.custom_vjp
def per_pixel(image, points):
    """Ours, with a gradient that forgets how many pixels a unit of [-1, 1] is."""
    return ours(image, points)


def _forward(image, points):
    return ours(image, points), (image, points)


def _backward(inputs, upstream):
    d_image, d_points = jax.vjp(ours, *inputs)[1](upstream)
    height, width, _ = inputs[0].shape
    return d_image, d_points * 2 / jnp.array([[width, height]])


per_pixel.defvjp(_forward, _backward)


def scipy_sampler(image, points, mode="grid-constant"):
    x, y = ((points + 1) * image.shape[1::-1] - 1).T / 2
    read = partial(ndimage.map_coordinates, order=1, mode=mode)
    return np.stack([read(channel, [y, x]) for channel in np.moveaxis(image, -1, 0)], axis=-1)
