"""The data sets that are known by name: where their files lie as published, and who reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rmpe_jax.data import coco
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import COCO17, Skeleton


class Read(NamedTuple):
    """The annotations of a split, the joints they have, and what a user should know of them."""

    annotations: list[Annotation]
    skeleton: Skeleton
    notes: list[str]


class Release(NamedTuple):
    """A data set as it is published.

    `places` names for each split the annotations and the folder of images, below the set's folder;
    `obtain` says what to download.
    """

    read: Callable[[Path, str], Read]
    places: dict[str, tuple[str, str]]
    obtain: str


def _coco(annotations: Path, split: str) -> Read:
    return Read(coco.index(annotations, COCO17), COCO17, [])


RELEASES = {
    "coco": Release(
        _coco,
        {
            "train": ("annotations/person_keypoints_train2017.json", "train2017"),
            "validation": ("annotations/person_keypoints_val2017.json", "val2017"),
        },
        "From cocodataset.org: 2017 Train images, 2017 Val images, 2017 Train/Val annotations; "
        "unpack all three there.",
    ),
}


def inputs(annotations: Path) -> list[Path]:
    """Return the files that annotations consist of."""
    if annotations.is_dir():
        return sorted(path for path in annotations.rglob("*.json") if path.is_file())
    groups = annotations.parent / "groups_v12.mat"  # MPII's, a file of its own
    return [annotations, groups] if groups.is_file() else [annotations]
