"""How well people are boxed: COCO's detection AP and recall through pycocotools. Pixels."""

import contextlib
import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.progress import track

from rmpe_jax.config import to_dict
from rmpe_jax.data import images
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.detection import Detector
from rmpe_jax.evaluation.coco import ground_truth
from rmpe_jax.evaluation.run import commit
from rmpe_jax.geometry import boxes
from rmpe_jax.human_detector import DetectorModel
from rmpe_jax.records import Annotation, Detections
from rmpe_jax.skeletons import Skeleton

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100", "recall50")


def records(detections: Detections, image_id: int | str) -> list[dict[str, Any]]:
    """Return COCO results, one a box: what `fit-pgpg`, `eval` and `train` read."""
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "bbox": [round(float(value), 2) for value in boxes.to_xywh(detections.boxes_px[row])],
            "score": round(float(detections.score[row]), 5),
        }
        for row in np.flatnonzero(detections.valid)
    ]


def average_precision(
    photographs: Sequence[Annotation], skeleton: Skeleton, found: list[dict[str, Any]]
) -> dict[str, float]:
    """Return AP, AP50, AP75, APs, APm, APl, AR100 and the recall at IoU 0.5 of 100 boxes.

    In [0, 1], -1 where there is nothing to find. All people count, with joints or without; crowds
    are ignored.
    """
    truth = ground_truth(photographs, skeleton)
    with contextlib.redirect_stdout(io.StringIO()):
        expected, results = COCO(), COCO()
        expected.dataset = truth  # pyright: ignore[reportAttributeAccessIssue] (no stubs)
        expected.createIndex()
        if found:
            copies: Any = [dict(record) for record in found]
            results = expected.loadRes(copies)
        else:
            results.dataset = truth | {"annotations": []}  # pyright: ignore
            results.createIndex()
        scorer = COCOeval(expected, results, "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    recall_50 = float(scorer.eval["recall"][0, 0, 0, -1])
    values = [float(value) for value in scorer.stats]
    names = NAMES[:6]
    return dict(zip(names, values[:6], strict=True)) | {"AR100": values[8], "recall50": recall_50}


def evaluate(
    detector: Detector, source: PhotographSource, *, console: Console | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return (result, COCO results) of a detector on the photographs of a set.

    The result of a detector that was trained here says from what it came.
    """
    began = time.perf_counter()
    found: list[dict[str, Any]] = []
    for row in track(range(len(source)), description="Detecting", transient=True, console=console):
        photograph = source[row]
        found += records(detector(images.pixels(photograph)), photograph.image_id)
    figures = average_precision(source.annotations(), source.skeleton, found)
    return {
        **figures,
        "images": len(source),
        "boxes": len(found),
        "data_set": source.data_set,
        "split": source.split,
        "data_fingerprint": source.fingerprint,
        "commit": commit(),
        "seconds": round(time.perf_counter() - began, 1),
        **(_origin(detector) if isinstance(detector, DetectorModel) else {}),
    }, found


def _origin(model: DetectorModel) -> dict[str, Any]:
    return {
        "step": model.meta.get("step"),
        "trained_on": model.meta.get("data_fingerprint"),
        "trained_commit": model.meta.get("commit"),
        "config": to_dict(model.config),
    }


def table(result: dict[str, Any]) -> str:
    """Return a result as text."""
    values = " | ".join(f"{result[name]:.3f}" for name in NAMES)
    about = f"{result['data_set']} {result['split']}: {result['images']} images, people's boxes"
    return f"{about}\n| {' | '.join(NAMES)} |\n| {values} |"
