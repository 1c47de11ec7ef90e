"""Photographs and poses for the tests of the metrics: people who stand far from each other."""

import numpy as np

from rmpe_jax.evaluation.found import Found
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import Skeleton

# PoseTrack's joints in another order than the metric's.
POSETRACK = Skeleton(
    name="POSETRACK",
    joints=(
        "nose",
        "head_bottom",
        "head_top",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    flip_pairs=(),
    limbs=(),
    sigmas=(0.1,) * 15,
    upper_body=(),
)


def body(skeleton: Skeleton, x: float, y: float = 100.0) -> np.ndarray:
    """Return a pose about (x, y), 60 wide and 160 high: each joint at its own place."""
    joints = np.arange(len(skeleton.joints))
    low = np.array([("hip" in n) or ("knee" in n) or ("ankle" in n) for n in skeleton.joints])
    left = np.array([n.startswith("left") for n in skeleton.joints])
    return np.stack([x - 30 + 40 * left + joints, y - 80 + 100 * low + 3 * joints], axis=1)


def photograph(
    image_id: int,
    poses: list[np.ndarray],
    *,
    head: float | list[float] = 10.0,
    crowd: list[bool] | None = None,
    visible: np.ndarray | None = None,
    first_id: int = 1,
    **facts,
) -> Annotation:
    """Return a photograph of some people; `visible` [n k] is 2 unless told."""
    joints = np.array(poses).reshape(len(poses), -1, 2) if poses else np.zeros((0, 0, 2))
    visible = np.full(joints.shape[:2], 2.0) if visible is None else np.array(visible, float)
    box = np.concatenate([joints.min(1), joints.max(1)], axis=1) if poses else np.zeros((0, 4))
    persons = Persons(
        joints_px=np.concatenate([joints, visible[..., None]], axis=2),
        boxes_px=box,
        area=np.full(len(poses), 1000.0),
        is_crowd=np.array(crowd or [False] * len(poses), bool),
        person_id=first_id + np.arange(len(poses)),
        head_size_px=np.broadcast_to(np.array(head, float), len(poses)).copy(),
        is_ignored=np.zeros(len(poses), bool),
    )
    return Annotation(image_id, f"{image_id}.jpg", 0, 0, persons, dict(facts))


def empty(image_id: int, skeleton: Skeleton, **facts) -> Annotation:
    """Return a photograph of nobody."""
    one = photograph(image_id, [body(skeleton, 0)], **facts)
    return one._replace(persons=Persons(*(field[:0] for field in one.persons)))


def found(skeleton: Skeleton, poses, score=None, person_id=None) -> Found:
    """Return poses given as (row of the photograph, joints)."""
    count, joints = len(poses), len(skeleton.joints)
    score = np.full(count, 0.5) if score is None else np.array(score, float)
    return Found(
        image=np.array([row for row, _ in poses], np.int64),
        joints_px=np.array([pose for _, pose in poses], float).reshape(count, joints, 2),
        joint_score=np.repeat(score[:, None], joints, axis=1),
        score=score,
        person_id=np.full(count, -1) if person_id is None else np.array(person_id, np.int64),
        boxes_px=np.full((count, 4), np.nan),
    )
