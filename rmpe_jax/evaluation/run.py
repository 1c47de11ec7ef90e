"""Evaluate a network on annotated photographs: poses in boxes, then average precision."""

import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from rmpe_jax.config import to_dict
from rmpe_jax.data import images
from rmpe_jax.data.coco import read_detections
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.evaluation import coco
from rmpe_jax.predict import PoseModel, to_records
from rmpe_jax.records import Detections, Persons

Records = list[dict[str, Any]]


def evaluate(model: PoseModel, source: PhotographSource) -> tuple[dict[str, Any], Records]:
    """Return (result, COCO records): the ten COCO numbers and all that is needed to read them.

    Boxes are those of `config.evaluation.boxes` (COCO-format detections), else the annotated
    boxes of all people with a labelled joint, with box score 1.
    """
    began = time.perf_counter()
    settings = model.config.evaluation
    proposals = read_detections(Path(settings.boxes)) if settings.boxes else None
    records: Records = []
    for index in track(range(len(source)), description="Evaluating", transient=True):
        photograph = source[index]
        if proposals is None:
            found = annotated_boxes(photograph.persons)
        else:
            named = proposals.get(photograph.image_id, proposals.get(photograph.file_name))
            found = above(named, settings.box_threshold)
        image = images.pixels(photograph)
        poses = model(image, found.boxes_px, found.score)
        records += to_records(poses, photograph.image_id)
    truth = coco.ground_truth(source.annotations(), model.skeleton)
    result = {
        **coco.average_precision(truth, records, model.skeleton),
        "images": len(source),
        "poses": len(records),
        "boxes": settings.boxes or "annotated",
        "box_threshold": settings.box_threshold,
        "flip": settings.flip,
        "decode": settings.decode,
        "blur": settings.blur,
        "nms": "none",
        "data_fingerprint": source.fingerprint,
        "step": model.meta.get("step"),
        "commit": commit(),
        "seconds": round(time.perf_counter() - began, 1),
        "config": to_dict(model.config),
    }
    return result, records


def annotated_boxes(persons: Persons) -> Detections:
    """Return the boxes of the people who have a labelled joint, as perfect proposals."""
    rows = np.flatnonzero((persons.joints_px[:, :, 2] > 0).any(axis=1) & ~persons.is_crowd)
    return Detections(persons.boxes_px[rows], np.ones(len(rows)), np.ones(len(rows), bool))


def above(detections: Detections | None, threshold: float) -> Detections:
    """Return the proposals that reach a score; an image without any has none."""
    if detections is None:
        return Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool))
    rows = np.flatnonzero(detections.valid & (detections.score >= threshold))
    return Detections(*(field[rows] for field in detections))


def table(result: dict[str, Any]) -> str:
    """Return a result as two Markdown lines, with what it depends on above them."""
    about = (
        f"{result['images']} images, {result['poses']} poses, boxes: {result['boxes']}, "
        f"flip: {result['flip']}, decode: {result['decode']}, nms: {result['nms']}"
    )
    values = " | ".join(f"{result[name]:.3f}" for name in coco.NAMES)
    return f"{about}\n| {' | '.join(coco.NAMES)} |\n| {values} |"


def commit() -> str:
    """Return the commit of the source tree this code runs from, or 'unknown' if installed."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"
