"""The people on one picture, one pose for each proposal, and what pose NMS leaves of them. Pixels.

Pictures come from a file or are drawn. Of drawn people the joints are known; each has a few boxes,
moved as a detector would, so that there is something to eliminate.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from rmpe_jax import canvas, drawing, frames, skeletons
from rmpe_jax.data import images, synthetic
from rmpe_jax.data.jitter import jittered
from rmpe_jax.detection import Detect
from rmpe_jax.frames import Frame
from rmpe_jax.inspection import pictures
from rmpe_jax.pose_nms import NmsSet, pose_nms
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import COCO17, Skeleton

HEIGHT, WIDTH, SEED = 384, 512, 7  # of drawn pictures
COPIES = 4  # proposals of each drawn person
SIDE = 900  # pixels of the longer side of what is shown, at most


class Given(NamedTuple):
    """A picture with n proposals and the pose found in each, rows padded, before pose NMS.

    `joints_px` (x, y, visibility) and `annotated_px` are those of the m people that were drawn,
    none of a photograph.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    poses: Poses
    joints_px: Float[np.ndarray, "m k 3"]
    annotated_px: Float[np.ndarray, "m 4"]


def of_file(
    model: PoseModel, detect: Detect, path: Path, *, max_pixels: int = frames.MAX_PIXELS
) -> Given:
    """Return a photograph with the poses of the people that `detect` finds; ImageError if bad."""
    image = frames.read(path, max_pixels=max_pixels)
    found = detect(Frame(path.name, 0, image, None))
    sure = np.asarray(found.valid)
    boxes_px, score = np.asarray(found.boxes_px)[sure], np.asarray(found.score)[sure]
    poses = replace(model, nms=None)(image, boxes=boxes_px, scores=score)
    joints = len(model.skeleton.joints)
    return Given(path.name, image, _padded(poses), np.zeros((0, joints, 3)), np.zeros((0, 4)))


def of_drawing(model: PoseModel, number: int) -> Given:
    """Return drawn people, each with COPIES of their boxes, moved at random."""
    photograph = synthetic.photograph(SEED, number, HEIGHT, WIDTH)
    people, generator = photograph.persons, np.random.default_rng([SEED, number])
    boxes_px = np.array(
        [
            jittered(generator, box, HEIGHT, WIDTH, 1.0)
            for box in people.boxes_px[people.to_find]
            for _ in range(COPIES)
        ]
    ).reshape(-1, 4)
    image = images.pixels(photograph)
    score = generator.uniform(0.4, 1.0, len(boxes_px))
    poses = replace(model, nms=None)(image, boxes=boxes_px, scores=score)
    order = np.array(skeletons.mapping(COCO17, model.skeleton))
    joints_px = np.where((order >= 0)[:, None], people.joints_px[people.to_find][:, order], 0.0)
    annotated_px = people.boxes_px[people.to_find]
    return Given(photograph.file_name, image, _padded(poses), joints_px, annotated_px)


def proposed(given: Given, least: float) -> Poses:
    """Return the poses with those `valid` whose box has at least that score."""
    sure = np.asarray(given.poses.valid) & (np.asarray(given.poses.box_score) >= least)
    return given.poses._replace(valid=sure)


def kept(poses: Poses, nms: NmsSet | None) -> Poses:
    """Return what pose NMS leaves of the valid poses, all rows still there."""
    if nms is None or not len(poses.valid):
        return poses
    return Poses(*map(np.asarray, pose_nms(poses, *nms)))


def rows(poses: Poses) -> Int[np.ndarray, " n"]:
    """Return the rows of the valid poses, the best first: people are counted from 1 in it."""
    valid = np.flatnonzero(poses.valid)
    return valid[np.argsort(-np.asarray(poses.score)[valid], kind="stable")]


def picture(given: Given, poses: Poses, skeleton: Skeleton, *, numbered: bool) -> str:
    """Return the picture with boxes and poses on it, as the address of itself."""
    share = min(1.0, SIDE / max(given.image.shape[:2]))
    shown = drawing.resized(given.image, share) if share < 1 else given.image
    order = rows(poses)
    labels = [str(number) for number in range(1, len(order) + 1)] if numbered else None
    boxed = drawing.boxes(shown, poses.boxes_px[order] * share, labels)
    posed = drawing.poses(boxed, poses.joints_px[order] * share, poses.confidence[order], skeleton)
    return pictures.data_uri(posed)


def _padded(poses: Poses) -> Poses:
    """Return the poses with rows that are not valid behind them, so that few programs compile."""
    count = len(poses.valid)
    if not count:
        return poses
    more = canvas.rounded_up(count, canvas.PERSON_COUNTS) - count
    filled = [np.concatenate([part, np.repeat(part[:1], more, axis=0)]) for part in poses]
    return Poses(*filled)._replace(valid=np.arange(count + more) < count)
