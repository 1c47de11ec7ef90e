"""Poses of image files, written as COCO results and as pictures. Boxes in pixels."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from rmpe_jax import drawing, nms_sets
from rmpe_jax.data import detection_files, images
from rmpe_jax.predict import PoseModel, to_records
from rmpe_jax.records import Detections

BoxesOf = Callable[[Path, np.ndarray], Detections]


def predict_files(
    model: PoseModel, paths: Sequence[str], boxes: str | None, out: Path, *, nms: str = "none"
) -> list[Path]:
    """Write `poses.json` and one picture an image below `out`; return what was written.

    `boxes` is a file of COCO-format detections (an image is named by its file name or number),
    one box as "x0,y0,x1,y1", or None: the whole image is one person's box. `nms` is a name or a
    file, see `nms_sets.chosen`. A file that cannot be read, or whose boxes cannot be used, is
    reported and skipped; if that is so for all, it is an error.
    """
    if not paths:
        raise ValueError("no images were given; type rmpe predict PHOTO.jpg --checkpoint RUN")
    console = Console()
    boxes_of, chosen = _box_source(boxes), nms_sets.chosen(nms)
    out.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    written: list[Path] = []
    skipped = 0
    for path, target in zip(map(Path, paths), _targets(paths, out), strict=True):
        try:
            image = images.read(path)
            found = boxes_of(path, image)
            poses = nms_sets.suppressed(model(image, found.boxes_px, found.score), chosen)
        except ValueError as error:
            console.print(f"skipped {path}: {error}", style="red", markup=False, soft_wrap=True)
            skipped += 1
            continue
        records += to_records(poses, path.name)
        picture = drawing.boxes(image, poses.boxes_px)
        picture = drawing.poses(picture, poses.joints_px, poses.confidence, model.skeleton)
        drawing.write(target, picture)
        written.append(target)
        told = f"{path}: {len(poses.valid)} poses, picture {target}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    if not written:
        raise ValueError(f"none of the {len(paths)} files could be used, see above")
    results = out / "poses.json"
    results.write_text(json.dumps(records))
    told = f"{len(records)} poses of {len(written)} files in {results}, {skipped} files skipped"
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    return [*written, results]


def _targets(paths: Sequence[str], out: Path) -> list[Path]:
    """Return where each picture goes; files of the same name get a number."""
    targets: list[Path] = []
    for path in map(Path, paths):
        target, number = out / f"{path.stem}_poses.png", 2
        while target in targets:
            target, number = out / f"{path.stem}_{number}_poses.png", number + 1
        targets.append(target)
    return targets


def _box_source(boxes: str | None) -> BoxesOf:
    """Return the function that gives an image's boxes."""
    if boxes is None:
        return lambda path, image: _one([0.0, 0.0, float(image.shape[1]), float(image.shape[0])])
    if Path(boxes).suffix == ".json":
        proposals = detection_files.read(Path(boxes))

        def from_file(path: Path, image: np.ndarray) -> Detections:
            number = int(path.stem) if path.stem.isdecimal() else None
            return detection_files.of_image(proposals, number, path.name)

        return from_file
    try:
        x_min, y_min, x_max, y_max = (float(number) for number in boxes.split(","))
    except ValueError:
        raise ValueError(
            f"--boxes is {boxes!r}; allowed are a .json file of COCO-format detections, or "
            'one box in pixels as "x0,y0,x1,y1" (--boxes=-5,... if it starts with a minus)'
        ) from None
    return lambda path, image: _one([x_min, y_min, x_max, y_max])


def _one(box_px: list[float]) -> Detections:
    return Detections(np.asarray([box_px]), np.ones(1), np.ones(1, bool))
