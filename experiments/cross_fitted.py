"""What PGPG and pose NMS learn from boxes of our own detector, and from those of a better one.

    rmpe detect configs/coco_small_detector.py --cross-fit --steps 1500 --data.root DIR --out FILE
    python experiments/cross_fitted.py FILE

The boxes of FILE are of detectors that have not seen the photographs they box; those that they are
compared with are NanoDet-Plus' (AP50 0.73 on the test photographs, ours 0.51). PGPG is fitted to
all 2,155 training photographs, and each fit judged on the other's boxes. Pose NMS is learned on the
poses of the package's network in the boxes on 400 of them (which it has learned from: its poses are
better there than elsewhere) and tested in the boxes of the package's detector on the 338 test
photographs, beside the NMS of the package, which was learned on another network's poses. Can be
stopped and started again. Writes experiments/results/cross_fitted_pgpg.json, cross_fitted_nms.json,
and the generator fitted to our boxes, pgpg_cross_fitted.json.
"""

import argparse
import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from rmpe_jax import detection, nms_sets, predict, shipped
from rmpe_jax.config import DataConfig, example_data
from rmpe_jax.data import coco, densities, detection_files, fit_pgpg, images, pairs, pgpg
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation import human_boxes, redundant_poses
from rmpe_jax.evaluation.fit_nms import fit_nms
from rmpe_jax.evaluation.nms_comparison import compare, schemes, table
from rmpe_jax.evaluation.nms_search import QUICK
from rmpe_jax.evaluation.run import are_on_image, commit
from rmpe_jax.records import Detections
from rmpe_jax.skeletons import COCO17

RESULTS = Path(__file__).parent / "results"
PHOTOGRAPHS = 400  # to learn NMS on
LEAST_SCORE = 0.1  # of a box with a pose, as in experiments/shipped.py
MOST = 30  # boxes of a photograph
ATOMS = 20


def main() -> None:
    """Fit both and keep what they tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--out", type=Path, default=Path("runs/cross_fitted"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    about = {"hardware": f"{platform.machine()}, {platform.system()}", "commit": commit()}
    files = {
        "ours": arguments.boxes,
        "nanodet_plus": arguments.data / "detections" / "nanodet_plus_m15x_coco_train.json",
    }
    told = of_pgpg(files, arguments.data, arguments.out)
    shutil.copy(arguments.out / "ours.json", RESULTS / "pgpg_cross_fitted.json")
    keep("cross_fitted_pgpg", about | told)
    keep("cross_fitted_nms", about | of_nms(arguments.boxes, arguments.data, arguments.out))


def of_pgpg(files: dict[str, Path], data: Path, out: Path) -> dict[str, Any]:
    """Return what generators fitted to each file's boxes are like, and how well they foretell."""
    annotations = data / "coco_pose" / "annotations" / "person_keypoints_train.json"
    poses = data / "coco_train2017_kpt_labels" / "coco_train2017_keypoints.npz"
    photographs = coco.index(annotations, COCO17)
    settings = fit_pgpg.FitSettings(atoms=ATOMS)
    matched = {name: pairs.of_file(file, photographs) for name, file in files.items()}
    fitted, told = {}, {}
    for name, file in files.items():
        result = fit_pgpg.fit_pgpg(
            out / f"{name}.json", annotations, file, poses, settings=settings
        )
        fitted[name] = pgpg.read(out / f"{name}.json", COCO17)
        offset = matched[name].offset
        told[name] = {
            "pairs": len(offset),
            "offset_median": np.median(offset, axis=0).round(4).tolist(),
            "offset_deviation": offset.std(axis=0).round(4).tolist(),
            "held_out": result["held_out"],
        }
    for name, judged in told.items():
        judged["log_likelihood_of_boxes_of"] = {
            other: foretold(fitted[name], photographs, matched[other]) for other in files
        }
    return told


