"""Evaluate a network on annotated photographs: poses in boxes, then average precision."""

import hashlib
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from rmpe_jax import nms_sets
from rmpe_jax.config import EvaluationConfig, to_dict
from rmpe_jax.data import detection_files, images
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.data.jitter import jittered
from rmpe_jax.evaluation import coco
from rmpe_jax.evaluation.centring import theta_errors
from rmpe_jax.geometry import boxes
from rmpe_jax.predict import PoseModel, to_records
from rmpe_jax.records import Detections, Photograph

JITTER_SEED = 20170424  # boxes of one person are jittered alike in every evaluation
Records = list[dict[str, Any]]
Proposals = dict[int | str, Detections]


def evaluate(
    model: PoseModel, source: PhotographSource, *, console: Console | None = None
) -> tuple[dict[str, Any], Records]:
    """Return (result, COCO records): the ten COCO numbers and all that is needed to read them.

    Boxes are those of `config.evaluation.boxes` (COCO-format detections), else the annotated
    boxes of all people with a labelled joint, with box score 1. A box without area or wholly
    outside its photograph gives no pose and is counted in the result.
    """
    began = time.perf_counter()
    settings = model.config.evaluation
    proposals, nms = read_proposals(settings, source), nms_sets.chosen(settings.nms)
    records: Records = []
    left_out = 0
    for index in track(
        range(len(source)), description="Evaluating", transient=True, console=console
    ):
        photograph = source[index]
        found = proposed(photograph, proposals, settings)
        usable = on_image(found, photograph.height, photograph.width)
        left_out += len(found.score) - len(usable.score)
        poses = model(images.pixels(photograph), usable.boxes_px, usable.score)
        records += to_records(nms_sets.suppressed(poses, nms), photograph.image_id)
    truth = coco.ground_truth(source.annotations(), model.skeleton)
    result = {
        **coco.average_precision(truth, records, model.skeleton),
        **theta_errors(model, source),
        "images": len(source),
        "images_unreadable": source.skipped,
        "poses": len(records),
        "boxes": settings.boxes or "annotated",
        "jitter": settings.jitter if settings.boxes is None else 0.0,
        "boxes_fingerprint": _file_hash(settings.boxes),
        "boxes_left_out": left_out,
        "box_threshold": settings.box_threshold,
        "flip": settings.flip,
        "decode": settings.decode,
        "blur": settings.blur,
        "nms": settings.nms,
        "nms_parameters": nms and nms.parameters._asdict(),
        "nms_options": nms and asdict(nms.options),
        "data_fingerprint": source.fingerprint,
        "step": model.meta.get("step"),
        "trained_commit": model.meta.get("commit"),
        "commit": commit(),
        "seconds": round(time.perf_counter() - began, 1),
        "config": to_dict(model.config),
    }
    return result, records


def read_proposals(settings: EvaluationConfig, source: PhotographSource) -> Proposals | None:
    """Return a detector's boxes, or None if the annotated ones are to be used.

    Raises ValueError if the file names none of the photographs.
    """
    if settings.boxes is None:
        return None
    proposals = detection_files.read(Path(settings.boxes))
    entries = source.annotations()
    if not any(entry.image_id in proposals or entry.file_name in proposals for entry in entries):
        raise ValueError(
            f"none of the {len(proposals)} images in {settings.boxes} is among these "
            f"photographs: it names {list(proposals)[:3]}, here are "
            f"{[entry.image_id for entry in entries[:3]]}, {entries[0].file_name}"
        )
    return proposals


def proposed(
    photograph: Photograph, proposals: Proposals | None, settings: EvaluationConfig
) -> Detections:
    """Return a photograph's boxes: the detector's, or the annotated ones, moved if so set."""
    if proposals is None:
        persons = photograph.persons
        labelled = (persons.joints_px[:, :, 2] > 0).any(axis=1) & ~persons.is_crowd
        boxes_px = [
            jittered(
                np.random.default_rng([JITTER_SEED, photograph.image_id, person]),
                box_px,
                photograph.height,
                photograph.width,
                settings.jitter,
            )
            for person, box_px in enumerate(persons.boxes_px)
        ]
        count = len(persons.area)
        boxes_px = np.array(boxes_px).reshape(count, 4)
        everybody = Detections(boxes_px, np.ones(count), np.ones(count, bool))
        return _rows(everybody, labelled)
    found = detection_files.of_image(proposals, photograph.image_id, photograph.file_name)
    return _rows(found, found.valid & (found.score >= settings.box_threshold))


def on_image(detections: Detections, height: int, width: int) -> Detections:
    """Return the boxes that have an area and lie on the image, at least in part."""
    visible = boxes.clip(detections.boxes_px, height, width)
    return _rows(detections, (boxes.size(visible) > 0).all(axis=-1))


def table(result: dict[str, Any]) -> str:
    """Return a result as two Markdown lines, with what it depends on above them."""
    about = (
        f"{result['images']} images, {result['poses']} poses, boxes: {result['boxes']}"
        f"{_jitter_told(result)}, "
        f"flip: {result['flip']}, decode: {result['decode']}, nms: {result['nms']}"
    )
    if result["images_unreadable"] or result["boxes_left_out"]:
        about += (
            f"; {result['images_unreadable']} unreadable images and {result['boxes_left_out']} "
            "boxes off the image left out"
        )
    if "theta_error" in result:
        about += (
            f"\nmean |theta - theta*| {result['theta_error']:.4f}, "
            f"of the identity {result['theta_error_identity']:.4f}"
        )
    values = " | ".join(f"{result[name]:.3f}" for name in coco.NAMES)
    return f"{about}\n| {' | '.join(coco.NAMES)} |\n| {values} |"


def _jitter_told(result: dict[str, Any]) -> str:
    return f" jittered by {result['jitter']:g}" if result["jitter"] else ""


def commit() -> str:
    """Return the commit of the source tree this code runs from, or 'unknown' if installed."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    if not (root / ".git").exists():
        return "unknown"
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"


def _rows(detections: Detections, chosen: np.ndarray) -> Detections:
    return Detections(*(field[chosen] for field in detections))


def _file_hash(path: str | None) -> str | None:
    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()
