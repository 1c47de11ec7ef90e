"""From all that a detector proposes on one photograph to its boxes, best first. Pixels."""

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from rmpe_jax.geometry import box_nms, boxes
from rmpe_jax.records import Detections

CANDIDATES = 1000  # the best of one photograph go into suppression, on this fixed shape
MOST = 100  # boxes of one photograph
IOU = 0.6  # above which a box is suppressed by a better one: loose, as the pose NMS comes later
LEAST_SCORE = 0.02


def best(
    boxes_px: Float[np.ndarray, "n 4"], score: Float[np.ndarray, " n"], height: int, width: int
) -> Detections:
    """Return the best boxes of a photograph of that size, at most MOST, by falling score.

    Boxes are clipped to the photograph before they are compared. Those that are empty there, NaN
    or of a score below LEAST_SCORE are left out, and so are all after the first CANDIDATES. None of
    those returned is padding.
    """
    inside = boxes.clip(boxes_px, height, width)
    rows = np.flatnonzero((score >= LEAST_SCORE) & (boxes.size(inside) > 0).all(axis=1))
    rows = rows[np.argsort(-score[rows], kind="stable")][:CANDIDATES]
    room = CANDIDATES - len(rows)
    kept = _kept(
        np.pad(inside[rows].astype(np.float32), ((0, room), (0, 0))),
        np.pad(score[rows].astype(np.float32), (0, room)),
        np.arange(CANDIDATES) < len(rows),
    )
    rows = rows[np.asarray(kept)[: len(rows)]][:MOST]
    found = inside[rows].astype(np.float64), score[rows].astype(np.float64)
    return Detections(*found, np.ones(len(rows), bool))


@jax.jit
def _kept(
    boxes_px: Float[Array, "p 4"], score: Float[Array, " p"], valid: Bool[Array, " p"]
) -> Bool[Array, " p"]:
    return box_nms.keep(boxes_px, score, valid, IOU)
