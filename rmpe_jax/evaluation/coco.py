"""COCO keypoint average precision through pycocotools. Pixels as annotated."""

import contextlib
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


def ground_truth(photographs: Iterable[Annotation], skeleton: Skeleton) -> dict[str, Any]:
    """Return a COCO annotation file's content."""
    images, annotations = [], []
    for photograph in photographs:
        images.append(
            {
                "id": photograph.image_id,
                "file_name": photograph.file_name,
                "height": photograph.height,
                "width": photograph.width,
            }
        )
        persons = photograph.persons
        for row in range(len(persons.person_id)):
            joints = persons.joints_px[row]
            annotations.append(
                {
                    # Numbered anew: COCO's matching takes an id of 0 for "no match".
                    "id": len(annotations) + 1,
                    "image_id": photograph.image_id,
                    "category_id": 1,
                    "keypoints": [float(value) for value in joints.reshape(-1)],
                    # pycocotools ignores those that have none.
                    "num_keypoints": int(not persons.is_ignored[row] and np.sum(joints[:, 2] > 0)),
                    "bbox": [float(value) for value in boxes.to_xywh(persons.boxes_px[row])],
                    "area": float(persons.area[row]),
                    "iscrowd": int(persons.is_crowd[row]),
                }
            )
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joints)}
    return {"images": images, "annotations": annotations, "categories": [category]}


def average_precision(
    truth: dict[str, Any], records: list[dict[str, Any]], skeleton: Skeleton
) -> dict[str, float]:
    """Return COCO's ten numbers in [0, 1] (-1 where there is nothing to measure).

    `truth` is a COCO annotation file's content; `records` are COCO results. All images of
    `truth` count, those without a result too. Object Keypoint Similarity uses the skeleton's
    sigmas and the annotated area.
    """
    # pycocotools reports progress by print; a library call should be silent.
    with contextlib.redirect_stdout(io.StringIO()):
        expected = _indexed(truth)
        person = {"category_id": truth["categories"][0]["id"]}
        if records:
            # Copies, because loadRes adds fields; without boxes, because it would take a pose's
            # area from them and not from the joints as COCO's server does (APm and APl need it);
            # every row is of a person.
            copies: Any = [
                {**{name: record[name] for name in ("image_id", "keypoints", "score")}, **person}
                for record in records
            ]
            found = expected.loadRes(copies)
        else:
            found = _indexed(truth | {"annotations": []})  # loadRes wants at least one
        scorer = COCOeval(expected, found, "keypoints")
        scorer.params.kpt_oks_sigmas = np.asarray(skeleton.sigmas)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return dict(zip(NAMES, (float(value) for value in scorer.stats), strict=True))


def _indexed(content: dict[str, Any]) -> COCO:
    """Return the content of an annotation file as pycocotools has it."""
    made = COCO()
    made.dataset = content  # pyright: ignore[reportAttributeAccessIssue] (no stubs)
    made.createIndex()
    return made
