"""Boxes that miss a person by as much as is asked for: of a given IoU with the annotated one."""

import numpy as np
from jaxtyping import Float

from rmpe_jax.geometry import boxes

STEPS = 60  # halvings: to the last digits


def at_iou(
    generator: np.random.Generator, box_px: Float[np.ndarray, " 4"], iou: float
) -> Float[np.ndarray, " 4"]:
    """Return the box with its sides moved at random until its IoU with itself is `iou`.

    All four sides move along one direction, normal in widths (x) and heights (y) of the box, as
    far as it takes. It may reach outside of the photograph. Raises ValueError for an IoU outside
    of (0, 1] and for a box without area.
    """
    sides = np.tile(boxes.size(box_px), 2)
    if not 0 < iou <= 1 or not (sides > 0).all():
        raise ValueError(
            f"a box {box_px.tolist()} of IoU {iou} was asked for; an IoU in (0, 1] and a box with "
            "an area are allowed"
        )
    direction = generator.standard_normal(4) * sides

    def reached(amount: float) -> float:
        moved = box_px + amount * direction
        solid = (boxes.size(moved) > 0).all()
        return float(boxes.iou(box_px[None], moved[None])[0, 0]) if solid else 0.0

    low, high = 0.0, 1.0
    while reached(high) > iou:
        high *= 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) >= iou else (low, middle)
    return box_px + low * direction
