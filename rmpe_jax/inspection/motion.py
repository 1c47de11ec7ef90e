"""theta as a person sees it: how the window that it cuts out of the crop moves.

theta is the window's place: the straight image is what the crop shows inside of it. Six motions
make up every small change of theta: two shifts, and four about the window's centre. Pixels (`_px`)
are the crop's; y points down, so a positive turn is clockwise on the screen. NumPy, in float64.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rmpe_jax.records import Array

PERCENT, DEGREE = 0.01, np.pi / 180
# About the centre, in pixels, in the order of Motion.
ABOUT_CENTRE = np.array(
    [
        np.eye(2) * PERCENT,
        np.array([[0, -1], [1, 0]]) * DEGREE,
        np.array([[0, 1], [1, 0]]) * PERCENT,
        np.array([[1, 0], [0, -1]]) * PERCENT,
    ]
)

# What each part of a Motion is called, above and below 0.
IN_WORDS = (
    ("{} px right", "{} px left"),
    ("{} px down", "{} px up"),
    ("zoom out {} %", "zoom in {} %"),
    ("turn {}° clockwise", "turn {}° anticlockwise"),
    ("shear {} %", "shear -{} %"),
    ("stretch {} % wider", "stretch {} % taller"),
)


class Motion(NamedTuple):
    """How a window moves, or what each motion costs; the fields are arrays of one shape.

    `shift_x`, `shift_y` in pixels of the crop; `zoom` in percent of the window's sides (positive:
    it grows, the person appears smaller); `turn` in degrees; `shear` in percent (the corners
    at the upper left and lower right move away from each other); `stretch` in percent (wider and
    lower).
    """

    shift_x: Float[Array, "*n"]
    shift_y: Float[Array, "*n"]
    zoom: Float[Array, "*n"]
    turn: Float[Array, "*n"]
    shear: Float[Array, "*n"]
    stretch: Float[Array, "*n"]


def basis(theta: Float[Array, "2 3"], height: int, width: int) -> Float[np.ndarray, "6 2 3"]:
    """Return the change of theta that is one unit of each motion, in a crop of that size."""
    theta, to_px = np.asarray(theta, np.float64), _to_px(height, width)
    out = np.zeros((6, 2, 3))
    out[0, 0, 2], out[1, 1, 2] = 2 / width, 2 / height
    out[2:, :, :2] = np.linalg.inv(to_px) @ ABOUT_CENTRE @ to_px @ theta[:, :2]
    return out


def motion_of(
    theta: Float[Array, "2 3"], change: Float[Array, "*n 2 3"], height: int, width: int
) -> Motion:
    """Return the motion that a small change of theta is; NaN where theta cannot be inverted."""
    change, to_px = np.asarray(change, np.float64), _to_px(height, width)
    (a, b), (c, d) = np.asarray(theta, np.float64)[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
        about = to_px @ change[..., :2] @ inverse @ np.linalg.inv(to_px)
    shift = change[..., 2] * np.diag(to_px)
    (xx, xy), (yx, yy) = np.moveaxis(about, (-2, -1), (0, 1))
    return Motion(
        shift_x=shift[..., 0],
        shift_y=shift[..., 1],
        zoom=(xx + yy) / 2 / PERCENT,
        turn=(yx - xy) / 2 / DEGREE,
        shear=(xy + yx) / 2 / PERCENT,
        stretch=(xx - yy) / 2 / PERCENT,
    )


def slopes(
    theta: Float[Array, "2 3"], gradient: Float[Array, "*n 2 3"], height: int, width: int
) -> Motion:
    """Return how much the loss rises with one unit of each motion, at any theta."""
    units = basis(theta, height, width)
    rises = np.einsum("mij,...ij->m...", units, np.asarray(gradient, np.float64))
    return Motion(*rises)


def descent(
    theta: Float[Array, "2 3"],
    gradient: Float[Array, "*n 2 3"],
    height: int,
    width: int,
    *,
    step_px: float = 1.0,
) -> Motion:
    """Return where a step against the gradient takes the window, `step_px` far by `distance_px`.

    The step is one of theta, as an optimiser without momentum takes it. No gradient, no motion.
    """
    gradient = np.asarray(gradient, np.float64)
    far = distance_px(gradient, height, width)[..., None, None]
    change = -gradient * step_px / np.where(far > 0, far, 1)
    return motion_of(theta, change, height, width)


def distance_px(change: Float[Array, "*n 2 3"], height: int, width: int) -> Float[np.ndarray, "*n"]:
    """Return how far a change of theta moves the window: the root mean square over its points."""
    moved = _to_px(height, width) @ np.asarray(change, np.float64)
    # Over [-1, 1] the mean of x**2 is 1/3, and those of x, y and x * y are 0.
    mean = (moved[..., :2] ** 2).sum(axis=(-2, -1)) / 3 + (moved[..., 2] ** 2).sum(axis=-1)
    return np.asarray(np.sqrt(mean))


def in_words(motion: Motion) -> str:
    """Return one motion as "0.8 px left, 0.3 px down, zoom in 1.2 %", its largest part first.

    Left out is what is below a tenth of the largest; a pixel, a percent and a degree count
    the same.
    """
    sizes = np.array([float(part) for part in motion])
    told = np.nan_to_num(np.abs(sizes)).tolist()
    if not np.isfinite(sizes).all():
        return "unknown: theta cannot be inverted"
    if not any(told):
        return "stays where it is"
    order = sorted(range(len(told)), key=lambda part: -told[part])
    return ", ".join(
        IN_WORDS[part][int(sizes[part] < 0)].format(_two_digits(told[part]))
        for part in order
        if told[part] > max(told) / 10
    )


def _two_digits(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _to_px(height: int, width: int) -> Float[np.ndarray, "2 2"]:
    return np.diag([width / 2, height / 2])
