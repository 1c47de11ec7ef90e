"""Joints by name, and the columns that papers print: Head Sho Elb Wri Hip Knee Ank Total."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from rmpe_jax.skeletons import Skeleton, mapping

LIMBS = {
    "Sho": ("left_shoulder", "right_shoulder"),
    "Elb": ("left_elbow", "right_elbow"),
    "Wri": ("left_wrist", "right_wrist"),
    "Hip": ("left_hip", "right_hip"),
    "Knee": ("left_knee", "right_knee"),
    "Ank": ("left_ankle", "right_ankle"),
}
NECKS = ("upper_neck", "neck", "head_bottom")  # what sets call the lower end of the head


def places(skeleton: Skeleton, names: Sequence[str], metric: str) -> Int[np.ndarray, " k"]:
    """Return where the named joints are in the skeleton, by name or synonym.

    Raises ValueError naming the joints that it lacks.
    """
    at = mapping(skeleton, skeleton._replace(joints=tuple(names)))
    missing = [name for name, place in zip(names, at, strict=True) if place < 0]
    if missing:
        raise ValueError(
            f"{metric} needs the joints {', '.join(missing)}, which {skeleton.name} lacks"
        )
    return np.array(at, np.int64)


def mean(values: Float[np.ndarray, " n"]) -> float:
    """Return the mean of what is not NaN; NaN, without a warning, where nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def columns(
    values: Float[np.ndarray, " k"], names: Sequence[str], of: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return for each column the mean of its joints' values, without those that are NaN."""
    value = dict(zip(names, values, strict=True))
    return {
        column: mean(np.array([value[joint] for joint in joints])) for column, joints in of.items()
    }


def neck(skeleton: Skeleton) -> str:
    """Return the skeleton's name of the lower end of the head, "" if it has none."""
    return next((name for name in NECKS if name in skeleton.joints), "")
