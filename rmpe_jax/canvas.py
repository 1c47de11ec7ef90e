"""What users give, checked, and brought into one of a few shapes, so that few programs compile.

Pixels (`_px`) are the photograph's, 0 at its outer left (top) edge. The photograph is padded at
the bottom and right into a canvas of one of a few sizes, and its people to one of a few counts.
On the host, in NumPy.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax.geometry import boxes
from rmpe_jax.records import Detections

CANVAS_SIDES = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
# Rows that fill up cost as much as people, and every step is one more program to compile. Beyond:
# multiples of the last.
PERSON_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MOST_IMAGES = 8  # in one call: more would only take more memory


def checked_image(image: Any) -> UInt8[np.ndarray, "height width 3"]:
    """Return an RGB uint8 image, or raise ValueError saying what came and what is allowed.

    A grey one [height width] is repeated. NumPy and JAX arrays are taken, in any memory layout.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        hint = ""
        if array.dtype.kind == "f":
            hint = " Of values in [0, 1] it is made by (255 * image).round().astype('uint8')."
        elif array.ndim == 3 and array.shape[2] == 4:
            hint = " Without alpha it is image[:, :, :3]."
        raise ValueError(
            f"the image has shape {np.shape(image)} and type {array.dtype}; allowed is RGB "
            f"uint8 [height width 3].{hint} A file becomes one by rmpe_jax.read_image(path)."
        )
    return array


def checked_scores(scores: Any | None, count: int) -> Float[np.ndarray, " {count}"]:
    """Return `count` box scores, all 1 if None came, or raise ValueError saying what is wrong."""
    if scores is None:
        return np.ones(count)
    array = np.asarray(scores, np.float64)
    if array.shape != (count,):
        raise ValueError(f"scores have shape {array.shape}; one for each of {count} boxes is due")
    if not ((array >= 0) & (array <= 1)).all():
        worst = array[~((array >= 0) & (array <= 1))][0]
        raise ValueError(
            f"a score is {worst}; scores are in [0, 1] (divide percents by 100, pass logits "
            "through a sigmoid)"
        )
    return array


class Proposed(NamedTuple):
    """An image and the boxes of n people on it, checked; box scores are in [0, 1]."""

    image: UInt8[np.ndarray, "height width 3"]
    boxes_px: Float[np.ndarray, "n 4"]
    score: Float[np.ndarray, " n"]


def proposed(
    image: UInt8[np.ndarray, "height width 3"], wanted: Any, scores: Any | None
) -> Proposed:
    """Return an image with boxes and scores that can be used, or raise ValueError."""
    height, width, _ = image.shape
    boxes_px = boxes.check(wanted, height, width)
    return Proposed(image, boxes_px, checked_scores(scores, len(boxes_px)))


def shapes(given: Proposed) -> tuple[int, int, int]:
    """Return the canvas's height and width and the number of rows: what decides on a program."""
    height, width, _ = given.image.shape
    return (
        rounded_up(height, CANVAS_SIDES),
        rounded_up(width, CANVAS_SIDES),
        rounded_up(len(given.boxes_px), PERSON_COUNTS),
    )


def padded(
    given: Proposed,
) -> tuple[UInt8[np.ndarray, "canvas_height canvas_width 3"], Detections]:
    """Return the image on a black canvas, its top-left corner kept, and its n > 0 boxes in rows.

    The rows that fill up repeat the first box, so that no singular crop is ever computed.
    """
    height, width, _ = given.image.shape
    canvas_height, canvas_width, rows = shapes(given)
    canvas = np.zeros((canvas_height, canvas_width, 3), np.uint8)
    canvas[:height, :width] = given.image
    count = len(given.boxes_px)
    filled = np.concatenate([given.boxes_px, np.repeat(given.boxes_px[:1], rows - count, axis=0)])
    return canvas, Detections(
        boxes_px=filled.astype(np.float32),
        score=np.pad(given.score.astype(np.float32), (0, rows - count)),
        valid=np.arange(rows) < count,
    )


def rounded_up(number: int, to: Sequence[int]) -> int:
    """Return the first of rising numbers that is not below; beyond them a multiple of the last."""
    largest = to[-1]
    fitting = (size for size in to if size >= number)
    return next(fitting, -(-number // largest) * largest)


def batches(shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return the numbers of things of one shape, in lists of at most MOST_IMAGES.

    The lists of a shape have one length, so that they are one program: the last number of a short
    one is repeated.
    """
    numbers: dict[tuple[int, ...], list[int]] = {}
    for number, shape in enumerate(shapes):
        numbers.setdefault(shape, []).append(number)
    made = []
    for alike in numbers.values():
        size = -(-len(alike) // -(-len(alike) // MOST_IMAGES))
        parts = [alike[start : start + size] for start in range(0, len(alike), size)]
        made += [part + part[-1:] * (size - len(part)) for part in parts]
    return made
