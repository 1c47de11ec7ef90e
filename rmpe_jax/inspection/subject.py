"""Who is looked at: one person of one photograph, with the joints that the losses ask for. Pixels.

People are counted from 1, as in the pictures of `rmpe predict`.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax import detection, frames, skeletons
from rmpe_jax.chain import CONFIDENT
from rmpe_jax.data import coco
from rmpe_jax.data.pairs import LEAST_IOU
from rmpe_jax.frames import Frame
from rmpe_jax.geometry import boxes
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import Skeleton


class Subject(NamedTuple):
    """One of the n people in boxes on a photograph, and the joints k that are taken for true.

    `joints_px` are (x, y, visibility), 0 is not labelled; `target` says in words whose they are.
    Without an `annotated_box_px` theta* leads to the extent of the joints.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    boxes_px: Float[np.ndarray, "n 4"]
    number: int
    joints_px: Float[np.ndarray, "k 3"]
    annotated_box_px: Float[np.ndarray, " 4"] | None
    target: str

    @property
    def box_px(self) -> Float[np.ndarray, " 4"]:
        """Return the box of the one who is looked at."""
        return self.boxes_px[self.number - 1]


def subject(
    model: PoseModel,
    photograph: Path,
    *,
    boxes: str = detection.SHIPPED,
    joints: Path | None = None,
    number: int = 1,
) -> Subject:
    """Return person `number` of those in the boxes that `detection.chosen` finds on a photograph.

    `joints` is a file of COCO annotations with the photograph in it; without one the pose that the
    network finds is the target. Raises ValueError where nobody is found, or not this one.
    """
    image = frames.read(photograph)
    found = _boxes_px(Frame(photograph.name, 0, image, None), boxes)
    if not 1 <= number <= len(found):
        people = "1 person was" if len(found) == 1 else f"{len(found)} people were"
        raise ValueError(
            f"--example is {number}, and {people} found on {photograph}; allowed is 1 to "
            f"{len(found)}"
        )
    box = found[number - 1]
    if joints is None:
        pose, annotated, target = _own_pose(model, image, box), None, "the network's own pose"
    else:
        pose, annotated = _annotated(joints, photograph.name, image, model.skeleton, box)
        target = f"the joints annotated in {joints.name}"
    return Subject(photograph.name, image, found, number, pose, annotated, target)


def _boxes_px(frame: Frame, boxes: str) -> Float[np.ndarray, "n 4"]:
    """Return the boxes of a photograph's people, or raise ValueError if there is nobody."""
    detections = detection.chosen(boxes)(frame)
    found = np.asarray(detections.boxes_px, np.float64)[np.asarray(detections.valid)]
    if not len(found):
        raise ValueError(
            f"--boxes {boxes} finds nobody on {frame.name}; give the person's box yourself, "
            '--boxes "x0,y0,x1,y1" in pixels, or --boxes whole for the whole picture'
        )
    return found


def _own_pose(
    model: PoseModel, image: UInt8[np.ndarray, "height width 3"], box_px: Float[np.ndarray, " 4"]
) -> Float[np.ndarray, "k 3"]:
    """Return the pose that the network finds, its unsure joints as not labelled."""
    pose = replace(model, nms=None)(image, boxes=[box_px])
    sure = pose.confidence[0] > CONFIDENT
    return np.concatenate([pose.joints_px[0], 2.0 * sure[:, None]], axis=1).astype(np.float64)


def _annotated(
    path: Path,
    name: str,
    image: UInt8[np.ndarray, "height width 3"],
    skeleton: Skeleton,
    box_px: Float[np.ndarray, " 4"],
) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, " 4"]]:
    """Return joints and box of the annotated person whose box overlaps this one most."""
    sections = coco.read_sections(path)
    own, _ = coco.own_skeleton(sections, path)
    entry = _entry(coco.index_sections(sections, own, str(path)), name, path)
    if (entry.height, entry.width) != image.shape[:2]:
        raise ValueError(
            f"{path}: {name} is annotated as {entry.width} x {entry.height} (width x height), the "
            f"picture is {image.shape[1]} x {image.shape[0]}: give the annotated copy of it"
        )
    people = entry.persons
    person = _overlapping(people, box_px, path)
    order = np.array(skeletons.mapping(own, skeleton))
    pose = np.where((order >= 0)[:, None], people.joints_px[person, order], 0.0)
    return pose, people.boxes_px[person]


def _entry(entries: list[Annotation], name: str, path: Path) -> Annotation:
    """Return what is annotated of a photograph, found by its file's name or number."""
    stem = Path(name).stem
    number = int(stem) if stem.isdecimal() else None
    for entry in entries:
        if Path(entry.file_name).name == name or entry.image_id == number:
            return entry
    raise ValueError(
        f"{path}: no image is called {name}; it has {[one.file_name for one in entries[:3]]} and "
        "so on. Give the annotations of this photograph, or leave --joints out: then the pose that "
        "the network finds is the target"
    )


def _overlapping(people: Persons, box_px: Float[np.ndarray, " 4"], path: Path) -> int:
    """Return the row of the person to be found whose box is nearest, or raise ValueError."""
    overlap = boxes.iou(people.boxes_px, box_px[None])[:, 0]
    overlap = np.where(people.to_find & (overlap > LEAST_IOU), overlap, 0.0)
    if not overlap.any():
        raise ValueError(
            f"{path}: none of its {len(overlap)} people on this photograph has labelled joints and "
            f"a box of IoU above {LEAST_IOU} with that of --example; choose another --example, or "
            "leave --joints out"
        )
    return int(overlap.argmax())
