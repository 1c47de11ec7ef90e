"""Boxes as a detector would give them, from annotated ones: each side moves by a Gaussian.

The Gaussian is one for all people, that the authors of RMPE measured and published; `data.pgpg`
has those fitted to a detector and to poses.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

# Detected minus annotated side in widths (x) and heights (y) of the annotated box, for x_min,
# y_min, x_max, y_max: mean and standard deviation. Fang, github.com/Fang-Haoshu/multi-human-pose,
# issue 5; the same numbers are in AlphaPose's alphapose/utils/transforms.py.
MEAN = np.array((-0.0142, 0.0043, 0.0154, -0.0013))
DEVIATION = np.array((0.1158, 0.0680, 0.1337, 0.0711))
SMALLEST = 5.0  # pixels; the authors' code


def jittered(
    generator: np.random.Generator,
    box_px: Float[np.ndarray, " 4"],
    image_height: int,
    image_width: int,
    amount: float,
) -> Float[np.ndarray, " 4"]:
    """Return the box with its sides moved by `amount` times the Gaussian, inside the image.

    Four numbers are drawn whatever `amount` is; 0 returns the box as it came.
    """
    numbers = generator.standard_normal(4)
    if amount == 0:
        return box_px
    offset = (amount * (MEAN + DEVIATION * numbers)).tolist()
    return moved(box_px, offset, image_height, image_width)


def moved(
    box_px: Float[np.ndarray, " 4"],
    offset: Sequence[float],
    image_height: int,
    image_width: int,
) -> Float[np.ndarray, " 4"]:
    """Return the box with its sides moved by `offset` of its width (x) and height (y), inside."""
    x_min, y_min, x_max, y_max = box_px.tolist()
    width, height = x_max - x_min, y_max - y_min
    left, top, right, bottom = offset
    return _cut(
        x_min + left * width,
        y_min + top * height,
        x_max + right * width,
        y_max + bottom * height,
        image_height,
        image_width,
    )


def inside(
    box_px: Float[np.ndarray, " 4"], image_height: int, image_width: int
) -> Float[np.ndarray, " 4"]:
    """Return the box cut to the image, and at least `SMALLEST` wide and high if the image is.

    A box that has turned inside out becomes the smallest one at its x_min (y_min).
    """
    x_min, y_min, x_max, y_max = box_px.tolist()
    return _cut(x_min, y_min, x_max, y_max, image_height, image_width)


def _cut(
    x_min: float, y_min: float, x_max: float, y_max: float, image_height: int, image_width: int
) -> Float[np.ndarray, " 4"]:
    """Do what `inside` says. Single numbers: on four, NumPy takes several times as long."""
    least_x, least_y = min(SMALLEST, image_width), min(SMALLEST, image_height)
    x_min = min(max(x_min, 0), image_width - least_x)
    y_min = min(max(y_min, 0), image_height - least_y)
    x_max = max(min(x_max, image_width), x_min + least_x)
    y_max = max(min(y_max, image_height), y_min + least_y)
    return np.array((x_min, y_min, x_max, y_max), np.float64)
