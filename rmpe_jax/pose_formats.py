"""Poses as JSON records, in the layouts that other programs read.

Pixels are continuous, 0 at the outer left (top) edge. `coco` has one record a person, `cmu` and
`openpose` one an image, with 18 joints in the order of OpenPose's COCO model, as AlphaPose's
`--format` (documented in its docs/output.md).
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from rmpe_jax.predict import to_records
from rmpe_jax.skeletons import Skeleton
from rmpe_jax.stream import Result

Format = Literal["coco", "cmu", "openpose", "open"]
Record = dict[str, Any]
VERSION = 0.1  # that both layouts write
NECK = "neck"  # in the middle between the shoulders, with their mean confidence
SHOULDERS = ("left_shoulder", "right_shoulder")
OPENPOSE18 = (
    "nose",
    NECK,
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)


def recorder(layout: Format, skeleton: Skeleton) -> Callable[[Result], list[Record]]:
    """Return the function from a result to its records; ValueError if the joints do not fit."""
    if layout == "coco":
        return coco
    missing = sorted({*OPENPOSE18, *SHOULDERS} - {NECK, *skeleton.joints})
    if missing:
        raise ValueError(
            f"--format {layout} needs the joints of COCO; {skeleton.name} has no "
            f"{', '.join(missing)}: take --format coco, which writes the joints of any skeleton"
        )
    return lambda result: [_of_image(result, skeleton, layout)]


def coco(result: Result) -> list[Record]:
    """Return one record a person: COCO results, with box, box score and two person scores.

    `score` is in [0, 1]: box score x mean confidence of the joints above 0.2, or what pose NMS
    made of it, clipped; `raw_score` is the same unclipped (above 1 only after pose NMS with
    support).
    """
    return [
        record | {"score": min(max(record["score"], 0.0), 1.0), "raw_score": record["score"]}
        for record in to_records(result.poses, result.name)
    ]


def frame_record(result: Result) -> Record:
    """Return what there is to say of a frame, also when nobody is on it or it was not read."""
    size = (None, None) if result.image is None else result.image.shape[:2]
    return {
        "image_id": result.name,
        "number": result.number,
        "place": result.place,
        "height": size[0],
        "width": size[1],
        "poses": int(np.sum(result.poses.valid)),
        "left_out": result.left_out,
        "problem": result.problem,
    }


def openpose18(joints: Float[np.ndarray, "k 3"], skeleton: Skeleton) -> Float[np.ndarray, "18 3"]:
    """Return (x, y, confidence) of the joints of OpenPose's COCO model."""
    place = skeleton.joints.index
    neck = np.mean([joints[place(name)] for name in SHOULDERS], axis=0)
    return np.stack([neck if name == NECK else joints[place(name)] for name in OPENPOSE18])


def _of_image(result: Result, skeleton: Skeleton, layout: Format) -> Record:
    people, key = ("bodies", "joints") if layout == "cmu" else ("people", "pose_keypoints_2d")
    poses = result.poses
    joints = np.concatenate([poses.joints_px, poses.confidence[..., None]], axis=-1)
    flat = [openpose18(joints[row], skeleton).reshape(-1) for row in np.flatnonzero(poses.valid)]
    bodies = [{key: [round(float(value), 3) for value in values]} for values in flat]
    return {"image_id": result.name, "version": VERSION, people: bodies, "problem": result.problem}
