"""theta as six numbers that a hand can set: where the window lies, how large and how turned it is.

theta = [A t]. In pixels of the crop A = R S, a turn R after a symmetric S: what zooms, shears and
stretches without turning. That is the polar decomposition, unique but where nothing tells the turn
(A maps every point onto its mirror image, or to one place: no turn then). Near the identity the six
are those of `motion`. NumPy, in float64.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rmpe_jax.inspection.motion import DEGREE, PERCENT
from rmpe_jax.records import Array


class Placement(NamedTuple):
    """The window, beside the whole crop, which is 0 in all.

    `shift_x`, `shift_y`: its centre, in pixels of the crop, right and down. `zoom`: how much larger
    its sides are, in percent (the person appears smaller). `turn`: in degrees, clockwise on the
    screen. `shear`, `stretch` (wider and lower): in percent of the crop's sides.
    """

    shift_x: float
    shift_y: float
    zoom: float
    turn: float
    shear: float
    stretch: float


def theta_of(placement: Placement, height: int, width: int) -> Float[np.ndarray, "2 3"]:
    """Return the theta (straight point -> crop point) of a window in a crop of that size."""
    scale = 1 + placement.zoom * PERCENT
    shear, stretch = placement.shear * PERCENT, placement.stretch * PERCENT
    cos, sin = np.cos(placement.turn * DEGREE), np.sin(placement.turn * DEGREE)
    turn = np.array([[cos, -sin], [sin, cos]])
    linear = turn @ np.array([[scale + stretch, shear], [shear, scale - stretch]])
    half = np.array([width / 2, height / 2])
    shift = np.array([placement.shift_x, placement.shift_y])
    return np.column_stack([linear * half[None] / half[:, None], shift / half])


def placement_of(theta: Float[Array, "2 3"], height: int, width: int) -> Placement:
    """Return the window of a theta: the inverse of `theta_of` where zoom is above -100 %."""
    theta = np.asarray(theta, np.float64)
    half = np.array([width / 2, height / 2])
    linear = theta[:, :2] * half[:, None] / half[None]
    angle = np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    (xx, xy), (_, yy) = np.array([[cos, sin], [-sin, cos]]) @ linear
    shift = theta[:, 2] * half
    return Placement(
        shift_x=float(shift[0]),
        shift_y=float(shift[1]),
        zoom=float((xx + yy) / 2 - 1) / PERCENT,
        turn=float(angle) / DEGREE,
        shear=float(xy) / PERCENT,
        stretch=float((xx - yy) / 2) / PERCENT,
    )
