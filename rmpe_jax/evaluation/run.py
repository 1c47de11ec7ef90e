"""Evaluate a network on annotated photographs: poses in boxes, then the figures of the set."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track

from rmpe_jax import nms_sets
from rmpe_jax.config import EvaluationConfig, to_dict
from rmpe_jax.data import detection_files, images
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.data.jitter import jittered
from rmpe_jax.evaluation import bootstrap, coco
from rmpe_jax.evaluation.breakdown import breakdown, worst
from rmpe_jax.evaluation.centring import theta_errors
from rmpe_jax.evaluation.found import from_records, numbered
from rmpe_jax.evaluation.score import flat, score
from rmpe_jax.geometry import boxes
from rmpe_jax.predict import PoseModel, to_records
from rmpe_jax.records import Detections, Photograph

JITTER_SEED = 20170424  # boxes of one person are jittered alike in every evaluation
Records = list[dict[str, Any]]
Proposals = dict[int | str, Detections]


class Evaluated(NamedTuple):
    """A result for a file, the poses as COCO results, and the draws behind the intervals."""

    result: dict[str, Any]
    records: Records
    draws: dict[str, np.ndarray]


def evaluate(
    model: PoseModel,
    source: PhotographSource,
    *,
    console: Console | None = None,
    resamples: int | None = None,
) -> Evaluated:
    """Find poses on all photographs and score them by the metrics of their set.

    The result holds the figures and all that is needed to read them. Boxes are those of
    `config.evaluation.boxes` (COCO-format detections), else the annotated boxes of all people with
    a labelled joint, with box score 1. A box without area or wholly outside its photograph gives
    no pose and is counted in the result. `resamples` goes before `config.evaluation.resamples`.
    """
    began = time.perf_counter()
    settings = model.config.evaluation
    source = source.with_joints(model.skeleton)
    proposals, nms = read_proposals(settings, source), nms_sets.chosen(settings.nms)
    model = replace(model, nms=nms)
    records: Records = []
    left_out = 0
    for index in track(
        range(len(source)), description="Evaluating", transient=True, console=console
    ):
        photograph = source[index]
        found = proposed(photograph, proposals, settings)
        visible = are_on_image(found.boxes_px, photograph.height, photograph.width)
        usable = _rows(found, visible)
        left_out += int((~visible).sum())
        poses = model(images.pixels(photograph), usable.boxes_px, usable.score)
        made = to_records(poses, photograph.image_id)
        if proposals is None and nms is None:
            people = photograph.persons.person_id[photograph.persons.to_find][visible]
            made = [r | {"person_id": int(n)} for r, n in zip(made, people, strict=True)]
        records += made
    draws = settings.resamples if resamples is None else resamples
    scored = score_records(source, records, resamples=draws)
    result = {
        **scored.result,
        **theta_errors(model, source),
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
        "step": model.meta.get("step"),
        "trained_on": model.meta.get("data_fingerprint"),
        "trained_commit": model.meta.get("commit"),
        "seconds": round(time.perf_counter() - began, 1),
        "config": to_dict(model.config),
    }
    return Evaluated(result, records, scored.draws)


def score_records(
    source: PhotographSource,
    records: Records,
    *,
    resamples: int = bootstrap.RESAMPLES,
    on_skip: Callable[[str], None] | None = None,
) -> Evaluated:
    """Score COCO results on the photographs of a set; COCO's ten numbers are pycocotools'.

    Images are told by id or file name. A pose of another image goes to `on_skip`; without it that
    is a ValueError.
    """
    photographs = sorted(source.annotations(), key=lambda entry: entry.image_id)
    records = numbered(records, photographs)
    try:
        found = from_records(records, photographs, source.skeleton, on_skip=on_skip)
    except ValueError as error:
        if not source.skipped:
            raise
        raise ValueError(
            f"{error} ({source.skipped} images of the set could not be read and are not in it)"
        ) from error
    scores = score(photographs, found, source.skeleton, source.data_set, resamples=resamples)
    truth = coco.ground_truth(photographs, source.skeleton)
    known = {photograph.image_id for photograph in photographs}
    kept = [record for record in records if record["image_id"] in known]
    result = {
        **flat(scores),
        **coco.average_precision(truth, kept, source.skeleton),
        "breakdown": breakdown(photographs, found, source.skeleton),
        "worst": [
            {"image_id": photographs[row].image_id, "AP": value}
            for row, value in worst(photographs, found, source.skeleton)
        ],
        "images": len(source),
        "images_unreadable": source.skipped,
        "poses": len(kept),
        "poses_of_other_images": len(records) - len(kept),
        "data_set": source.data_set,
        "split": source.split,
        "skeleton": source.skeleton.name,
        "data_fingerprint": source.fingerprint,
        "commit": commit(),
    }
    return Evaluated(result, records, scores.draws)


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
        return _rows(everybody, persons.to_find)
    found = detection_files.of_image(proposals, photograph.image_id, photograph.file_name)
    return _rows(found, found.valid & (found.score >= settings.box_threshold))


def are_on_image(
    boxes_px: Float[np.ndarray, "n 4"], height: int, width: int
) -> Bool[np.ndarray, " n"]:
    """Return which boxes have an area and lie on the image, at least in part."""
    return (boxes.size(boxes.clip(boxes_px, height, width)) > 0).all(axis=-1)


def on_image(detections: Detections, height: int, width: int) -> Detections:
    """Return the boxes that have an area and lie on the image, at least in part."""
    return _rows(detections, are_on_image(detections.boxes_px, height, width))


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
