"""Poses of image files, written as COCO results and as pictures. Boxes in pixels."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from rmpe_jax import drawing
from rmpe_jax.data import images
from rmpe_jax.data.coco import read_detections
from rmpe_jax.predict import PoseModel, to_records
from rmpe_jax.records import Detections


def predict_files(
    model: PoseModel, paths: Sequence[str], boxes: str | None, out: Path
) -> list[Path]:
    """Write `poses.json` and one picture an image below `out`; return what was written.

    `boxes` is a file of COCO-format detections (an image is named by its file name or number),
    one box as "x0,y0,x1,y1", or None: the whole image is one person's box. A file that cannot
    be read is reported and skipped; if none can be read this is an error.
    """
    console = Console()
    given = _Boxes(boxes)
    out.mkdir(parents=True, exist_ok=True)
    records, written, unreadable = [], [], []
    for path in map(Path, paths):
        try:
            image = images.read(path)
        except (images.ImageError, OSError) as error:
            console.print(f"[red]skipped {path}: {error}")
            unreadable.append(path)
            continue
        found = given.of(path, image)
        poses = model(image, found.boxes_px, found.score)
        records += to_records(poses, path.name)
        picture = drawing.boxes(image, poses.boxes_px)
        picture = drawing.poses(picture, poses.joints_px, poses.confidence, model.skeleton)
        target = out / f"{path.stem}_poses.png"
        cv2.imwrite(str(target), picture[:, :, ::-1])
        written.append(target)
        console.print(f"{path}: {len(poses.valid)} poses, picture {target}")
    if not written:
        raise ValueError(f"none of the {len(paths)} files could be read: {unreadable}")
    results = out / "poses.json"
    results.write_text(json.dumps(records))
    skipped = f", {len(unreadable)} files skipped" if unreadable else ""
    console.print(f"{len(records)} poses in {results}{skipped}")
    return [*written, results]


class _Boxes:
    """Where the boxes of a file come from, decided once."""

    def __init__(self, boxes: str | None) -> None:
        self.one: list[float] | None = None
        self.by_image: dict[int | str, Detections] | None = None
        self.nobody = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool))
        if boxes is None:
            return
        if Path(boxes).suffix == ".json":
            self.by_image = read_detections(Path(boxes))
            return
        try:
            x_min, y_min, x_max, y_max = (float(number) for number in boxes.split(","))
        except ValueError:
            raise ValueError(
                f"--boxes is {boxes!r}; allowed are a .json file of COCO-format detections, or "
                'one box in pixels as "x0,y0,x1,y1"'
            ) from None
        self.one = [x_min, y_min, x_max, y_max]

    def of(self, path: Path, image: np.ndarray) -> Detections:
        """Return the proposals for one image."""
        height, width, _ = image.shape
        if self.by_image is not None:
            number = int(path.stem) if path.stem.isdigit() else path.name
            return self.by_image.get(path.name, self.by_image.get(number, self.nobody))
        box = self.one or [0.0, 0.0, float(width), float(height)]
        return Detections(np.asarray([box]), np.ones(1), np.ones(1, bool))
