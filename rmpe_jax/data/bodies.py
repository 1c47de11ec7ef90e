"""People of the data sets without boxes (MPII, LSP, PoseTrack 2017), and what all of them lack.

Pixels (`_px`), in the frame of the reader that made them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rmpe_jax.data import extents
from rmpe_jax.records import Persons

GROUP_REACH_PX = 40.0  # x scale about each member: RMPE's MPII code, predict/setpred.m


class Body(NamedTuple):
    """One person as annotated: joints (x, y, visibility), and what else is known, or None."""

    joints_px: Float[np.ndarray, "k 3"]
    centre_px: Float[np.ndarray, " 2"] | None = None
    scale: float | None = None
    head_size_px: float = float("nan")
    fallback_px: Float[np.ndarray, " 4"] | None = None  # a box where joints and centre give none

    @property
    def box_px(self) -> Float[np.ndarray, " 4"] | None:
        """Return the box (x_min, y_min, x_max, y_max) if anything gives one."""
        box = extents.box_of(self.joints_px, self.centre_px, self.scale)
        return self.fallback_px if box is None else box


def persons(bodies: Sequence[Body], first_id: int, joints: int) -> Persons:
    """Return the people as records, numbered from `first_id`; each must have a box."""
    boxes_px = np.array([body.box_px for body in bodies], np.float64).reshape(-1, 4)
    return Persons(
        np.array([body.joints_px for body in bodies], np.float64).reshape(-1, joints, 3),
        boxes_px,
        extents.areas(boxes_px),
        np.zeros(len(bodies), bool),
        np.arange(first_id, first_id + len(bodies), dtype=np.int64),
        np.array([body.head_size_px for body in bodies], np.float64),
        np.zeros(len(bodies), bool),
    )


def group_box(bodies: Sequence[Body]) -> list[float] | None:
    """Return the box of a group of people: 40 x scale about each centre, else the joints' extent.

    Fang et al. judge a pose of the group where its centre lies in it. None where nobody has either.
    """
    corners = []
    for body in bodies:
        labelled = body.joints_px[body.joints_px[:, 2] > 0, :2]
        if body.centre_px is not None and body.scale is not None:
            reach = GROUP_REACH_PX * body.scale
            corners += [body.centre_px - reach, body.centre_px + reach]
        elif len(labelled):
            corners += [labelled.min(axis=0), labelled.max(axis=0)]
    if not corners:
        return None
    return [*np.min(corners, axis=0).tolist(), *np.max(corners, axis=0).tolist()]


def image_ids(file_names: Sequence[str]) -> list[int]:
    """Return the files' decimal stems as numbers; row + 1 for all of them where these do not do.

    They do when every stem is decimal and no two are the same number.
    """
    stems = [Path(name).stem for name in file_names]
    if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(1, len(stems) + 1))
