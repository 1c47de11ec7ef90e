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
    `head_size_px` is MPII's unit of distance, 0.6 times the diagonal of the head's rectangle, and
    NaN where a set has no heads. People who are ignored are neither to be found nor false, by the
    rules of their set: CrowdPose's with nothing but head and neck labelled.
    """

    joints_px: Float[np.ndarray, "n k 3"]
    boxes_px: Float[np.ndarray, "n 4"]
    area: Float[np.ndarray, " n"]
    is_crowd: Bool[np.ndarray, " n"]
    person_id: Int[np.ndarray, " n"]
    head_size_px: Float[np.ndarray, " n"]
    is_ignored: Bool[np.ndarray, " n"]

    @property
    def to_find(self) -> Bool[np.ndarray, " n"]:
        """Return who is to be found: a joint is labelled, no crowd, and not ignored."""
        labelled = np.any(self.joints_px[..., 2] > 0, axis=1)
        return labelled & ~self.is_crowd & ~self.is_ignored


def nobody(joints: int) -> Persons:
    """Return no people, with that many joints."""
    return Persons(
        joints_px=np.zeros((0, joints, 3)),
        boxes_px=np.zeros((0, 4)),
        area=np.zeros(0),
        is_crowd=np.zeros(0, bool),
        person_id=np.zeros(0, np.int64),
        head_size_px=np.zeros(0),
        is_ignored=np.zeros(0, bool),
    )


class Annotation(NamedTuple):
    """What is known of one image without its pixels.

    A height and width of 0 are not annotated: they are those of the picture as stored. `facts` is
    what one data set alone says of its images, as plain values: `crowd_index` (CrowdPose), `groups`
    (MPII: {"members": rows of persons, "box_px": where a pose of the group has its centre}),
    `single` (MPII: the rows of those whom the single-person evaluation judges),
    `ignore_px` (PoseTrack: polygons in which nothing is judged).
    """

    image_id: int
    file_name: str
    height: int
    width: int
    persons: Persons
    facts: dict[str, Any]


class Photograph(NamedTuple):
    """One image as a reader yields it: the encoded bytes, untouched, and what is annotated."""

    image_id: int
    file_name: str
    jpeg: bytes
    height: int
    width: int
    persons: Persons
    facts: dict[str, Any]

    @property
    def annotation(self) -> Annotation:
        """Return all but the picture."""
        return Annotation(*(getattr(self, field) for field in Annotation._fields))


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
    unclipped; `score` ranks persons: in [0, 1] (see `rmpe_jax.chain.person_score`), and perhaps
    more after a pose NMS with support.
    """

    joints_px: Float[Array, "p k 2"]
    confidence: Float[Array, "p k"]
    peak: Float[Array, "p k"]
    boxes_px: Float[Array, "p 4"]
    box_score: Float[Array, " p"]
    score: Float[Array, " p"]
    valid: Bool[Array, " p"]
