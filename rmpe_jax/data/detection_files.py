"""Boxes that a detector found, from files in COCO's results format.

Pixels are those of the stored picture, 0 at its outer left (top) edge. Boxes come as (x, y, width,
height) and leave as corners. Errors name file, row and field.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from rmpe_jax.data import json_files
from rmpe_jax.records import Detections

DETECTION_KEYS = ("category_id", "bbox", "score")
PERSON_CATEGORY = 1  # COCO's category id of a person


def read(path: Path, *, category: int = PERSON_CATEGORY) -> dict[int | str, Detections]:
    """Return the boxes of each image in the file's order; rows of other categories are left.

    The key is what a row names its image by: `image_id`, a number or a file name, or, in sets
    without numbers, `image`, a file name. Scores are in [0, 1]. No row is padding: all are valid.
    """
    rows = json_files.load(path)
    if not isinstance(rows, list):
        raise ValueError(
            f"{path}: a {type(rows).__name__} came where COCO results are a list of "
            '{"image_id", "category_id", "bbox": [x, y, width, height], "score"}'
        )
    boxes, scores = defaultdict(list), defaultdict(list)
    for row, record in enumerate(rows):
        where = f"{path}: row {row}"
        json_files.require(record, DETECTION_KEYS, where)
        if record["category_id"] != category:
            continue
        x, y, width, height = json_files.numbers(record["bbox"], 4, f"{where}: bbox")
        if not (width > 0 and height > 0):
            raise ValueError(
                f"{where}: bbox {record['bbox']} is empty or inverted; "
                "[x, y, width, height] with a width and height above 0 is allowed"
            )
        image = _image_of(record, where)
        boxes[image].append((x, y, x + width, y + height))
        score = json_files.number(record["score"], f"{where}: score")
        if not 0 <= score <= 1:
            raise ValueError(
                f"{where}: score is {score}; a share in [0, 1] is expected (divide percents by "
                "100, pass logits through a sigmoid)"
            )
        scores[image].append(score)
    return {
        image: Detections(
            np.array(boxes[image]), np.array(scores[image]), np.ones(len(boxes[image]), bool)
        )
        for image in boxes
    }


def of_image(
    proposals: dict[int | str, Detections], image_id: int | None, file_name: str
) -> Detections:
    """Return the boxes of one image, found by its number or its file's name; perhaps none."""
    none = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool))
    by_number = none if image_id is None else proposals.get(image_id, none)
    return proposals.get(file_name, by_number)


def _image_of(record: dict, where: str) -> int | str:
    """Return what a row of detections names its image by."""
    image = record.get("image_id", record.get("image"))
    if isinstance(image, bool) or not isinstance(image, int | str):
        raise ValueError(
            f"{where}: image_id is {image!r}; a whole number or a file name is expected (the file "
            "name may also be called image)"
        )
    return image
