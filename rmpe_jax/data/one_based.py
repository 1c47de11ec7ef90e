"""A sign that the joints of a file count pixels from 1, as MATLAB does, where 0 is expected."""

from collections.abc import Sequence

import numpy as np

from rmpe_jax.records import Annotation

LEAST_JOINTS = 100  # fewer say nothing: none of them may lie at an edge


def looks_one_based(annotations: Sequence[Annotation]) -> bool:
    """Return whether no labelled joint lies below 1 and one lies on the width or height itself.

    In a file that counts from 0 neither is likely: joints at the left or upper edge are at 0, and
    the last column is width - 1. Images of unknown size and files of few joints show nothing.
    """
    lowest, count, at_end = np.inf, 0, False
    for entry in annotations:
        joints = entry.persons.joints_px
        points = joints[joints[..., 2] > 0][:, :2]
        if not len(points) or not entry.width:
            continue
        lowest = min(lowest, float(points.min()))
        count += len(points)
        at_end |= bool((points == [entry.width, entry.height]).any())
    return count >= LEAST_JOINTS and lowest >= 1 and at_end
