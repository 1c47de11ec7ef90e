"""Batches of pictures with the boxes of their people, for training a human detector.

A sample is a square window of one photograph, of random size and place and perhaps mirrored, so
that people of all sizes are seen at all scales. What sample number n is depends on (seed, n) alone,
as in `data.loader`. Boxes are in pixels of the window, 0 at its outer edges.
"""

import functools
import threading
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data import augment, batches
from rmpe_jax.data.batches import Batches, Decoded, local_size
from rmpe_jax.data.crop import Cropper
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.geometry import affine, boxes
from rmpe_jax.records import Array

MOST_PEOPLE = 64  # of one window; those beyond are left out of training
LEAST_SEEN = 0.3  # share of a person's box in the window below which it is nobody's
LEAST_SIDE = 4.0  # pixels of the window below which a person is nobody's
ZOOM = (-0.5, 1.25)  # the window is the photograph's longer side divided by 2^z, z in between
STRAY = 0.25  # of its side the window may reach over the photograph's edge


class DetectorBatch(NamedTuple):
    """Windows with the people in them, padded to g; a crowd is neither to be found nor wrong."""

    window: UInt8[Array, "b height width 3"]
    boxes_px: Float[Array, "b g 4"]
    valid: Bool[Array, "b g"]
    crowd: Bool[Array, "b g"]
    image_id: Int[Array, " b"]


def detector_batches(
    source: PhotographSource,
    data: DataConfig,
    config: AugmentConfig,
    *,
    side: int,
    batch_size: int,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches[DetectorBatch]:
    """Return endless batches of square windows, from batch number `start` of the run on."""
    local = local_size(batch_size, process_index, process_count)
    photographs = Decoded(source, batches.DECODED_BYTES)
    of_thread = threading.local()

    @functools.lru_cache(maxsize=2)  # two threads may be at either side of an epoch's end
    def order(epoch: int) -> Int[np.ndarray, " n"]:
        return np.random.default_rng([seed, epoch]).permutation(len(source))

    def sample(position: int) -> DetectorBatch:
        number = batches.number(position, local, batch_size, process_index)
        epoch, place = divmod(number, len(source))
        row = int(order(epoch)[place])
        generator = np.random.default_rng([seed, epoch, row])
        image, image_id, persons = photographs[row]
        height, width, _ = image.shape
        window_px, flip = draw_window(generator, height, width, config.flip_probability)
        if not hasattr(of_thread, "cropper"):
            of_thread.cropper = Cropper(side, side)
        cut = of_thread.cropper(image, affine.from_box(window_px, height, width, flip=flip))
        people = people_in_window(
            persons.boxes_px, persons.is_crowd, window_px, height, width, side, flip=flip
        )
        return DetectorBatch(
            augment.vary_colour(generator, cut, config), *people, np.int64(image_id)
        )

    return batches.batches(sample, local, threads=data.threads, start=start)


def draw_window(
    generator: np.random.Generator, height: int, width: int, flip_probability: float
) -> tuple[Float[np.ndarray, " 4"], bool]:
    """Return a square window in pixels of the photograph, and whether it is mirrored."""
    zoom, right, down, mirror = generator.random(4)
    side = max(height, width) / 2 ** (ZOOM[0] + zoom * (ZOOM[1] - ZOOM[0]))
    x = _start(right, width, side)
    y = _start(down, height, side)
    return np.array([x, y, x + side, y + side]), bool(mirror < flip_probability)


def people_in_window(
    boxes_px: Float[np.ndarray, "n 4"],
    is_crowd: Bool[np.ndarray, " n"],
    window_px: Float[np.ndarray, " 4"],
    height: int,
    width: int,
    side: int,
    *,
    flip: bool,
) -> tuple[Float[np.ndarray, "g 4"], Bool[np.ndarray, " g"], Bool[np.ndarray, " g"]]:
    """Return (boxes in pixels of the window, valid, crowd) of those who are seen in it, padded.

    People of whom little is seen, or who are tiny, become crowds.
    """
    scale = side / (window_px[2] - window_px[0])
    moved = (boxes.clip(boxes_px, height, width) - np.tile(window_px[:2], 2)) * scale
    if flip:
        moved = np.stack([side - moved[:, 2], moved[:, 1], side - moved[:, 0], moved[:, 3]], axis=1)
    seen = boxes.clip(moved, side, side)
    share = boxes.area(seen) / np.maximum(boxes.area(moved), 1e-9)
    there = boxes.area(seen) > 0
    doubtful = (share < LEAST_SEEN) | (boxes.size(seen).min(axis=1, initial=np.inf) < LEAST_SIDE)
    # The largest first, should there be more than fit.
    order = np.argsort(-boxes.area(seen), kind="stable")
    order = order[there[order]][:MOST_PEOPLE]
    made = np.zeros((MOST_PEOPLE, 4), np.float32)
    valid, crowd = np.zeros(MOST_PEOPLE, bool), np.zeros(MOST_PEOPLE, bool)
    made[: len(order)], valid[: len(order)] = seen[order], True
    crowd[: len(order)] = (is_crowd | doubtful)[order]
    return made, valid, crowd


def _start(share: float, length: int, side: float) -> float:
    """Return where the window starts along one axis: over the photograph, or about it."""
    low, high = sorted((-STRAY * side, length - (1 - STRAY) * side))
    return low + share * (high - low)
