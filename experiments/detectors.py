"""How well detectors of others box the people of COCO: RTMDet-nano, FastestDet, OpenCV's HOG.

    python experiments/detectors.py

On the 338 validation photographs of coco_pose, through `rmpe_jax.detection`, next to the boxes of
NanoDet-Plus and FastestDet that lie as files in the example data. Seconds are those of a call,
without reading the photograph. Writes experiments/results/detector_others.json.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from rmpe_jax import detection
from rmpe_jax.config import DataConfig, example_data
from rmpe_jax.data import images, json_files
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation import human_boxes
from rmpe_jax.evaluation.run import commit
from rmpe_jax.records import Detections

RESULTS = Path(__file__).parent / "results"
KEPT = ("AP", "AP50", "AP75", "AR100", "recall50")
# What is asked for, below the example data (hog: as it is).
DETECTORS = {
    "RTMDet-nano person 320": "weights/rtmdet_nano_person_320.onnx",
    "FastestDet 352": "weights/fastestdet_352.onnx",
    "OpenCV HOG": detection.HOG,
}
FILES = {
    "NanoDet-Plus-m-1.5x 416": "detections/nanodet_plus_m15x_coco_val.json",
    "FastestDet 352": "detections/fastestdet_coco_val.json",
}


def main() -> None:
    """Measure all and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--prepared", default=DataConfig.prepared)
    arguments = parser.parse_args()
    config = DataConfig(
        source="coco",
        root=str(arguments.data / "coco_pose"),
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
        prepared=arguments.prepared,
    )
    result = compared(prepare(config, "validation"), arguments.data)
    print(table(result))
    (RESULTS / "detector_others.json").write_text(json.dumps(result, indent=2) + "\n")


def compared(source: PhotographSource, data: Path) -> dict[str, Any]:
    """Return the figures of all detectors and files on the photographs of `source`."""
    detectors = {}
    for name, given in DETECTORS.items():
        path = given if given == detection.HOG else str(data / given)
        detectors[name] = measured(detection.detector(path), source)
    return {
        "detectors": detectors,
        "files": {name: scored(data / given, source) for name, given in FILES.items()},
        "images": len(source),
        "data_set": f"{source.data_set} {source.split}",
        "data_fingerprint": source.fingerprint,
        "hardware": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "commit": commit(),
    }


def measured(detector: detection.Detector, source: PhotographSource) -> dict[str, float]:
    """Return the figures of a detector, and the median seconds of a call."""
    seconds = []

    def timed(image: np.ndarray) -> Detections:
        began = time.perf_counter()
        found = detector(image)
        seconds.append(time.perf_counter() - began)
        return found

    timed(images.pixels(source[0]))  # compiles
    seconds.clear()
    result, found = human_boxes.evaluate(timed, source)
    return {
        **{name: round(result[name], 4) for name in KEPT},
        "boxes": len(found),
        "seconds_per_image": round(float(np.median(seconds)), 4),
    }


def scored(path: Path, source: PhotographSource) -> dict[str, float]:
    """Return the figures of a file of boxes, of those on the photographs of `source`."""
    photographs = source.annotations()
    wanted = {photograph.image_id for photograph in photographs}
    found = [row for row in json_files.load(path) if row["image_id"] in wanted]
    figures = human_boxes.average_precision(photographs, source.skeleton, found)
    return {**{name: round(figures[name], 4) for name in KEPT}, "boxes": len(found)}


def table(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = [f"| | {' | '.join(KEPT)} | s / image |", "|---" * (len(KEPT) + 2) + "|"]
    for kind in ("detectors", "files"):
        for name, row in result[kind].items():
            values = " | ".join(f"{row[figure]:.3f}" for figure in KEPT)
            seconds = row.get("seconds_per_image", "a file")
            lines.append(f"| {name} | {values} | {seconds} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
