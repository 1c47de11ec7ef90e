"""Boxes: make, grow, cut and compare them.

A box is (x_min, y_min, x_max, y_max) in continuous pixels of the photograph: 0 is the outer left
(top) edge, the width (height) the outer right (bottom) one. Functions take one box or any leading
dimensions, as NumPy or JAX arrays. A box whose sides are not both positive is empty.
"""

import numpy as np
from jaxtyping import Bool, Float

from rmpe_jax.geometry.affine import Scalar, namespace
from rmpe_jax.records import Array


def from_xywh(xywh: Float[Array, "*n 4"]) -> Float[Array, "*n 4"]:
    """Return boxes given as (x_min, y_min, width, height), as COCO writes them."""
    corner, sides = xywh[..., :2], xywh[..., 2:]
    return namespace(xywh).concat([corner, corner + sides], axis=-1)


def to_xywh(box: Float[Array, "*n 4"]) -> Float[Array, "*n 4"]:
    """Return boxes as (x_min, y_min, width, height), as COCO writes them."""
    return namespace(box).concat([box[..., :2], size(box)], axis=-1)


def centre(box: Float[Array, "*n 4"]) -> Float[Array, "*n 2"]:
    """Return the centres (x, y)."""
    return (box[..., :2] + box[..., 2:]) / 2


def size(box: Float[Array, "*n 4"]) -> Float[Array, "*n 2"]:
    """Return (width, height)."""
    return box[..., 2:] - box[..., :2]


def area(box: Float[Array, "*n 4"]) -> Float[Array, "*n"]:
    """Return the areas in square pixels; 0 for empty boxes."""
    sides = namespace(box).maximum(size(box), 0)
    return sides[..., 0] * sides[..., 1]


def extend(box: Float[Array, "*n 4"], share: Scalar) -> Float[Array, "*n 4"]:
    """Return the boxes with each side longer by that share of its length, about the centre.

    Fang et al., RMPE (ICCV 2017), section 4.1 extends human proposals by 0.3.
    """
    return _about(centre(box), size(box) * (1 + share))


def fit_aspect(box: Float[Array, "*n 4"], width_over_height: Scalar) -> Float[Array, "*n 4"]:
    """Return the boxes with the side that is too short for this shape grown about the centre."""
    xp = namespace(box)
    sides = size(box)
    width = xp.maximum(sides[..., 0], sides[..., 1] * width_over_height)
    height = xp.maximum(sides[..., 1], sides[..., 0] / width_over_height)
    return _about(centre(box), xp.stack([width, height], axis=-1))


def clip(box: Float[Array, "*n 4"], height: Scalar, width: Scalar) -> Float[Array, "*n 4"]:
    """Return what lies inside an image of that size; empty where nothing does."""
    xp = namespace(box)
    x, y = xp.clip(box[..., 0::2], 0, width), xp.clip(box[..., 1::2], 0, height)
    return xp.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)


def iou(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Return intersection over union of each of `a` with each of `b`; 0 if one is empty."""
    xp = namespace(a, b)
    top_left = xp.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = xp.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = area(xp.concat([top_left, bottom_right], axis=-1))
    union = area(a)[:, None] + area(b)[None, :] - intersection
    return intersection / xp.where(union > 0, union, 1)


def contains(box: Float[Array, "n 4"], point: Float[Array, "n 2"]) -> Bool[Array, " n"]:
    """Return whether each of n boxes holds its own point (x, y), the edge included; not for NaN."""
    return namespace(box, point).all((box[..., :2] <= point) & (point <= box[..., 2:]), axis=-1)


def of_joints(
    joints_px: Float[Array, "*n k 2"], visible: Bool[Array, "*n k"]
) -> Float[Array, "*n 4"]:
    """Return the tightest boxes about the visible joints; all 0 where none is visible."""
    xp = namespace(joints_px, visible)
    seen = visible[..., None]
    low = xp.min(joints_px, axis=-2, where=seen, initial=np.inf)
    high = xp.max(joints_px, axis=-2, where=seen, initial=-np.inf)
    return xp.where(xp.any(visible, axis=-1)[..., None], xp.concat([low, high], axis=-1), 0)


def check(boxes_px: object, height: int, width: int) -> Float[np.ndarray, "n 4"]:
    """Return boxes a user typed as a float64 array, or raise a ValueError that says what is wrong.

    Refused are wrong shapes, values that are not finite, boxes without an area, and boxes wholly
    outside an image of that size. On the host only.
    """
    try:
        boxes = np.asarray(boxes_px, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"boxes must be numbers, [n 4]; got {boxes_px!r}") from error
    if boxes.shape == (0,):
        return np.zeros((0, 4))
    if boxes.shape == (4,):
        raise ValueError("boxes is one box; a list of boxes is needed: type [box]")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            "boxes must be rows of (x_min, y_min, x_max, y_max), shape [n 4]; got shape "
            f"{list(boxes.shape)}. For no boxes type numpy.zeros((0, 4))"
        )
    for row, box in enumerate(boxes):
        if problem := _problem(box, height, width):
            numbers = ", ".join(f"{value:g}" for value in box)
            raise ValueError(f"boxes[{row}] = ({numbers}): {problem}")
    return boxes


def _about(middle: Float[Array, "*n 2"], sides: Float[Array, "*n 2"]) -> Float[Array, "*n 4"]:
    return namespace(middle).concat([middle - sides / 2, middle + sides / 2], axis=-1)


def _problem(box: Float[np.ndarray, " 4"], height: int, width: int) -> str | None:
    """Return what is wrong with one box and what to do about it, or None."""
    x_min, y_min, x_max, y_max = box
    if not np.isfinite(box).all():
        return "all four values must be finite; leave this row out"
    if x_max <= x_min or y_max <= y_min:
        return (
            "it has no area: x_max must be above x_min and y_max above y_min. If the rows are "
            "(x, y, width, height), type rmpe_jax.geometry.boxes.from_xywh(boxes)"
        )
    if x_max <= 0 or y_max <= 0 or x_min >= width or y_min >= height:
        return (
            f"it lies outside the image, which is {width} wide and {height} high. Boxes are in "
            "pixels of the photograph as it is stored; scale them if it was resized, or leave "
            "this row out"
        )
    return None
