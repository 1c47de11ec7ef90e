"""How good the networks of the package are: poses in annotated boxes and in those they find.

    python experiments/shipped.py

On the 338 test photographs of coco_pose, which none of them has seen. Writes
experiments/results/detector_shipped.json, coco_small_shipped.json (annotated boxes) and
coco_small_shipped_detected.json (boxes and pose NMS of the package).
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmpe_jax import detection, predict, shipped
from rmpe_jax.config import DataConfig, EvaluationConfig, example_data
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation import human_boxes, report
from rmpe_jax.evaluation.run import evaluate

RESULTS = Path(__file__).parent / "results"
BOXES = "the detector of the package"
LEAST = 0.1  # score of its boxes: fewer cost AP, more cost time


def main() -> None:
    """Measure and keep the results."""
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
    results = measured(prepare(config, "validation"))
    for name, result in results.items():
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def measured(source: PhotographSource, *, resamples: int = 1000) -> dict[str, dict[str, Any]]:
    """Return the results of detector, poses in annotated boxes and poses in found boxes."""
    boxes, found = human_boxes.evaluate(detection.detector(detection.SHIPPED), source)
    print(human_boxes.table(boxes))
    results = {"detector_shipped": boxes}
    model = predict.load()
    own = EvaluationConfig(flip=model.config.evaluation.flip, blur=model.config.evaluation.blur)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "boxes.json"
        file.write_text(json.dumps(found))
        detected = replace(own, boxes=str(file), box_threshold=LEAST, nms=str(shipped.NMS))
        for name, settings in (("", own), ("_detected", detected)):
            chosen = replace(model, config=replace(model.config, evaluation=settings))
            result = evaluate(chosen, source, resamples=resamples).result
            print(report.table(result))
            results[f"coco_small_shipped{name}"] = result
    results["coco_small_shipped_detected"] |= {"boxes": BOXES, "nms": shipped.NMS.name}
    for result in results.values():
        result["config"]["evaluation"] |= {"boxes": None, "nms": "none"}
    return results


if __name__ == "__main__":
    main()
