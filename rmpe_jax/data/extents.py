"""Person boxes and areas for data sets that have joints alone, and MPII's size of a head.

Pixels (`_px`); boxes are (x_min, y_min, x_max, y_max). Joints are (x, y, visibility), and those of
visibility 0 are not labelled.
"""

import numpy as np
from jaxtyping import Float

GROWTH = (
    0.2  # the RMPE authors' MPII boxes: the joints' extent and 20 % (Fang-Haoshu/RMPE, issue 2)
)
AREA_SHARE = 0.53  # of the box: CrowdPose, crowdposetools/cocoeval.py, where masks are missing
PERSON_PX = 200.0  # MPII: `scale` is the person's height over 200 pixels
HEAD_SHARE = 0.6  # MPII's toolkit (SC_BIAS): the head's size over the diagonal of its rectangle


def box_of(
    joints_px: Float[np.ndarray, "k 3"],
    centre_px: Float[np.ndarray, " 2"] | None = None,
    scale: float | None = None,
) -> Float[np.ndarray, " 4"] | None:
    """Return the extent of the labelled joints, its sides grown by 20 % in all.

    Where that has no area (no joint, one joint, or all on one line), the square of side 200 x
    `scale` about `centre_px` stands in; where these are not known, the extent as it is, or None
    without any joint.
    """
    labelled = joints_px[joints_px[:, 2] > 0, :2]
    if len(labelled) and (np.ptp(labelled, axis=0) > 0).all():
        low, high = labelled.min(axis=0), labelled.max(axis=0)
        margin = (high - low) * GROWTH / 2
        return np.concatenate([low - margin, high + margin])
    if centre_px is not None and scale is not None:
        return np.concatenate(
            [centre_px - PERSON_PX / 2 * scale, centre_px + PERSON_PX / 2 * scale]
        )
    if len(labelled):
        return np.concatenate([labelled.min(axis=0), labelled.max(axis=0)])
    return None


def areas(boxes_px: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """Return 0.53 of the area of each box: what a person covers of it where no mask says more."""
    return AREA_SHARE * np.prod(boxes_px[:, 2:] - boxes_px[:, :2], axis=1)


def head_size(width: float, height: float) -> float:
    """Return MPII's size of a head from the sides of its rectangle; NaN where that has none."""
    size = HEAD_SHARE * float(np.hypot(width, height))
    return size if width >= 0 and height >= 0 and size > 0 else float("nan")
