"""Where the boxes of people come from: a file, a detector, or one box for all. Pixels."""

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rmpe_jax import hog, human_detector, onnx_detector, packed, shipped
from rmpe_jax.config import OnnxLayout
from rmpe_jax.data import detection_files
from rmpe_jax.frames import IMAGE_SUFFIXES, Frame
from rmpe_jax.records import Detections

SURE = 0.3  # of a detector's boxes: for pictures; NMS and AP want more of them
HOG, SHIPPED, WHOLE = "hog", "shipped", "whole"
DETECTORS = (
    f"the work directory of a detector's run, its {packed.SUFFIX} or an .onnx file, the words "
    f"{SHIPPED} and {HOG}"
)

NETWORKS = (".onnx", packed.SUFFIX)

Detect = Callable[[Frame], Detections]
"""From a frame that has an image to the people on it."""

Detector = Callable[[UInt8[np.ndarray, "height width 3"]], Detections]
"""From an RGB image to the people on it, by falling score."""


def whole_image(frame: Frame) -> Detections:
    """Return the whole picture as one person's box."""
    if frame.image is None:
        raise ValueError(f"{frame.name} has no image to take the size of")
    height, width = frame.image.shape[:2]
    return _one([0.0, 0.0, float(width), float(height)])


def chosen(
    boxes: str | None, *, threshold: float | None = None, onnx_layout: OnnxLayout = "auto"
) -> Detect:
    """Return the function that is meant; boxes with a score below `threshold` are left out.

    A .json file of COCO-format detections, which name an image by the name of its file (or by its
    path, if several have this name) or by its number: that in the file's name, or in a video the
    frame's from 0; what `detector` takes; one box as "x0,y0,x1,y1"; or "whole" or None, the whole
    picture.
    Without a `threshold` a detector's boxes below SURE are left out, and none of a file. Raises
    ValueError for anything else.
    """
    if boxes in (None, WHOLE):
        return whole_image
    if is_detector(boxes):
        detect = _on_frames(detector(boxes, onnx_layout=onnx_layout))
        return above(SURE if threshold is None else threshold, detect)
    if Path(boxes).suffix == ".json":
        return above(threshold or 0.0, from_file(Path(boxes)))
    try:
        x_min, y_min, x_max, y_max = (float(number) for number in boxes.split(","))
    except ValueError:
        raise ValueError(
            f"--boxes is {boxes!r}; allowed are a .json file of COCO-format detections, "
            f"{DETECTORS}, the word {WHOLE} (the whole picture), or one box in pixels as "
            '"x0,y0,x1,y1" (--boxes=-5,... if it starts with a minus)'
        ) from None
    return lambda frame: _one([x_min, y_min, x_max, y_max])


def by_shipped() -> Detect:
    """Return what finds people with the detector of the package, which is read when it is used."""
    load = functools.cache(lambda: chosen(SHIPPED))
    return lambda frame: load()(frame)


def is_detector(name: str) -> bool:
    """Return whether a name is one of what `detector` takes; it may still be a bad one."""
    if not name:  # which is a path to here
        return False
    path = Path(name)
    return name in (HOG, SHIPPED) or path.is_dir() or path.suffix.lower() in NETWORKS


def detector(name: str, *, onnx_layout: OnnxLayout = "auto") -> Detector:
    """Return a detector: of a run's work directory or packed file, of an .onnx file, or by a word.

    The words are "shipped", the one that comes with the package, and "hog", OpenCV's.
    `onnx_layout` says what the outputs of an .onnx file are, see `onnx_layouts`. Raises ValueError
    for anything else.
    """
    if not is_detector(name):
        raise ValueError(f"{name!r} is no detector; allowed are {DETECTORS}")
    if name == HOG:
        return hog.find
    if name == SHIPPED:
        return human_detector.load(shipped.DETECTOR)
    if Path(name).suffix.lower() != ".onnx":
        return human_detector.load(name)
    return onnx_detector.load(name, onnx_layout)


def from_file(path: Path) -> Detect:
    """Return a function that looks boxes up in COCO-format detections; none where none are."""
    proposals = detection_files.read(path)

    def found(frame: Frame) -> Detections:
        if frame.name in proposals:
            return proposals[frame.name]
        name = Path(re.sub(r"#\d+$", "", frame.name))  # a file that was given twice
        is_file = name.suffix.lower() in IMAGE_SUFFIXES
        stem = name.stem if is_file else name.name.rpartition("_")[2]
        number = int(stem) if stem.isdecimal() else None
        return detection_files.of_image(proposals, number, name.name)

    return found


def above(threshold: float, detect: Detect) -> Detect:
    """Return the function without boxes of a lower score."""

    def found(frame: Frame) -> Detections:
        all_ = detect(frame)
        sure = np.asarray(all_.valid) & (np.asarray(all_.score) >= threshold)
        return Detections(*(np.asarray(field)[sure] for field in all_))

    return found


def _on_frames(detector: Detector) -> Detect:
    """Return the function that looks for people on the image of a frame."""

    def found(frame: Frame) -> Detections:
        assert frame.image is not None
        return detector(frame.image)

    return found


def _one(box_px: list[float]) -> Detections:
    return Detections(np.asarray([box_px]), np.ones(1), np.ones(1, bool))
