"""The equations of both papers written out in NumPy, with nothing of the samplers in them.

Jaderberg et al., Spatial Transformer Networks (2015), eq. 5 to 7, and Fang et al., RMPE (ICCV
2017), eq. 3 to 6. Points are (x, y) in [-1, 1] with the image's outer edges at -1 and 1; outside
it is zero. Float64; any leading dimensions. Dense, hence slow: for small images.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Axis(NamedTuple):
    """What each of m pixels of one axis weighs at n points, and two derivatives of that.

    `weight` is max(0, 1 - |x - m|). `slope` is its right-hand derivative per pixel: that of
    U[floor(x)], U[floor(x) + 1]. `literal` is eq. 7 as printed: 1 where 0 <= m - x < 1, -1 where
    0 < x - m < 1. They differ where x is a whole number: there eq. 7 weighs U[x] alone, and is no
    derivative.
    """

    weight: Float[np.ndarray, "*n m"]
    slope: Float[np.ndarray, "*n m"]
    literal: Float[np.ndarray, "*n m"]


def axis(coordinate: Float[np.ndarray, "*n"], size: int) -> Axis:
    """Return the kernel of coordinates in [-1, 1] along an axis of `size` pixels."""
    x = (coordinate[..., None] + 1) * size / 2 - 0.5
    pixel = np.arange(size)
    left = np.floor(x)
    near = np.abs(pixel - x) < 1
    return Axis(
        weight=np.maximum(0, 1 - np.abs(x - pixel)),
        slope=(pixel == left + 1) * 1.0 - (pixel == left) * 1.0,
        literal=np.where(near, np.where(pixel >= x, 1.0, -1.0), 0.0),
    )


def read(
    image: Float[np.ndarray, "h w c"], points: Float[np.ndarray, "*n 2"]
) -> Float[np.ndarray, "*n c"]:
    """Return the image at the points (STN, eq. 5)."""
    across, down = _axes(image, points)
    return np.einsum("...h,...w,hwc->...c", down.weight, across.weight, image, optimize=True)


def gradient_of_image(
    image: Float[np.ndarray, "h w c"],
    points: Float[np.ndarray, "*n 2"],
    upstream: Float[np.ndarray, "*n c"],
) -> Float[np.ndarray, "h w c"]:
    """Return the image's gradient (STN, eq. 6)."""
    across, down = _axes(image, points)
    return np.einsum("...h,...w,...c->hwc", down.weight, across.weight, upstream, optimize=True)


def gradient_of_points(
    image: Float[np.ndarray, "h w c"],
    points: Float[np.ndarray, "*n 2"],
    upstream: Float[np.ndarray, "*n c"],
    *,
    literal: bool = False,
) -> Float[np.ndarray, "*n 2"]:
    """Return the points' gradient (STN, eq. 7), right-hand at pixel centres, or as printed there.

    Eq. 7 is per pixel; a point in [-1, 1] moves half the width (height) as many pixels.
    """
    height, width, _ = image.shape
    across, down = _axes(image, points)
    slope_x, slope_y = (across.literal, down.literal) if literal else (across.slope, down.slope)
    rule = "...h,...w,hwc,...c->..."
    d_x = np.einsum(rule, down.weight, slope_x, image, upstream, optimize=True)
    d_y = np.einsum(rule, slope_y, across.weight, image, upstream, optimize=True)
    return np.stack([d_x * width / 2, d_y * height / 2], axis=-1)


def gradient_of_theta(
    d_points: Float[np.ndarray, "*n p 2"], points: Float[np.ndarray, "p 2"]
) -> Float[np.ndarray, "*n 2 3"]:
    """Return theta's gradient from that of the points where it took `points` (RMPE, eq. 1)."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return np.einsum("...pi,pj->...ij", d_points, homogeneous)


def gamma(theta: Float[np.ndarray, "*n 2 3"]) -> Float[np.ndarray, "*n 2 3"]:
    """Return the inverse (RMPE, eq. 3 and 4); the determinant is not clamped."""
    left = np.linalg.inv(theta[..., :2])
    return np.concatenate([left, -left @ theta[..., 2:]], axis=-1)


def gradient_through_gamma(
    theta: Float[np.ndarray, "*n 2 3"], d_gamma: Float[np.ndarray, "*n 2 3"]
) -> Float[np.ndarray, "*n 2 3"]:
    """Return theta's gradient from gamma's (RMPE, eq. 5 and 6).

    d [gamma1 gamma2] = -[gamma1 gamma2] d [theta1 theta2] [gamma1 gamma2], and gamma3 depends on
    theta3 and, by eq. 4, on [gamma1 gamma2].
    """
    left = np.swapaxes(gamma(theta)[..., :2], -1, -2)
    d_third = d_gamma[..., 2:]
    d_left = d_gamma[..., :2] - d_third @ np.swapaxes(theta[..., 2:], -1, -2)
    return np.concatenate([-left @ d_left @ left, -left @ d_third], axis=-1)


def _axes(
    image: Float[np.ndarray, "h w c"], points: Float[np.ndarray, "*n 2"]
) -> tuple[Axis, Axis]:
    height, width, _ = image.shape
    return axis(points[..., 0], width), axis(points[..., 1], height)
