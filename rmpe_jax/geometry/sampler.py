"""Read an image between its pixels, and pull one image out of another.

Points are (x, y) in [-1, 1]: -1 and 1 are the outer edges of the image, so pixel centres lie half
a pixel inside. Functions take one image; use `jax.vmap` for many.

One function, several forms, the same numbers from each. The form follows from the platform the
program is compiled for, wherever that is done, and from the form of theta:

| | any points | theta | theta without off-diagonal entries |
|---|---|---|---|
| CPU | gather | gather, the image's gradient by transposition | the same |
| GPU | gather | gather | gather |
| TPU | tiles | tiles | separable |

Each is a file: `sampler_gather`, `sampler_transpose`, `sampler_tiles`, `sampler_separable`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array as JaxArray
from jaxtyping import Float, Real

from rmpe_jax.geometry import (
    affine,
    pixels,
    sampler_gather,
    sampler_separable,
    sampler_tiles,
    sampler_transpose,
)
from rmpe_jax.records import Array


def pixel_centres(height: int, width: int) -> Float[Array, "{height} {width} 2"]:
    """Return the point at the centre of each pixel."""
    return pixels.centres(height, width)


def sample(image: Real[Array, "h w c"], points: Float[Array, "oh ow 2"]) -> Float[Array, "oh ow c"]:
    """Return the image read at the points by bilinear interpolation; it is zero outside.

    The interpolation is between pixel centres, so a value fades to zero within half a pixel of
    the image's edge on either side. Jaderberg et al., Spatial Transformer Networks (2015), eq. 5.
    Integer images are read as float32; the result has the more precise type of the two. A point
    that is NaN reads NaN.

    The gradient of the image is eq. 6. That of the points is eq. 7, but at a pixel centre, where
    interpolation has a kink and the identity puts every point, it is the right-hand derivative
    U[m + 1] - U[m] (eq. 7 read literally gives U[m], which is none). On a constant image it is 0
    inside; at the last row and column it sees the zero outside. A gradient that is not asked for
    costs nothing. First derivatives, in reverse mode only: `jax.jvp` and `jax.jacfwd` raise.
    """
    return _sample(*_one_precision(image, points), None, False)


def pull(
    image: Real[Array, "h w c"],
    theta: Float[Array, "2 3"],
    height: int,
    width: int,
    *,
    axis_aligned: bool = False,
) -> Float[Array, "{height} {width} c"]:
    """Return a `height` x `width` image whose point p shows `image` at theta(p).

    Fang et al., RMPE (ICCV 2017), eq. 1. What is found in the result goes back to `image` by
    theta itself (see `rmpe_jax.geometry.affine`). Values and gradients are those of `sample`.

    `axis_aligned` says that theta's off-diagonal entries are 0 by construction, as in a crop that
    is not turned and in a spatial transformer of scale and translation: a TPU then needs only two
    small matrix products. The entries are taken as 0 whatever they are, and get no gradient.
    """
    theta = jnp.asarray(theta)
    if axis_aligned:
        theta = jnp.where(np.array([[True, False, True], [False, True, True]]), theta, 0)
    points = affine.apply(theta, pixel_centres(height, width).astype(theta.dtype))
    image, points = _one_precision(image, points)
    return _sample(image, points, theta.astype(points.dtype), axis_aligned)


def _one_precision(
    image: Real[Array, "h w c"], points: Float[Array, "oh ow 2"]
) -> tuple[Float[JaxArray, "h w c"], Float[JaxArray, "oh ow 2"]]:
    """Return both in the more precise of their types; integers count as float32."""
    image, points = jnp.asarray(image), jnp.asarray(points)
    if not jnp.issubdtype(image.dtype, jnp.floating):
        image = image.astype(jnp.float32)
    dtype = max(image.dtype, points.dtype, key=lambda dtype: dtype.itemsize)
    return image.astype(dtype), points.astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _sample(
    image: Float[JaxArray, "h w c"],
    points: Float[JaxArray, "oh ow 2"],
    theta: Float[JaxArray, "2 3"] | None,
    axis_aligned: bool,
) -> Float[JaxArray, "oh ow c"]:
    """Return the image at the points; `theta` made them from pixel centres, if it is not None."""
    if points.size == 0:
        return sampler_gather.read(image, points)
    on_tpu = sampler_separable if axis_aligned else sampler_tiles
    return jax.lax.platform_dependent(image, points, tpu=on_tpu.read, default=sampler_gather.read)


def _sample_forward(
    image: Float[JaxArray, "h w c"],
    points: Float[JaxArray, "oh ow 2"],
    theta: Float[JaxArray, "2 3"] | None,
    axis_aligned: bool,
) -> tuple[JaxArray, tuple[JaxArray, JaxArray, JaxArray | None]]:
    return _sample(image, points, theta, axis_aligned), (image, points, theta)


def _sample_backward(
    axis_aligned: bool,
    inputs: tuple[JaxArray, JaxArray, JaxArray | None],
    upstream: Float[JaxArray, "oh ow c"],
) -> tuple[JaxArray, JaxArray, JaxArray | None]:
    """Return the gradients of image and points; theta has its gradient through the points."""
    # Without the barrier XLA sees that the forward pass read the same pixels, and keeps all four
    # corners of every point in memory until now: slower than to read them again.
    (image, points, theta), upstream = jax.lax.optimization_barrier((inputs, upstream))
    height, width, _ = image.shape

    def gather(image: JaxArray, points: JaxArray, upstream: JaxArray) -> tuple[JaxArray, JaxArray]:
        d_image = sampler_gather.gradient_of_image(points, upstream, height, width)
        return d_image, sampler_gather.gradient_of_points(image, points, upstream)

    def transpose(
        image: JaxArray, points: JaxArray, upstream: JaxArray
    ) -> tuple[JaxArray, JaxArray]:
        d_image = sampler_transpose.gradient_of_image(theta, points, upstream, height, width)
        return d_image, sampler_gather.gradient_of_points(image, points, upstream)

    if points.size == 0:
        d_image, d_points = gather(image, points, upstream)
    else:
        d_image, d_points = jax.lax.platform_dependent(
            image,
            points,
            upstream,
            tpu=(sampler_separable if axis_aligned else sampler_tiles).gradients,
            cpu=gather if theta is None else transpose,
            default=gather,
        )
    return d_image, d_points, None if theta is None else jnp.zeros_like(theta)


_sample.defvjp(_sample_forward, _sample_backward)
