"""Which points lie in the regions of a photograph where nothing is judged. Pixels as annotated."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.evaluation.multi_person import pairs
from rmpe_jax.records import Annotation


def ignored(
    points_px: Float[np.ndarray, "n k 2"],
    image: Int[np.ndarray, " n"],
    photographs: Sequence[Annotation],
) -> Bool[np.ndarray, "n k"]:
    """Return which points lie in a polygon of facts["ignore_px"] of their photograph.

    By the even-odd rule, all points against all edges at once. A polygon is a list of (x, y); of
    its edge some belongs to it and some does not. Fewer than three corners hold nothing.
    """
    told = [(row, p.facts.get("ignore_px", ())) for row, p in enumerate(photographs)]
    of = [(row, polygon) for row, polygons in told for polygon in polygons if len(polygon) > 2]
    within = np.zeros(points_px.shape[:2], bool)
    photograph = np.array([row for row, _ in of], np.int64)
    row, polygon = pairs(image, photograph)
    if not len(row):
        return within
    corners = [np.asarray(polygon, np.float64) for _, polygon in of]
    start, end = np.concatenate(corners), np.concatenate([np.roll(c, -1, axis=0) for c in corners])
    bounds = np.repeat(np.arange(len(of)), [len(c) for c in corners])
    pair, edge = pairs(polygon, bounds)
    crossed = _crossed(points_px[row[pair]], start[edge], end[edge])
    odd = np.logical_xor.reduceat(crossed, np.unique(pair, return_index=True)[1], axis=0)
    rows, first = np.unique(row, return_index=True)
    within[rows] = np.logical_or.reduceat(odd, first, axis=0)
    return within


def _crossed(
    points_px: Float[np.ndarray, "m k 2"],
    start_px: Float[np.ndarray, "m 2"],
    end_px: Float[np.ndarray, "m 2"],
) -> Bool[np.ndarray, "m k"]:
    """Return which points have the edge to their right, at their height."""
    x, y = points_px[..., 0], points_px[..., 1]
    (x0, y0), (x1, y1) = start_px.T[..., None], end_px.T[..., None]
    rise = np.where(y1 == y0, 1, y1 - y0)  # level edges are crossed by nobody
    return ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / rise)
