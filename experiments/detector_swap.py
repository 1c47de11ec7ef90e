"""How much the human detector matters: poses of one network in boxes of several, and at best.

    python experiments/detector_swap.py

The network of the package, on the 338 test photographs: with its pose NMS in the boxes of a strong
and of a weak detector (NanoDet-Plus and FastestDet; neither has seen these photographs) and of the
package's own, and without in the annotated ones, the upper bound. In the paper (MPII, validation
part) VGG-SSD gives 80.8 mAP, Faster R-CNN 81.4 and the annotated boxes 84.2. Writes
experiments/results/detector_swap.json.
"""

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmpe_jax import detection, predict, shipped
from rmpe_jax.ablation import statistics, work
from rmpe_jax.config import DataConfig, example_data
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation import coco, human_boxes
from rmpe_jax.evaluation.metrics import BOX, COCO
from rmpe_jax.evaluation.run import Evaluated, commit, evaluate

RESULTS = Path(__file__).parent / "results"
MOST = 20  # boxes of a photograph
# Score from which boxes are used: as many a person as the authors of RMPE used (2.5).
THRESHOLDS = {"NanoDet-Plus": 0.25, "shipped": 0.3, "FastestDet": 0.4}
STRONG, WEAK, BEST = "NanoDet-Plus", "FastestDet", "annotated"


def main() -> None:
    """Evaluate and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--out", type=Path, default=Path("runs/detector_swap"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    source = prepare(
        DataConfig(
            source="coco",
            root=str(arguments.data / "coco_pose"),
            validation_annotations="annotations/person_keypoints_val.json",
            validation_images="val",
        ),
        "validation",
    )
    told, found = {}, {}
    for name, records in given(source, arguments.data / "detections").items():
        quality: dict[str, Any] = {}
        file = None
        if records is not None:
            kept = work.limited(records, THRESHOLDS[name], MOST)
            file = arguments.out / f"{name}.json"
            file.write_text(json.dumps(kept))
            quality = human_boxes.average_precision(source.annotations(), source.skeleton, kept)
        found[name] = poses(source, file)
        result = found[name].result
        told[name] = {
            "boxes": quality and {key: quality[key] for key in ("AP", "AP50", "recall50")},
            "AP": result["AP"],
            BOX: result[BOX]["Total"],
        }
        print(f"{name}: AP {result['AP']:.3f}, {BOX} {result[BOX]['Total']:.3f}")
    made = {
        "hardware": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "commit": commit(),
        "data_fingerprint": source.fingerprint,
        "thresholds": THRESHOLDS,
        "in_boxes_of": told,
        "strong_minus_weak": apart(found[WEAK], found[STRONG]),
        "best_minus_strong": apart(found[STRONG], found[BEST]),
        "best_minus_shipped": apart(found["shipped"], found[BEST]),
        "paper": {"VGG-SSD": 80.8, "Faster R-CNN": 81.4, "annotated": 84.2},
    }
    (RESULTS / "detector_swap.json").write_text(json.dumps(made, indent=2) + "\n")


def given(source: PhotographSource, folder: Path) -> dict[str, list[dict[str, Any]] | None]:
    """Return the boxes of each detector as COCO results; None: the annotated ones."""
    _, own = human_boxes.evaluate(detection.detector(detection.SHIPPED), source)
    return {
        "shipped": own,
        "NanoDet-Plus": work.of_file(folder / "nanodet_plus_m15x_coco_val.json", source),
        "FastestDet": work.of_file(folder / "fastestdet_coco_val.json", source),
        BEST: None,
    }


def poses(source: PhotographSource, boxes: Path | None) -> Evaluated:
    """Return what the network of the package finds in these boxes, after its pose NMS."""
    model = predict.load()
    nms = "none" if boxes is None else str(shipped.NMS)
    settings = replace(
        model.config.evaluation, boxes=boxes and str(boxes), nms=nms, jitter=0.0, resamples=1000
    )
    return evaluate(replace(model, config=replace(model.config, evaluation=settings)), source)


def apart(a: Evaluated, b: Evaluated) -> dict[str, dict[str, float]]:
    """Return B minus A with paired intervals."""
    places = {COCO: coco.NAMES.index("AP"), BOX: -1}
    figures = {COCO: lambda result: result["AP"], BOX: lambda result: result[BOX]["Total"]}
    return {
        metric: statistics.difference(
            [figure(a.result)],
            [figure(b.result)],
            [a.draws[metric][:, places[metric]]],
            [b.draws[metric][:, places[metric]]],
        )._asdict()
        for metric, figure in figures.items()
    }


if __name__ == "__main__":
    main()
