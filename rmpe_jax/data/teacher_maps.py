"""What a teacher sees in each person: its heat-maps, kept on disk beside the people's numbers.

A teacher is any pose network, run once over the training photographs on one crop a person
(`experiments/teach.py`). A folder holds `maps.npy` (uint8 [n h w k], 255 for a peak of 1) and
`people.npz` (person_id [n]; theta_crop [n 2 3], which pulls the teacher's crop out of the
photograph; the names of the joints).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from rmpe_jax.geometry import affine
from rmpe_jax.records import Array, Batch
from rmpe_jax.skeletons import Skeleton

MAPS, PEOPLE = "maps.npy", "people.npz"


class TeacherMaps(NamedTuple):
    """Heat-maps of n people with their numbers, the crops they were seen in, and the joints."""

    maps: UInt8[np.ndarray, "n h w k"]
    person_id: Int[np.ndarray, " n"]
    theta_crop: Float[np.ndarray, "n 2 3"]
    joints: tuple[str, ...]


class TeacherBatch(NamedTuple):
    """What the teacher sees in the people of a batch; zeros where it has not looked.

    `theta` leads from a point of the training crop to a point of the teacher's. Where the training
    crop is mirrored, left and right of the maps are exchanged already.
    """

    maps: UInt8[Array, "b h w k"]
    theta: Float[Array, "b 2 3"]


def write(folder: Path, seen: TeacherMaps) -> None:
    """Keep what a teacher has seen."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / MAPS, seen.maps)
    np.savez(
        folder / PEOPLE,
        person_id=seen.person_id,
        theta_crop=seen.theta_crop,
        joints=np.array(seen.joints),
    )


def read(folder: Path, skeleton: Skeleton) -> TeacherMaps:
    """Return what a teacher has seen, the maps still on disk.

    Raises ValueError if `folder` holds no such thing, or other joints than those of `skeleton`.
    """
    if not (folder / MAPS).is_file() or not (folder / PEOPLE).is_file():
        raise ValueError(
            f"train.teacher is {folder}, which has no {MAPS} and {PEOPLE}; make them by "
            f"python experiments/teach.py --out {folder}, or set --train.teacher None"
        )
    with np.load(folder / PEOPLE) as people:
        seen = TeacherMaps(
            np.load(folder / MAPS, mmap_mode="r"),
            people["person_id"],
            people["theta_crop"],
            tuple(str(name) for name in people["joints"]),
        )
    if seen.joints != skeleton.joints:
        raise ValueError(
            f"train.teacher: the maps in {folder} are of {len(seen.joints)} joints "
            f"({', '.join(seen.joints[:3])} ...), this run learns those of {skeleton.name}"
        )
    return seen


class Teacher:
    """Finds what the teacher has seen of the people in a batch."""

    def __init__(self, seen: TeacherMaps, flip_order: tuple[int, ...]) -> None:
        """`flip_order` says where each joint is in a mirrored picture."""
        self.seen = seen
        self._flip_order = np.array(flip_order)
        self._rows = {int(person): row for row, person in enumerate(seen.person_id)}

    def of(self, batch: Batch) -> TeacherBatch:
        """Return the maps of the people of a batch."""
        count = len(batch.person_id)
        maps = np.zeros((count, *self.seen.maps.shape[1:]), np.uint8)
        theta = np.tile(affine.identity().astype(np.float32), (count, 1, 1))
        for place, person in enumerate(np.asarray(batch.person_id)):
            row = self._rows.get(int(person))
            if row is None:
                continue
            to_teacher = affine.invert(self.seen.theta_crop[row])
            theta[place] = affine.compose(to_teacher, batch.theta_crop[place])
            mirrored = np.linalg.det(theta[place][:, :2]) < 0
            own = self.seen.maps[row]
            maps[place] = own[..., self._flip_order] if mirrored else own
        return TeacherBatch(maps, theta)
