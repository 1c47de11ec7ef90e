"""The poses that somebody found, as arrays: COCO results, checked against the photographs.

Pixels as annotated. A row that cannot be scored is an error which names it, or, where the caller
wants that, counted and told.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

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
    """Return COCO results as arrays, in the order of the file.

    A row of an image that is not among the photographs goes to `on_skip`, and without that it is
    an error. Raises ValueError, naming the row, for what is no pose of the skeleton.
    """
    rows = {photograph.image_id: row for row, photograph in enumerate(photographs)}
    joints = len(skeleton.joints)
    kept: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        where = f"pose {number}"
        missing = [key for key in KEYS if not isinstance(record, dict) or key not in record]
        if missing:
            came = sorted(record) if isinstance(record, dict) else type(record).__name__
            raise ValueError(
                f"{where}: no {', '.join(missing)}; COCO results have image_id, category_id, "
                f"keypoints [x, y, score, ...] and score, this has {came}"
            )
        if record["image_id"] not in rows:
            told = (
                f"{where}: image_id {record['image_id']!r} is none of the {len(rows)} "
                "photographs' of this set"
            )
            if on_skip is None:
                raise ValueError(f"{told}; are these the poses of another set or split?")
            on_skip(told)
            continue
        _check_length(record["keypoints"], joints, skeleton, where)
        kept.append(record)
    keypoints = np.array([r["keypoints"] for r in kept], np.float64).reshape(-1, joints, 3)
    score = np.array([r["score"] for r in kept], np.float64)
    if not (np.isfinite(keypoints).all() and np.isfinite(score).all()):
        broken = ~np.isfinite(keypoints).all(axis=(1, 2)) | ~np.isfinite(score)
        raise ValueError(
            f"pose {int(np.argmax(broken))} of image {kept[int(np.argmax(broken))]['image_id']}: "
            "a coordinate or score is not a finite number"
        )
    return Found(
        image=np.array([rows[r["image_id"]] for r in kept], np.int64),
        joints_px=keypoints[..., :2],
        joint_score=keypoints[..., 2],
        score=score,
        person_id=np.array([r.get("person_id", -1) for r in kept], np.int64),
        boxes_px=_boxes(kept),
    )


def _check_length(keypoints: Any, joints: int, skeleton: Skeleton, where: str) -> None:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * joints:
        came = len(keypoints) if isinstance(keypoints, list) else type(keypoints).__name__
        kind = ""
        if isinstance(came, int):
            kind = " (no multiple of 3)" if came % 3 else f" ({came // 3} joints)"
        raise ValueError(
            f"{where}: keypoints: {came} numbers came{kind}; {skeleton.name} has {joints} joints, "
            f"so {3 * joints} numbers x, y, score are expected"
        )


def _boxes(kept: list[dict[str, Any]]) -> Float[np.ndarray, "n 4"]:
    unknown = [np.nan] * 4
    boxes = np.array([r.get("bbox") or unknown for r in kept], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
