"""What travels between the parts: named tuples of arrays.

Frames and units are in the names: `_px` is pixels of the photograph, with 0 at the outer left
(top) edge and the width (height) at the outer right (bottom) edge; `_crop` is points in [-1, 1]
of the crop. Boxes are (x_min, y_min, x_max, y_max). P is padded persons, K joints, B a batch.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import Array as JaxArray
from jaxtyping import Bool, Float, Int, UInt8

# The host makes NumPy arrays, the device JAX arrays. A checker that reads the code without
# running it cannot follow which of the two a function returns, and is told nothing.
if TYPE_CHECKING:
    Array = Any
    Variables = Any
else:
    Array = np.ndarray | JaxArray
    Variables = dict[str, Any]  # Flax: {"params": ..., "batch_stats": ...}


class Persons(NamedTuple):
    """The annotated people of one photograph, n of them.

    `joints_px` holds (x, y, visibility) with COCO's visibility: 0 not labelled, 1 labelled but
    hidden, 2 visible. A person without a labelled joint is kept: evaluation must know it.
    """

    joints_px: Float[np.ndarray, "n k 3"]
    boxes_px: Float[np.ndarray, "n 4"]
    area: Float[np.ndarray, " n"]
    is_crowd: Bool[np.ndarray, " n"]
    person_id: Int[np.ndarray, " n"]


class Photograph(NamedTuple):
    """One image as a reader yields it: the encoded bytes, untouched, and its people."""

    image_id: int
    file_name: str
    jpeg: bytes
    height: int
    width: int
    persons: Persons


class Batch(NamedTuple):
    """Crops of people with their joints, ready for one training step.

    `weight` is 0 where a joint is not labelled or lies outside the crop: no loss there.
    `theta_crop` pulls the crop out of the photograph (crop point -> image point). `theta_star`
    (straight point -> crop point) is what a transformer should say about this crop: it leads to
    the crop of the annotated box itself, with the same turn and flip.
    """

    crop: UInt8[Array, "b height width 3"]
    joints_crop: Float[Array, "b k 2"]
    weight: Float[Array, "b k"]
    theta_crop: Float[Array, "b 2 3"]
    theta_star: Float[Array, "b 2 3"]
    image_id: Int[Array, " b"]
    person_id: Int[Array, " b"]


class Detections(NamedTuple):
    """Human proposals on one photograph, padded to P; rows that are not `valid` mean nothing."""

    boxes_px: Float[Array, "p 4"]
    score: Float[Array, " p"]
    valid: Bool[Array, " p"]


class Poses(NamedTuple):
    """Poses on one photograph, padded to P; `boxes_px` are the raw proposals, not extended.

    `confidence` is the peak of each joint's heat-map clipped to [0, 1], `peak` is the same
    unclipped; `score` ranks persons: in [0, 1] (see `rmpe_jax.predict.person_score`), and perhaps
    more after a pose NMS with support.
    """

    joints_px: Float[Array, "p k 2"]
    confidence: Float[Array, "p k"]
    peak: Float[Array, "p k"]
    boxes_px: Float[Array, "p 4"]
    box_score: Float[Array, " p"]
    score: Float[Array, " p"]
    valid: Bool[Array, " p"]
