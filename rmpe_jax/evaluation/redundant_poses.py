"""Poses of many photographs as they were before pose NMS: read from a file, padded by photograph.

Two forms are read: COCO results as `rmpe eval` leaves them (records.json), and NumPy archives
(.npz) with a row a pose: image, joints_px [n k 2], joint_scores [n k], boxes_px [n 4] (corners),
detector_scores [n].
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax.geometry import boxes
from rmpe_jax.predict import person_score
from rmpe_jax.records import Poses

ARCHIVE_KEYS = ("image", "joints_px", "joint_scores", "boxes_px", "detector_scores")
RECORD_KEYS = ("image_id", "keypoints", "bbox", "box_score")


def read(path: Path, joints: int) -> tuple[np.ndarray, Poses]:
    """Return (image id of each pose, poses), in the file's order and all valid.

    Raises ValueError if the file holds no poses of that many joints.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `rmpe eval` writes poses to records.json")
    fields = _archive(path) if path.suffix == ".npz" else _records(path)
    image, joints_px, confidence, boxes_px, box_score = fields
    count = len(image)
    due = {
        "joints_px": (joints_px, (count, joints, 2)),
        "confidence": (confidence, (count, joints)),
    }
    due |= {"boxes": (boxes_px, (count, 4)), "box scores": (box_score, (count,))}
    for name, (array, shape) in due.items():
        if array.shape != shape:
            raise ValueError(f"{path}: {name} have shape {array.shape}; {shape} is expected")
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise ValueError(f"{path}: {name} of pose {row} are not finite; leave this pose out")
    single = {name: np.asarray(array, np.float32) for name, (array, _) in due.items()}
    shares = np.clip(single["confidence"], 0, 1)
    return image, Poses(
        joints_px=single["joints_px"],
        confidence=shares,
        peak=single["confidence"],
        boxes_px=single["boxes"],
        box_score=single["box scores"],
        score=np.asarray(person_score(jnp.asarray(single["box scores"]), jnp.asarray(shares))),
        valid=np.ones(count, bool),
    )


def by_image(image: np.ndarray, poses: Poses, ids: Sequence[int]) -> Poses:
    """Return the poses of each photograph of `ids`, [i p ...]; photographs without one are empty.

    Poses of other photographs are left out. Raises ValueError if all are.
    """
    rows = [np.flatnonzero(image == one) for one in ids]
    room = max((len(of_one) for of_one in rows), default=0)
    if not room:
        raise ValueError(
            f"none of the {len(set(image.tolist()))} images with poses is among the {len(ids)} "
            f"annotated ones: poses are of {image[:3].tolist()}, annotated are {list(ids[:3])}"
        )
    at = np.stack([np.pad(of_one, (0, room - len(of_one))) for of_one in rows])
    there = np.stack([np.arange(room) < len(of_one) for of_one in rows])
    padded = jax.tree.map(lambda array: np.asarray(array)[at], poses)
    return padded._replace(valid=padded.valid & there)


def _archive(path: Path) -> tuple[np.ndarray, ...]:
    try:
        archive = np.load(path, allow_pickle=False)
        fields = {key: archive[key] for key in ARCHIVE_KEYS if key in archive.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a NumPy archive of arrays: {error}") from error
    missing = [key for key in ARCHIVE_KEYS if key not in fields]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}; it has {sorted(archive.files)}")
    return tuple(fields[key] for key in ARCHIVE_KEYS)


def _records(path: Path) -> tuple[np.ndarray, ...]:
    try:
        records: Any = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path}: a list of COCO results, one a pose, is expected")
    for row, record in enumerate(records):
        missing = [key for key in RECORD_KEYS if key not in record]
        if missing:
            raise ValueError(
                f"{path}: pose {row}: no {', '.join(missing)}; it has {sorted(record)}"
            )
    lengths = {len(record["keypoints"]) for record in records}
    if len(lengths) > 1:
        raise ValueError(f"{path}: poses have {sorted(lengths)} keypoint values; one count is due")
    keypoints = np.array([record["keypoints"] for record in records], float)
    keypoints = keypoints.reshape(len(records), -1, 3)
    xywh = np.array([record["bbox"] for record in records], float)
    return (
        np.array([record["image_id"] for record in records]),
        keypoints[..., :2],
        keypoints[..., 2],
        boxes.from_xywh(xywh),
        np.array([record["box_score"] for record in records], float),
    )
