"""Which detected box belongs to which annotated person, and how far its sides lie off.

An offset is (detected - annotated) side in widths (x) and heights (y) of the annotated box, for
x_min, y_min, x_max, y_max: delta B in RMPE (section 3.3).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rmpe_jax.data import detection_files
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation, Detections

LEAST_IOU = 0.5  # above it a box is of a person; Fang et al., section 3.3 leave it open


class Pairs(NamedTuple):
    """Matched people: place in the photographs and offset, of each. `image` counts photographs."""

    image: Int[np.ndarray, " m"]
    person: Int[np.ndarray, " m"]
    offset: Float[np.ndarray, "m 4"]


def match(
    annotated_px: Float[np.ndarray, "n 4"], detected_px: Float[np.ndarray, "d 4"]
) -> Int[np.ndarray, " n"]:
    """Return the detection of each annotated box, -1 for none: the best IoU of all goes first."""
    iou = boxes.iou(annotated_px, detected_px)
    found = np.full(len(annotated_px), -1)
    rows, columns = np.nonzero(iou > LEAST_IOU)
    used: set[int] = set()
    for at in np.argsort(-iou[rows, columns], kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if found[row] < 0 and column not in used:
            found[row] = column
            used.add(column)
    return found


def of_file(path: Path, photographs: Sequence[Annotation], *, least_score: float = 0.0) -> Pairs:
    """Return the people matched by the detections of a file; errors of `of_photographs` name it."""
    detections = detection_files.read(path)
    try:
        return of_photographs(photographs, detections, least_score=least_score)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def of_photographs(
    photographs: Sequence[Annotation],
    detections: dict[int | str, Detections],
    *,
    least_score: float = 0.0,
) -> Pairs:
    """Return the matched people with a labelled joint; crowds and boxes without area never match.

    People without labelled joints take their detections, but make no pair. Raises ValueError if
    no photograph has detections or none of them matches.
    """
    image, person, offsets, seen = [], [], [], 0
    for row, entry in enumerate(photographs):
        found = detection_files.of_image(detections, entry.image_id, entry.file_name)
        detected_px = found.boxes_px[found.score >= least_score]
        seen += bool(len(found.score))
        people = entry.persons
        sides = boxes.size(people.boxes_px)
        solid = np.flatnonzero((sides > 0).all(axis=1) & ~people.is_crowd)
        matched = match(people.boxes_px[solid], detected_px)
        labelled = (people.joints_px[solid, :, 2] > 0).any(axis=1)
        kept = (matched >= 0) & labelled
        moved = detected_px[matched[kept]] - people.boxes_px[solid[kept]]
        offsets.append(moved / np.tile(sides[solid[kept]], 2))
        image.append(np.full(kept.sum(), row))
        person.append(solid[kept])
    if not seen:
        raise ValueError(
            f"none of the {len(photographs)} photographs has detections: these name images "
            f"{list(detections)[:3]}, annotated are {[e.image_id for e in photographs[:3]]} "
            f"({photographs[0].file_name if photographs else 'no photograph'}); give the "
            "detections of these photographs"
        )
    pairs = Pairs(*map(np.concatenate, (image, person, offsets)))
    if not len(pairs.image):
        raise ValueError(
            f"no detection has IoU above {LEAST_IOU} with an annotated person, over {seen} "
            "photographs with detections: boxes must be [x, y, width, height] in pixels of the "
            f"photograph as it is stored, and scores at least {least_score:g}"
        )
    return pairs
