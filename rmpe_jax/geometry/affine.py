"""Affine maps between images: make them, chain them, undo them, apply them to points.

Points are (x, y) in [-1, 1]: -1 and 1 are the outer edges of an image, so pixel centres lie half
a pixel inside. Pixels (`_px`) are continuous: 0 is the outer left (top) edge, the width (height)
the outer right (bottom) one, and pixel j has its centre at j + 0.5.

`theta` is always a 2x3 *pull* map: it takes a point of the output to the point of the input that
is shown there. Images and heat-maps are pulled, so undoing theta on them needs
`gamma`, its inverse. Points travel the other way: a joint found in the output goes back to the
input by theta itself.

Functions take one theta and any number of points, and serve NumPy arrays (the loader, in float64)
and JAX arrays alike; use `jax.vmap` for many thetas. They multiply and add by hand because a
matrix product is rounded to TF32 or bfloat16 on accelerators, which would move joints.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rmpe_jax.records import Array

if TYPE_CHECKING:
    Scalar = Any
else:
    Scalar = float | int | np.generic | Shaped[Array, ""]

LEAST_DETERMINANT = 1e-4  # of a learned theta in `gamma`: a hundredth of the image a side


def namespace(*arrays: Array) -> ModuleType:
    """Return `jax.numpy` if one of the arrays is JAX's (traced or not), else NumPy."""
    leading = next((a for a in arrays if isinstance(a, jax.Array)), arrays[0])
    return leading.__array_namespace__()


def identity() -> Float[np.ndarray, "2 3"]:
    """Return the map that leaves every point where it is."""
    return np.eye(2, 3)


def compose(outer: Float[Array, "2 3"], inner: Float[Array, "2 3"]) -> Float[Array, "2 3"]:
    """Return the map that does `inner` first and `outer` after it."""
    xp = namespace(outer, inner)
    product = outer[:, :1] * inner[:1] + outer[:, 1:2] * inner[1:]
    return xp.concat([product[:, :2], product[:, 2:] + outer[:, 2:]], axis=1)


def invert(theta: Float[Array, "2 3"]) -> Float[Array, "2 3"]:
    """Return the exact inverse of theta; infinite or NaN where theta has none.

    For maps that are known: that of a small crop out of a large photograph has a determinant far
    below what `gamma` allows a learned theta.
    """
    return _inverse(theta, _determinant(theta))


def gamma(theta: Float[Array, "2 3"]) -> Float[Array, "2 3"]:
    """Return gamma, the inverse of a learned theta; finite, with a finite gradient, for any.

    Fang et al., RMPE (ICCV 2017), eq. 3 and 4; the gradient that autodiff takes is their eq. 5
    and 6. Where `is_clamped`, the determinant counts as +-1e-4 (its sign is kept, and 0 counts as
    positive), and no gradient flows through it. NaN stays NaN.
    """
    xp = namespace(theta)
    determinant = _determinant(theta)
    least = xp.where(determinant < 0, -LEAST_DETERMINANT, LEAST_DETERMINANT)
    return _inverse(theta, xp.where(is_clamped(theta), least, determinant))


def is_clamped(theta: Float[Array, "*n 2 3"]) -> Bool[Array, "*n"]:
    """Return whether theta is so nearly singular that `gamma` is not its inverse."""
    xp = namespace(theta)
    return xp.asarray(xp.abs(_determinant(theta)) < LEAST_DETERMINANT)


def _determinant(theta: Float[Array, "*n 2 3"]) -> Scalar | Shaped[Array, "*n"]:
    return theta[..., 0, 0] * theta[..., 1, 1] - theta[..., 0, 1] * theta[..., 1, 0]


def _inverse(theta: Float[Array, "2 3"], determinant: Scalar) -> Float[Array, "2 3"]:
    """Return the inverse of a theta with that determinant."""
    (a, b, shift_x), (c, d, shift_y) = theta
    rows = [
        [d / determinant, -b / determinant, (b * shift_y - d * shift_x) / determinant],
        [-c / determinant, a / determinant, (c * shift_x - a * shift_y) / determinant],
    ]
    return namespace(theta).asarray(rows, dtype=theta.dtype)


def apply(
    theta: Float[Array, "2 3"], points: Float[Array, "*points 2"]
) -> Float[Array, "*points 2"]:
    """Return where theta takes the points. Fang et al., RMPE (ICCV 2017), eq. 1."""
    x, y = points[..., 0], points[..., 1]
    rows = [theta[row, 0] * x + theta[row, 1] * y + theta[row, 2] for row in (0, 1)]
    return namespace(theta, points).stack(rows, axis=-1)


def from_box(
    box_px: Float[Array, " 4"],
    image_height: Scalar,
    image_width: Scalar,
    *,
    turn: Scalar = 0.0,
    flip: Scalar = False,
) -> Float[Array, "2 3"]:
    """Return theta_crop, which pulls a box out of an image (crop point -> image point).

    The edges of the crop are those of the box (x_min, y_min, x_max, y_max); the box may reach
    outside of the image. `flip` mirrors the crop left-right. `turn` then turns the box by that
    many radians about its centre, clockwise on the screen, so that its content appears turned
    the other way; this is done in pixels, so a circle stays a circle whatever the image's shape.
    """
    xp = box_px.__array_namespace__()
    x_min, y_min, x_max, y_max = box_px
    half_width, half_height = (x_max - x_min) / 2, (y_max - y_min) / 2
    half_width = xp.where(flip, -half_width, half_width)
    cosine, sine = xp.cos(turn), xp.sin(turn)
    to_x, to_y = 2 / image_width, 2 / image_height
    rows = [
        [
            cosine * half_width * to_x,
            -sine * half_height * to_x,
            (x_min + x_max) / 2 * to_x - 1,
        ],
        [
            sine * half_width * to_y,
            cosine * half_height * to_y,
            (y_min + y_max) / 2 * to_y - 1,
        ],
    ]
    return xp.asarray(rows, dtype=box_px.dtype)


def to_pixels(
    points: Float[Array, "*points 2"], height: Scalar, width: Scalar
) -> Float[Array, "*points 2"]:
    """Return points in pixels of an image of that size."""
    x, y = (points[..., 0] + 1) * (width / 2), (points[..., 1] + 1) * (height / 2)
    return points.__array_namespace__().stack([x, y], axis=-1)


def from_pixels(
    points_px: Float[Array, "*points 2"], height: Scalar, width: Scalar
) -> Float[Array, "*points 2"]:
    """Return points given in pixels of an image of that size as points in [-1, 1]."""
    x, y = points_px[..., 0] * (2 / width) - 1, points_px[..., 1] * (2 / height) - 1
    return points_px.__array_namespace__().stack([x, y], axis=-1)
