"""Poses of many photographs as they were before pose NMS: read from a file, padded by photograph.

Two forms of poses are read: COCO results as `rmpe eval` leaves them (records.json), and NumPy
archives (.npz) with a row a pose: image, joints_px [n k 2], joint_scores [n k], boxes_px [n 4]
(corners), detector_scores [n].
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax.chain import person_score
from rmpe_jax.data import coco as coco_files
from rmpe_jax.evaluation import coco, fast_oks
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation, Poses
from rmpe_jax.skeletons import Skeleton

ARCHIVE_KEYS = ("image", "joints_px", "joint_scores", "boxes_px", "detector_scores")
RECORD_KEYS = ("image_id", "keypoints", "bbox", "box_score")


class Data(NamedTuple):
    """Annotated photographs (COCO content, their ids) and poses before NMS, [i p ...]."""

    truth: dict[str, Any]
    ids: list[int]
    poses: Poses


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


def read_data(
    poses: Path,
    annotations: Path,
    skeleton: Skeleton,
    *,
    only_with_poses: bool = False,
    most: int | None = None,
) -> Data:
    """Return the poses of a file padded by photograph, and the annotations of the same ones.

    `only_with_poses` leaves out photographs without a pose; of more than `most` as many are chosen
    at random, always the same ones.
    """
    photographs = coco_files.index(annotations, skeleton)
    image, flat = read(poses, len(skeleton.joints))
    if only_with_poses:
        named = set(image.tolist())
        photographs = [entry for entry in photographs if entry.image_id in named] or photographs
    if most is not None and len(photographs) > most:
        some = np.random.default_rng(0).choice(len(photographs), most, replace=False)
        photographs = [photographs[row] for row in np.sort(some)]
    return of_photographs(photographs, image, flat, skeleton)


def of_photographs(
    photographs: Sequence[Annotation], image: np.ndarray, poses: Poses, skeleton: Skeleton
) -> Data:
    """Return the poses of annotated photographs padded by photograph: `by_image`."""
    truth = coco.ground_truth(photographs, skeleton)
    ids, _ = fast_oks.truth_arrays(truth)
    return Data(truth, ids, by_image(image, poses, ids))


def _archive(path: Path) -> tuple[np.ndarray, ...]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("one array, not several")
        fields = {key: archive[key] for key in ARCHIVE_KEYS if key in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a NumPy archive of arrays: {error}") from error
    missing = [key for key in ARCHIVE_KEYS if key not in fields]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}; it has {sorted(archive.files)}")
    return tuple(fields[key] for key in ARCHIVE_KEYS)


def _check_record(record: Any, where: str) -> None:
    """Raise ValueError unless it is a COCO result with lists of numbers."""
    if not isinstance(record, dict):
        raise ValueError(f"{where} is {record!r}; a COCO result is expected")
    missing = [key for key in RECORD_KEYS if key not in record]
    if missing:
        raise ValueError(f"{where}: no {', '.join(missing)}; it has {sorted(record)}")
    for key, multiple in (("keypoints", 3), ("bbox", 4)):
        values = record[key]
        numbers = isinstance(values, list) and all(type(v) in (int, float) for v in values)
        if not numbers or not values or len(values) % multiple:
            raise ValueError(
                f"{where}: {key} is {str(values)[:60]}; a list of numbers is expected, "
                f"{multiple} {'a joint' if multiple == 3 else 'for the box'}"
            )


def _records(path: Path) -> tuple[np.ndarray, ...]:
    try:
        records: Any = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path}: a list of COCO results, one a pose, is expected")
    for row, record in enumerate(records):
        _check_record(record, f"{path}: pose {row}")
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