def foretold(fitted: pgpg.Pgpg, photographs: list, seen: pairs.Pairs) -> float:
    """Return the mean log-density of people's offsets, each by the mixture of its atom."""
    places = zip(seen.image.tolist(), seen.person.tolist(), strict=True)
    joints = np.array([photographs[image].persons.joints_px[person] for image, person in places])
    rows = fitted.assign(joints)
    total = 0.0
    for row in np.unique(rows):
        some = seen.offset[rows == row]
        total += float(densities.log_density(fitted.density(int(row), "mixture"), some).sum())
    return total / len(rows)


def of_nms(boxes: Path, data: Path, out: Path) -> dict[str, Any]:
    """Return what is learned in cross-fitted boxes, and how it does beside the package's NMS."""
    config = DataConfig(
        source="coco",
        root=str(data / "coco_pose"),
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
    )
    files = {"train": out / "train.npz", "validation": out / "val.npz"}
    if not files["train"].exists():
        source = prepare(config, "train").take(np.arange(PHOTOGRAPHS))
        np.savez(files["train"], **poses_in(source, detection_files.read(boxes)))
    if not files["validation"].exists():
        source = prepare(config, "validation")
        np.savez(files["validation"], **poses_in(source, by_package(source, out)))
    annotations = data / "coco_pose" / "annotations"
    of_split = {"train": "person_keypoints_train.json", "validation": "person_keypoints_val.json"}
    result = fit_nms(
        files["train"],
        annotations / of_split["train"],
        out / "nms",
        test_poses=files["validation"],
        test_annotations=annotations / of_split["validation"],
        only_with_poses=True,
        thoroughness=QUICK,
    )
    print(table(result))
    learned = {"ours": out / "nms" / "fit_nms.json", "nanodet_plus": shipped.NMS}
    compared = {
        name: schemes(nms_sets.read(file), COCO17)["learned"] for name, file in learned.items()
    }
    poses = {
        "package": files["validation"],
        "nanodet_plus": data / "redundant_poses" / "tinypose_on_nanodet_coco_val.npz",
    }
    tested = {
        name: compare(
            redundant_poses.read_data(file, annotations / of_split["validation"], COCO17),
            compared,
            COCO17,
        )
        for name, file in poses.items()
    }
    return {**result, "learned_in_boxes_of_and_tested_in_boxes_of": tested}


def by_package(source: PhotographSource, out: Path) -> dict[int | str, Detections]:
    """Return the boxes that the detector of the package finds."""
    _, found = human_boxes.evaluate(detection.detector(detection.SHIPPED), source)
    file = out / "validation_boxes.json"
    file.write_text(json.dumps(found))
    return detection_files.read(file)


def poses_in(
    source: PhotographSource, detected: dict[int | str, Detections]
) -> dict[str, np.ndarray]:
    """Return a pose in every box, a row a pose, as `redundant_poses.read` wants them."""
    model = replace(predict.load(), nms=None)
    rows: dict[str, list] = {name: [] for name in redundant_poses.ARCHIVE_KEYS}
    for index in track(range(len(source)), description="Looking"):
        photograph = source[index]
        of_image = detected.get(photograph.image_id)
        if of_image is None:
            continue
        sure = np.flatnonzero(of_image.valid & (of_image.score >= LEAST_SCORE))
        chosen = sure[np.argsort(-of_image.score[sure], kind="stable")][:MOST]
        boxes_px, score = of_image.boxes_px[chosen], of_image.score[chosen]
        visible = are_on_image(boxes_px, photograph.height, photograph.width)
        boxes_px, score = boxes_px[visible], score[visible]
        poses = model(images.pixels(photograph), boxes_px, score)
        found = np.asarray(poses.valid)
        rows["image"] += [photograph.image_id] * int(found.sum())
        rows["joints_px"] += list(np.asarray(poses.joints_px)[found])
        rows["joint_scores"] += list(np.asarray(poses.confidence)[found])
        rows["boxes_px"] += list(np.asarray(poses.boxes_px)[found])
        rows["detector_scores"] += list(np.asarray(poses.box_score)[found])
    return {name: np.array(values) for name, values in rows.items()}


def keep(name: str, result: dict[str, Any]) -> None:
    """Write a result."""
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
