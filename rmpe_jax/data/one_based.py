"""A sign that the joints of a file count pixels from 1, as MATLAB does, where 0 is expected."""

from collections.abc import Sequence

import numpy as np

from rmpe_jax.records import Annotation

# Of COCO's labelled joints 1 in 1,100 lies below 1, in the first column or row. Among this many,
# none does by chance once in a thousand files.
LEAST_JOINTS = 8000


def looks_one_based(annotations: Sequence[Annotation]) -> bool:
    """Return whether no labelled joint lies below 1, of so many that some should.

    Files of fewer joints show nothing.
    """
    parts = [entry.persons.joints_px.reshape(-1, 3) for entry in annotations]
    joints = np.concatenate([np.zeros((0, 3)), *parts])
    points = joints[joints[:, 2] > 0, :2]
    return len(points) >= LEAST_JOINTS and bool(points.min() >= 1)
