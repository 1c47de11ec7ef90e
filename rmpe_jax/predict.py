"""From a photograph and its human proposals to poses, in one compiled function.

Pixels (`_px`) are the photograph's, 0 at its outer left (top) edge. The photograph is padded at
the bottom and right into a canvas of one of a few sizes, and the people are padded to one of a
few counts, so that a new image size compiles nothing new.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from rmpe_jax import detection, skeletons, sources
from rmpe_jax.checkpoint import load_model
from rmpe_jax.config import Config, EvaluationConfig, from_dict
from rmpe_jax.data.augment import crop_theta
from rmpe_jax.frames import MAX_PIXELS
from rmpe_jax.geometry import affine, boxes, heatmaps, sampler
from rmpe_jax.models.build import build
from rmpe_jax.models.rmpe import RMPE, straighten
from rmpe_jax.models.variables import shapes
from rmpe_jax.pose_nms import NmsSet
from rmpe_jax.records import Detections, Poses, Variables
from rmpe_jax.skeletons import COCO17, Skeleton
from rmpe_jax.stream import MOST, Result, stream

CANVAS_SIDES = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
PERSON_COUNTS = (1, 2, 4, 8, 16, 32)  # beyond: multiples of the last
CONFIDENT = 0.2  # joints at most this sure do not speak for a person's score (HRNet, mmpose)


def person_score(
    box_score: Float[Array, " p"], confidence: Float[Array, "p k"]
) -> Float[Array, " p"]:
    """Return the score in [0, 1] that ranks persons: box score x mean confidence.

    The mean is over the joints above 0.2 (Xiao et al., Simple Baselines, 2018); without such
    a joint the score is 0.
    """
    sure = confidence > CONFIDENT
    total = jnp.sum(jnp.where(sure, confidence, 0.0), axis=1)
    return box_score * total / jnp.maximum(jnp.sum(sure, axis=1), 1)


@partial(jax.jit, static_argnames=("module", "config", "flip_order"))
def poses_on_canvas(
    variables: Variables,
    canvas: UInt8[Array, "height width 3"] | Float[Array, "height width 3"],
    detections: Detections,
    theta_shift: Float[Array, "p 2 3"] | affine.Scalar = 0.0,
    *,
    module: nn.Module,
    config: Config,
    flip_order: tuple[int, ...],
) -> Poses:
    """Return the pose in each proposal; pure, and differentiable in all but `detections`.

    With `decode="expectation"` gradients flow from joints_px back to the image, the variables and
    the transformer: `theta_shift` is added to the theta that it finds. `canvas` has values in
    [0, 255]. Rows that are not valid come back not valid, with meaningless numbers.
    """
    height, width, _ = canvas.shape
    shape = {"height": config.model.input_height, "width": config.model.input_width}
    theta_crop = jax.vmap(
        lambda box: crop_theta(box, height, width, **shape, extend=config.augment.extend)
    )(detections.boxes_px)
    pixels = jnp.asarray(canvas, jnp.float32) / 255
    crops = jax.vmap(lambda theta: sampler.pull(pixels, theta, **shape, axis_aligned=True))(
        theta_crop
    )

    straight, theta = crops, None
    if isinstance(module, RMPE):
        found: Any = module.apply(variables, crops, train=False, method="theta")
        theta = found + theta_shift
        straight = straighten(crops, theta, axis_aligned=module.axis_aligned)
    joints, peak = _joints(variables, straight, module, config, flip_order)
    # Points go back by theta itself (RMPE, eq. 1); only images and heat-maps need its inverse.
    if theta is not None:
        joints = jax.vmap(affine.apply)(theta, joints)
    joints_image = jax.vmap(affine.apply)(theta_crop, joints)
    confidence = jnp.clip(peak, 0.0, 1.0)
    return Poses(
        joints_px=affine.to_pixels(joints_image, height, width),
        confidence=confidence,
        peak=peak,
        boxes_px=detections.boxes_px,
        box_score=detections.score,
        score=person_score(detections.score, confidence),
        valid=detections.valid,
    )


def _joints(
    variables: Variables,
    straight: Float[Array, "p h w 3"],
    module: nn.Module,
    config: Config,
    flip_order: tuple[int, ...],
) -> tuple[Float[Array, "p k 2"], Float[Array, "p k"]]:
    """Return (joints_straight, peak) of straight images, and of their mirror images if asked."""

    def heatmaps_of(images: Float[Array, "p h w 3"]) -> Float[Array, "p _ _ k"]:
        method = "heatmaps" if isinstance(module, RMPE) else None
        maps: Any = module.apply(variables, images, train=False, method=method)
        if config.train.loss == "squared":
            return maps[-1]
        return jax.vmap(partial(heatmaps.from_logits, sigma=config.train.sigma))(maps[-1])

    maps = heatmaps_of(straight)
    if config.evaluation.flip:
        mirrored = heatmaps_of(straight[:, :, ::-1])
        maps = jax.vmap(partial(heatmaps.merge_flip, flip_order=flip_order))(maps, mirrored)
    return jax.vmap(_decoder(config.evaluation))(maps)


@dataclass(frozen=True)
class PoseModel:
    """A trained network, ready to be called: `poses = model(image, boxes)`."""

    variables: Variables
    module: nn.Module
    config: Config
    skeleton: Skeleton
    meta: dict[str, Any]

    def __call__(self, image: np.ndarray, boxes_px: Any, scores: Any | None = None) -> Poses:
        """Return one pose a box, as NumPy arrays of n rows, in the order of the boxes.

        `image` is RGB uint8 [height width 3] (grey [height width] is repeated), `boxes_px` is
        [n 4] x_min, y_min, x_max, y_max in pixels, `scores` [n] in [0, 1] (default 1). No
        boxes give no poses.
        """
        pixels = checked_image(image)
        height, width, _ = pixels.shape
        wanted = boxes.check(boxes_px, height, width)
        count = len(wanted)
        box_scores = checked_scores(scores, count)
        if count == 0:
            return empty(len(self.skeleton.joints))
        poses = poses_on_canvas(
            self.variables,
            padded_canvas(pixels),
            padded_detections(wanted, box_scores),
            module=self.module,
            config=self.config,
            flip_order=self.skeleton.flip_order,
        )
        return jax.tree.map(lambda array: np.asarray(array)[:count], poses)

    def stream(
        self,
        source: Any,
        detect: detection.Detect = detection.whole_image,
        nms: NmsSet | None = None,
        *,
        most: int = MOST,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Result]:
        """Yield one result a frame of a file, folder, pattern, video, camera or of images.

        `source` is what `rmpe_jax.sources.of` takes; `detect` gives the boxes of a frame (default:
        the whole picture is one person's). Memory does not grow with the length of the source. See
        `rmpe_jax.stream`.
        """
        return stream(self, sources.of(source, max_pixels=max_pixels), detect, nms, most=most)


def load(path: str | Path) -> PoseModel:
    """Return the network of a run's work directory, with the settings it was trained with.

    Of a run in stages it is that of the last stage that has a checkpoint.
    """

    def parts(meta: dict[str, Any]) -> tuple[Config, Skeleton, nn.Module]:
        config = from_dict(Config, meta["config"])
        skeleton = skeleton_of(meta)
        logits = config.train.loss == "cross_entropy"
        return config, skeleton, build(config.model, len(skeleton.joints), logits=logits)

    def template_of(meta: dict[str, Any]) -> Variables:
        config, _, module = parts(meta)
        return shapes(module, config.model)

    variables, meta, damages = load_model(last_stage(Path(path)), template_of)
    for damage in damages:
        warnings.warn(f"{damage}; an earlier step is used", stacklevel=2)
    config, skeleton, module = parts(meta)
    return PoseModel(variables, module, config, skeleton, meta)


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


def checked_image(image: np.ndarray) -> np.ndarray:
    """Return an RGB uint8 image, or raise ValueError saying what came and what is allowed."""
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(
            f"the image has shape {np.shape(image)} and type {array.dtype}; allowed is RGB "
            "uint8 [height width 3]. A file becomes one by rmpe_jax.read_image(path)."
        )
    return array


def checked_scores(scores: Any | None, count: int) -> np.ndarray:
    """Return `count` box scores, all 1 if None came, or raise ValueError saying what is wrong."""
    if scores is None:
        return np.ones(count)
    array = np.asarray(scores, np.float64)
    if array.shape != (count,):
        raise ValueError(f"scores have shape {array.shape}; one for each of {count} boxes is due")
    if not ((array >= 0) & (array <= 1)).all():
        worst = array[~((array >= 0) & (array <= 1))][0]
        raise ValueError(
            f"a score is {worst}; scores are in [0, 1] (divide percents by 100, pass logits "
            "through a sigmoid)"
        )
    return array


def padded_canvas(image: np.ndarray) -> np.ndarray:
    """Return the image on a black canvas of one of a few sizes, its top-left corner kept."""
    height, width, _ = image.shape
    canvas = np.zeros((_canvas_side(height), _canvas_side(width), 3), np.uint8)
    canvas[:height, :width] = image
    return canvas


def padded_detections(boxes_px: np.ndarray, scores: np.ndarray) -> Detections:
    """Return n boxes as Detections padded to one of a few counts.

    The padding repeats the first box, so that no singular crop is ever computed.
    """
    count = len(boxes_px)
    room = _person_room(count)
    filled = np.concatenate([boxes_px, np.repeat(boxes_px[:1], room - count, axis=0)])
    return Detections(
        boxes_px=filled.astype(np.float32),
        score=np.pad(scores.astype(np.float32), (0, room - count)),
        valid=np.arange(room) < count,
    )


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


def _decoder(settings: EvaluationConfig) -> Callable[[Array], tuple[Array, Array]]:
    return {
        "argmax": heatmaps.decode_argmax,
        "taylor": partial(heatmaps.decode_taylor, blur=settings.blur),
        "expectation": heatmaps.decode_expectation,
    }[settings.decode]


def _canvas_side(length: int) -> int:
    largest = CANVAS_SIDES[-1]
    fitting = (side for side in CANVAS_SIDES if side >= length)
    return next(fitting, -(-length // largest) * largest)


def _person_room(count: int) -> int:
    largest = PERSON_COUNTS[-1]
    fitting = (room for room in PERSON_COUNTS if room >= count)
    return next(fitting, -(-count // largest) * largest)
