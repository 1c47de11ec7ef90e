"""What the human detector learns: which points show a person, and the boxes there.

Points and boxes are in pixels of the input. People are padded to g; a crowd is nobody's positive
and nobody's negative. Functions take one image; use `jax.vmap` for many.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rmpe_jax.models.detector import STRIDES

CENTRE = 1.5  # strides from the middle of a box within which a point is its own (FCOS)
LARGEST = (64.0, 128.0)  # longest distance to a side at strides 8 and 16, pixels; above: stride 32
GAMMA = 2.0  # of the focal loss
EPSILON = 1e-7


class Targets(NamedTuple):
    """For each of n points the row of its person, or -1, and whether it may be told wrong."""

    person: Int[Array, " n"]
    judged: Bool[Array, " n"]


def assign(
    points: Float[Array, "n 2"],
    strides: Float[Array, " n"],
    boxes: Float[Array, "g 4"],
    valid: Bool[Array, " g"],
    crowd: Bool[Array, " g"],
) -> Targets:
    """Return for each point the smallest person whose own it is.

    A point is a person's own near the middle of the box, inside of it, at the stride for its size
    (Tian et al., FCOS, ICCV 2019, section 3 and its centre sampling). A small box may hold no
    point: then the nearest of the finest stride is its own.
    """
    away = _sides(points, boxes)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    offset = jnp.abs(points[:, None] - middle[None])
    near = jnp.all(offset < CENTRE * strides[:, None, None], axis=-1)
    longest = away.max(axis=-1)
    lowest = jnp.where(strides == STRIDES[0], 0.0, jnp.where(strides == STRIDES[1], *LARGEST))
    highest = jnp.where(
        strides == STRIDES[0], LARGEST[0], jnp.where(strides == STRIDES[1], LARGEST[1], jnp.inf)
    )
    fits = (longest > lowest[:, None]) & (longest <= highest[:, None])
    counts = (valid & ~crowd)[None]
    own = near & fits & (away.min(axis=-1) > 0) & counts
    finest = jnp.where((strides == STRIDES[0])[:, None], offset.max(axis=-1), jnp.inf)
    nearest = jnp.arange(len(points))[:, None] == jnp.argmin(finest, axis=0)[None]
    own |= nearest & ~own.any(axis=0)[None] & counts
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    smallest = jnp.argmin(jnp.where(own, area[None], jnp.inf), axis=1)
    taken = own.any(axis=1)
    in_crowd = ((away.min(axis=-1) > 0) & (valid & crowd)[None]).any(axis=1)
    return Targets(jnp.where(taken, smallest, -1), taken | ~in_crowd)


def losses(
    logit: Float[Array, " n"],
    found: Float[Array, "n 4"],
    boxes: Float[Array, "g 4"],
    targets: Targets,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return (sum of the score's loss, sum of the boxes' loss, number of points with a person).

    A point's score is to be the IoU of its box, by quality focal loss (Li et al., Generalized
    Focal Loss, NeurIPS 2020, equation 2); its box learns by 1 - GIoU (Rezatofighi et al., CVPR
    2019).
    """
    own = boxes[jnp.maximum(targets.person, 0)]
    positive = targets.person >= 0
    iou, giou = jax.vmap(overlap)(found, own)
    wanted = jnp.where(positive, jax.lax.stop_gradient(jnp.clip(iou, 0, 1)), 0.0)
    entropy = jax.nn.softplus(logit) - logit * wanted
    focal = jnp.abs(wanted - jax.nn.sigmoid(logit)) ** GAMMA * entropy
    score = jnp.sum(jnp.where(targets.judged, focal, 0.0))
    box = jnp.sum(jnp.where(positive, 1 - giou, 0.0))
    return score, box, jnp.sum(positive).astype(jnp.float32)


def overlap(a: Float[Array, " 4"], b: Float[Array, " 4"]) -> tuple[Float[Array, ""], ...]:
    """Return (IoU, generalised IoU) of two boxes."""
    both = jnp.prod(jnp.maximum(jnp.minimum(a[2:], b[2:]) - jnp.maximum(a[:2], b[:2]), 0))
    hull = jnp.prod(jnp.maximum(a[2:], b[2:]) - jnp.minimum(a[:2], b[:2]))
    union = jnp.prod(a[2:] - a[:2]) + jnp.prod(b[2:] - b[:2]) - both
    iou = both / jnp.maximum(union, EPSILON)
    return iou, iou - (hull - union) / jnp.maximum(hull, EPSILON)


def _sides(points: Float[Array, "n 2"], boxes: Float[Array, "g 4"]) -> Float[Array, "n g 4"]:
    """Return how far each point is inside each box, from its left, top, right and bottom side."""
    low = points[:, None] - boxes[None, :, :2]
    high = boxes[None, :, 2:] - points[:, None]
    return jnp.concatenate([low, high], axis=-1)
