"""Crop, STN, pose network, SDTN, decoding and pose NMS: one compiled function of a photograph.

Pixels (`_px`) are the photograph's, 0 at its outer left (top) edge. All is pure; programs depend on
the shapes, of which `rmpe_jax.canvas` leaves few.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from rmpe_jax.config import Config, EvaluationConfig
from rmpe_jax.data.augment import crop_theta
from rmpe_jax.geometry import affine, heatmaps, sampler
from rmpe_jax.models.rmpe import RMPE, straighten
from rmpe_jax.pose_nms import NmsSet, pose_nms
from rmpe_jax.records import Detections, Poses, Variables

STATIC = ("module", "config", "flip_order")
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


@partial(jax.jit, static_argnames=STATIC)
def poses_on_canvas(
    variables: Variables,
    canvas: UInt8[Array, "height width 3"] | Float[Array, "height width 3"],
    detections: Detections,
    theta_shift: Float[Array, "p 2 3"] | affine.Scalar = 0.0,
    *,
    module: nn.Module,
    config: Config,
    flip_order: tuple[int, ...],
    nms: NmsSet | None = None,
) -> Poses:
    """Return the pose in each proposal; pure, and differentiable in all but `detections`.

    With `decode="expectation"` gradients flow from joints_px back to the image, the variables and
    the transformer: `theta_shift` is added to the theta that it finds. `canvas` has values in
    [0, 255]. Rows that are not valid come back not valid, with meaningless numbers, and so do
    those that pose NMS drops. Other parameters of `nms` compile nothing new, other options do;
    without it (None) all poses are kept. Gradients in reverse mode need None.
    """
    height, width, _ = canvas.shape
    crops, theta_crop = cropped(canvas, detections.boxes_px, config=config)
    straight, theta = crops, None
    if isinstance(module, RMPE):
        found: Any = module.apply(variables, crops, train=False, method="theta")
        theta = found + theta_shift
        straight = straighten(crops, theta, axis_aligned=module.axis_aligned)
    maps = heatmaps_straight(
        variables, straight, module=module, config=config, flip_order=flip_order
    )
    joints, peak = decoded(maps, config.evaluation)
    # Points go back by theta itself (RMPE, eq. 1); only images and heat-maps need its inverse.
    if theta is not None:
        joints = jax.vmap(affine.apply)(theta, joints)
    joints_image = jax.vmap(affine.apply)(theta_crop, joints)
    confidence = jnp.clip(peak, 0.0, 1.0)
    poses = Poses(
        joints_px=affine.to_pixels(joints_image, height, width),
        confidence=confidence,
        peak=peak,
        boxes_px=detections.boxes_px,
        box_score=detections.score,
        score=person_score(detections.score, confidence),
        valid=detections.valid,
    )
    return poses if nms is None else pose_nms(poses, *nms)


@partial(jax.jit, static_argnames=STATIC)
def poses_on_canvases(
    variables: Variables,
    canvases: UInt8[Array, "n height width 3"] | Float[Array, "n height width 3"],
    detections: Detections,
    *,
    module: nn.Module,
    config: Config,
    flip_order: tuple[int, ...],
    nms: NmsSet | None = None,
) -> Poses:
    """Return `poses_on_canvas` of n photographs; fields have the leading dimension n.

    A `jax.vmap` over photographs. The other way, all people in one row with the number of their
    canvas, took the same time and memory (8 photographs of 3 people on 2 cores: 330 against 337
    ms, 59 MB of temporaries each), and pose NMS would have had to tell photographs apart.
    """
    settings = {"module": module, "config": config, "flip_order": flip_order, "nms": nms}
    return jax.vmap(lambda canvas, found: poses_on_canvas(variables, canvas, found, **settings))(
        canvases, detections
    )


def cropped(
    canvas: UInt8[Array, "height width 3"] | Float[Array, "height width 3"],
    boxes_px: Float[Array, "p 4"],
    *,
    config: Config,
) -> tuple[Float[Array, "p h w 3"], Float[Array, "p 2 3"]]:
    """Return the crops about boxes, in [0, 1], and theta_crop (crop point -> canvas point)."""
    height, width, _ = canvas.shape
    shape = {"height": config.model.input_height, "width": config.model.input_width}
    theta_crop = jax.vmap(
        lambda box: crop_theta(box, height, width, **shape, extend=config.augment.extend)
    )(boxes_px)
    pixels = jnp.asarray(canvas, jnp.float32) / 255
    crops = jax.vmap(lambda theta: sampler.pull(pixels, theta, **shape, axis_aligned=True))(
        theta_crop
    )
    return crops, theta_crop


def heatmaps_straight(
    variables: Variables,
    straight: Float[Array, "p height width 3"],
    *,
    module: nn.Module,
    config: Config,
    flip_order: tuple[int, ...],
) -> Float[Array, "p h w k"]:
    """Return heat-maps of straight images, averaged with those of their mirror images if asked."""

    def seen(images: Float[Array, "p height width 3"]) -> Float[Array, "p h w k"]:
        method = "heatmaps" if isinstance(module, RMPE) else None
        maps: Any = module.apply(variables, images, train=False, method=method)
        if config.train.loss == "squared":
            return maps[-1]
        return jax.vmap(partial(heatmaps.from_logits, sigma=config.train.sigma))(maps[-1])

    maps = seen(straight)
    if config.evaluation.flip:
        mirrored = seen(straight[:, :, ::-1])
        maps = jax.vmap(partial(heatmaps.merge_flip, flip_order=flip_order))(maps, mirrored)
    return maps


def decoded(
    maps: Float[Array, "p h w k"], settings: EvaluationConfig
) -> tuple[Float[Array, "p k 2"], Float[Array, "p k"]]:
    """Return (joints_straight, peak) of heat-maps."""
    decode: Callable[[Array], tuple[Array, Array]] = {
        "argmax": heatmaps.decode_argmax,
        "taylor": partial(heatmaps.decode_taylor, blur=settings.blur),
        "expectation": heatmaps.decode_expectation,
    }[settings.decode]
    return jax.vmap(decode)(maps)
