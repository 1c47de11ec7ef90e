"""A trained network as a function from photographs to poses, and its poses as COCO results.

Pixels (`_px`) are the photograph's, 0 at its outer left (top) edge. Photographs lie on a canvas of
one of a few sizes and people are padded to one of a few counts (`rmpe_jax.canvas`), so that a new
image size compiles nothing new.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import jax
import numpy as np
from flax import linen as nn

from rmpe_jax import canvas, detection, nms_sets, pose_nms, shipped, skeletons, sources
from rmpe_jax.canvas import Proposed
from rmpe_jax.chain import poses_on_canvas, poses_on_canvases
from rmpe_jax.checkpoint import load_model
from rmpe_jax.config import Config, from_dict
from rmpe_jax.frames import MAX_PIXELS, Frame
from rmpe_jax.geometry import boxes
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import shapes
from rmpe_jax.pose_nms import NmsSet
from rmpe_jax.records import Poses, Variables
from rmpe_jax.skeletons import COCO17, Skeleton
from rmpe_jax.stream import MOST, Result, stream


@dataclass(frozen=True)
class PoseModel:
    """A trained network, ready to be called: `poses = model(image, boxes)`.

    `detect` finds the people of images that come without boxes, and `nms` leaves one pose of each
    person; `dataclasses.replace(model, detect=..., nms=...)` changes them.
    """

    variables: Variables
    module: nn.Module
    config: Config
    skeleton: Skeleton
    meta: dict[str, Any]
    detect: detection.Detect | None = None
    nms: NmsSet | None = None

    @overload
    def __call__(self, image: np.ndarray, boxes: Any = None, scores: Any = None) -> Poses: ...
    @overload
    def __call__(
        self, image: Sequence[Any], boxes: Any = None, scores: Any = None
    ) -> list[Poses]: ...
    def __call__(self, image: Any, boxes: Any = None, scores: Any = None) -> Any:
        """Return the poses of the people on an image, as NumPy arrays of n rows.

        `image` is RGB uint8 [height width 3] (grey [height width] is repeated), a NumPy or JAX
        array. `boxes` is [n 4] x_min, y_min, x_max, y_max in pixels; without them `detect` finds
        the people. `scores` of the boxes are [n] in [0, 1] (default 1). No boxes give no poses.
        Without `nms` there is one pose a box, in their order; with it some of them.

        A list of images, or one array [m height width 3], gives a list of m Poses; `boxes` and
        `scores` then have one entry an image. Images of one size of canvas and one count of
        people go through the network together, at most 8 of them.
        """
        if not (isinstance(image, list | tuple) or np.ndim(image) == 4):
            return self._poses([self._given(image, boxes, scores)])[0]
        count = len(image)
        rows = zip(image, _each(boxes, count, "boxes"), _each(scores, count, "scores"), strict=True)
        given = []
        for number, (one, wanted, sure) in enumerate(rows):
            try:
                given.append(self._given(one, wanted, sure, number))
            except ValueError as error:
                raise ValueError(f"image {number}: {error}") from error
        return self._poses(given)

    def stream(
        self,
        source: Any,
        detect: detection.Detect | None = None,
        nms: NmsSet | None = None,
        *,
        most: int = MOST,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Result]:
        """Yield one result a frame of a file, folder, pattern, video, camera or of images.

        `source` is what `rmpe_jax.sources.of` takes; `detect` gives the boxes of a frame and `nms`
        leaves one pose of each person (default: the model's own; where it has no `detect`, the
        whole picture is one person's). Memory does not grow with the length of the source. See
        `rmpe_jax.stream`.
        """
        frames = sources.of(source, max_pixels=max_pixels)
        chosen = detect or self.detect or detection.whole_image
        return stream(replace(self, nms=nms or self.nms), frames, chosen, most=most)

    def _given(self, image: Any, wanted: Any, scores: Any, number: int = 0) -> Proposed:
        """Return an image with its boxes, or raise ValueError saying what is wrong with them."""
        pixels = canvas.checked_image(image)
        if wanted is None:
            if scores is not None:
                raise ValueError("scores came without boxes; type boxes=... as well")
            if self.detect is None:
                raise ValueError(
                    "no boxes came, and this model has no detector to find people: type "
                    "model(image, boxes=[[x_min, y_min, x_max, y_max], ...]) in pixels, or give "
                    "it one by dataclasses.replace(model, detect=...)"
                )
            found = self.detect(Frame(f"{number:06d}", number, pixels, None))
            wanted, scores = (np.asarray(f)[found.valid] for f in (found.boxes_px, found.score))
        return canvas.proposed(pixels, wanted, scores)

    def _poses(self, given: Sequence[Proposed]) -> list[Poses]:
        """Return the poses of each image, of one call for those of the same shapes."""
        if self.nms is not None:
            pose_nms.check(self.nms.parameters)
        settings = {
            "module": self.module,
            "config": self.config,
            "flip_order": self.skeleton.flip_order,
            "nms": self.nms,
        }
        found = [empty(len(self.skeleton.joints))] * len(given)
        peopled = [number for number, one in enumerate(given) if len(one.boxes_px)]
        for part in canvas.batches([canvas.shapes(given[number]) for number in peopled]):
            numbers = [peopled[place] for place in part]
            inputs = [canvas.padded(given[number]) for number in numbers]
            if len(inputs) == 1:
                poses = [poses_on_canvas(self.variables, *inputs[0], **settings)]
            else:
                stacked = jax.tree.map(lambda *one: np.stack(one), *inputs)
                together = poses_on_canvases(self.variables, *stacked, **settings)
                together = jax.tree.map(np.asarray, together)
                poses = [Poses(*row) for row in zip(*together, strict=True)]
            for number, one in zip(numbers, poses, strict=True):
                kept = np.asarray(one.valid)
                found[number] = Poses(*(np.asarray(field)[kept] for field in one))
        return found


def _each(given: Any, count: int, name: str) -> Sequence[Any]:
    """Return what was given for each of `count` images, or None for each."""
    if given is None:
        return [None] * count
    if len(given) != count:
        raise ValueError(
            f"{name} has {len(given)} entries for {count} images; a list of images wants a list "
            f"with the {name} of each: {name}=[first, second, ...]"
        )
    return given


def load(path: str | Path | None = None) -> PoseModel:
    """Return the network of a run's work directory, with the settings it was trained with.

    Of a run in stages it is that of the last stage that has a checkpoint. `path` may also be a file
    of `rmpe pack`; without it, it is the network that comes with the package, with the pose NMS
    learned for it. The package's detector finds the people of images that come without boxes.
    """
    if path is None:
        return replace(load(shipped.POSE), nms=nms_sets.read(shipped.NMS))

    def parts(meta: dict[str, Any]) -> tuple[Config, Skeleton, nn.Module]:
        config = from_dict(Config, meta["config"])
        skeleton = skeleton_of(meta)
        logits = config.train.loss == "cross_entropy"
        judge = config.train.centred == "unfrozen"
        return (
            config,
            skeleton,
            build(config.model, len(skeleton.joints), logits=logits, judge=judge),
        )

    def template_of(meta: dict[str, Any]) -> Variables:
        config, _, module = parts(meta)
        return shapes(module, config.model)

    variables, meta, damages = load_model(last_stage(Path(path)), template_of)
    for damage in damages:
        warnings.warn(f"{damage}; an earlier step is used", stacklevel=2)
    config, skeleton, module = parts(meta)
    return PoseModel(variables, module, config, skeleton, meta, detection.by_shipped())


def skeleton_of(meta: dict[str, Any]) -> Skeleton:
    """Return the joints that the network of a checkpoint finds; before they were noted, COCO's."""
    return skeletons.from_dict(meta["skeleton"]) if "skeleton" in meta else COCO17


def last_stage(folder: Path) -> Path:
    """Return the folder of a run's last stage with a checkpoint, or of the run if it has none."""
    stages = {
        int(match[1]): found.parent
        for found in folder.glob("*/checkpoints")
        if (match := re.match(r"(\d+)_", found.parent.name)) and any(found.iterdir())
    }
    return stages[max(stages)] if stages else folder


def empty(joints: int) -> Poses:
    """Return no poses."""
    return Poses(
        joints_px=np.zeros((0, joints, 2), np.float32),
        confidence=np.zeros((0, joints), np.float32),
        peak=np.zeros((0, joints), np.float32),
        boxes_px=np.zeros((0, 4), np.float32),
        box_score=np.zeros(0, np.float32),
        score=np.zeros(0, np.float32),
        valid=np.zeros(0, bool),
    )


def to_records(poses: Poses, image_id: int | str) -> list[dict[str, Any]]:
    """Return COCO results, one dict a pose: keypoints [x, y, confidence ...], score, box."""
    records = []
    for row in np.flatnonzero(poses.valid):
        joints = np.concatenate([poses.joints_px[row], poses.confidence[row][:, None]], axis=1)
        records.append(
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": [round(float(value), 3) for value in joints.reshape(-1)],
                "score": float(poses.score[row]),
                "bbox": [round(float(value), 3) for value in boxes.to_xywh(poses.boxes_px[row])],
                "box_score": float(poses.box_score[row]),
            }
        )
    return records
