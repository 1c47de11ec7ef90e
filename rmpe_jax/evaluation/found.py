"""The poses that somebody found, as arrays: COCO results, checked against the photographs.

Pixels as annotated. A row that cannot be scored is an error which names it, or, where the caller
wants that, counted and told.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rmpe_jax.data import json_files
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

KEYS = ("image_id", "keypoints", "score")


class Found(NamedTuple):
    """n poses on i photographs; `image` is the row of a pose's photograph.

    `score` ranks poses, `joint_score` joints. `person_id` is the annotated person for whom a pose
    was made, where boxes were the annotated ones; else -1. `boxes_px` is the box in which a pose
    was found, NaN where that is not told.
    """

    image: Int[np.ndarray, " n"]
    joints_px: Float[np.ndarray, "n k 2"]
    joint_score: Float[np.ndarray, "n k"]
    score: Float[np.ndarray, " n"]
    person_id: Int[np.ndarray, " n"]
    boxes_px: Float[np.ndarray, "n 4"]


def from_records(
    records: Sequence[Any],
    photographs: Sequence[Annotation],
    skeleton: Skeleton,
    *,
    on_skip: Callable[[str], None] | None = None,
) -> Found:
    """Return COCO results as arrays, in the order of the file; every row is of a person.

    A row of an image that is not among the photographs goes to `on_skip`, and without that it is
    an error. Raises ValueError, naming the row, for what is no pose of the skeleton and for a
    `person_id` that the photograph has not.
    """
    rows = {photograph.image_id: row for row, photograph in enumerate(photographs)}
    people = [set(photograph.persons.person_id.tolist()) for photograph in photographs]
    kept: list[_Row] = []
    for number, record in enumerate(records):
        where = f"pose {number}"
        missing = [key for key in KEYS if not isinstance(record, dict) or key not in record]
        if missing:
            came = sorted(record) if isinstance(record, dict) else type(record).__name__
            raise ValueError(
                f"{where}: no {', '.join(missing)}; COCO results have image_id, category_id, "
                f"keypoints [x, y, score, ...] and score, this has {came}"
            )
        image = record["image_id"]
        if not isinstance(image, int | str) or image not in rows:
            told = (
                f"{where}: image_id {image!r} is none of the {len(rows)} photographs' of this set"
            )
            if on_skip is None:
                raise ValueError(
                    f"{told}; are these the poses of another set or split? (rmpe score leaves such "
                    "poses out by --unknown skip)"
                )
            on_skip(told)
            continue
        kept.append(_row(record, rows[image], people[rows[image]], skeleton, where))
    columns = zip(*kept, strict=True) if kept else [[]] * len(_Row._fields)
    image, keypoints, score, person_id, box = columns
    joints = np.array(keypoints, np.float64).reshape(-1, len(skeleton.joints), 3)
    boxes = np.array(box, np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Found(
        image=np.array(image, np.int64),
        joints_px=joints[..., :2],
        joint_score=joints[..., 2],
        score=np.array(score, np.float64),
        person_id=np.array(person_id, np.int64),
        boxes_px=boxes,
    )


def numbered(records: Sequence[Any], photographs: Sequence[Annotation]) -> list[Any]:
    """Return the records with the image's id where they have its file name, as of `rmpe predict`.

    The name is without folders, and no other photograph's.
    """
    names = [Path(photograph.file_name).name for photograph in photographs]
    count = Counter(names)
    ids = {
        name: photograph.image_id
        for name, photograph in zip(names, photographs, strict=True)
        if count[name] == 1
    }

    def with_id(record: Any) -> Any:
        name = record.get("image_id") if isinstance(record, dict) else None
        return record | {"image_id": ids[name]} if isinstance(name, str) and name in ids else record

    return [with_id(record) for record in records]


class _Row(NamedTuple):
    image: int
    keypoints: list[float]
    score: float
    person_id: int
    xywh: list[float]


def _row(
    record: dict[str, Any], image: int, people: set[int], skeleton: Skeleton, where: str
) -> _Row:
    """Return one result, checked."""
    keypoints = json_files.numbers(record["keypoints"], None, f"{where}: keypoints")
    joints = len(skeleton.joints)
    if len(keypoints) != 3 * joints:
        came = len(keypoints)
        kind = " (no multiple of 3)" if came % 3 else f" ({came // 3} joints)"
        raise ValueError(
            f"{where}: keypoints: {came} numbers came{kind}; {skeleton.name} has {joints} joints, "
            f"so {3 * joints} numbers x, y, score are expected"
        )
    person = record.get("person_id")
    if person is not None and (type(person) is not int or person not in people):
        raise ValueError(
            f"{where}: person_id is {person!r}, which nobody on image {record['image_id']} has; "
            f"allowed are {sorted(people)}, or to leave it out"
        )
    box = record.get("bbox")
    return _Row(
        image,
        keypoints,
        json_files.number(record["score"], f"{where}: score"),
        -1 if person is None else person,
        [np.nan] * 4 if box is None else json_files.numbers(box, 4, f"{where}: bbox"),
    )
