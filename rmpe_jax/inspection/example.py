"""One person of one photograph, cut out and labelled as training would have it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmpe_jax.canvas import checked_image
from rmpe_jax.data.augment import crop_theta, joints_in_crop
from rmpe_jax.data.extents import box_of
from rmpe_jax.geometry import affine, boxes, sampler
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array, Batch


class Example(NamedTuple):
    """One person; `weight` is 0 where a joint is not labelled or lies outside the crop.

    `image` has values in [0, 1]. `theta_crop` pulls the crop out of it (crop point -> image
    point); `theta_star` (straight point -> crop point) is what a transformer should say about the
    crop. Points are (x, y) in [-1, 1].
    """

    image: Float[Array, "image_height image_width 3"]
    theta_crop: Float[Array, "2 3"]
    joints_crop: Float[Array, "k 2"]
    weight: Float[Array, " k"]
    theta_star: Float[Array, "2 3"]


def example(
    model: PoseModel,
    image: np.ndarray,
    box_px: Any,
    joints_px: Any | None = None,
    annotated_box_px: Any | None = None,
) -> Example:
    """Return the person in a box (x_min, y_min, x_max, y_max), in pixels of the photograph.

    `image` is RGB uint8 [height width 3]; `joints_px` [k 3] are (x, y, visibility), 0 is not
    labelled; without them no joint is. theta* leads to the crop of `annotated_box_px`; without one
    to that of the labelled joints' extent, grown by 20 %, and where that has no area to `box_px`.
    """
    pixels = checked_image(image)
    height, width, _ = pixels.shape
    (box,) = boxes.check([box_px], height, width)
    joints = _checked_joints(joints_px, len(model.skeleton.joints))
    reference = box_of(joints) if annotated_box_px is None else annotated_box_px
    if annotated_box_px is None and (reference is None or not (boxes.size(reference) > 0).all()):
        reference = box
    (reference,) = boxes.check([reference], height, width)
    settings = model.config.model
    theta_crop, theta_reference = (
        crop_theta(
            wanted,
            height,
            width,
            height=settings.input_height,
            width=settings.input_width,
            extend=model.config.augment.extend,
        )
        for wanted in (box, reference)
    )
    joints_crop, weight = joints_in_crop(
        joints, theta_crop, height, width, model.skeleton, flip=False
    )
    theta_star = affine.compose(affine.invert(theta_crop), theta_reference)
    parts = (pixels / 255, theta_crop, joints_crop, weight, theta_star)
    return Example(*(jnp.asarray(part, jnp.float32) for part in parts))


def of_batch(batch: Batch, row: int) -> Example:
    """Return one person of a training batch; the crop itself is taken for the photograph."""
    image = np.asarray(batch.crop[row], np.float32) / 255
    parts = (image, affine.identity(), batch.joints_crop[row], batch.weight[row])
    return Example(*(jnp.asarray(p, jnp.float32) for p in (*parts, batch.theta_star[row])))


def crop_of(
    image: Float[Array, "image_height image_width 3"],
    theta_crop: Float[Array, "2 3"],
    height: int,
    width: int,
) -> Float[Array, "{height} {width} 3"]:
    """Return the crop that a network sees, as prediction cuts it."""
    return sampler.pull(image, theta_crop, height, width, axis_aligned=True)


def _checked_joints(joints_px: Any | None, count: int) -> Float[np.ndarray, "k 3"]:
    """Return the joints, or raise ValueError saying what came and what is allowed."""
    if joints_px is None:
        return np.zeros((count, 3))
    joints = np.asarray(joints_px, np.float64)
    if joints.shape != (count, 3):
        raise ValueError(
            f"joints_px has shape {list(joints.shape)}; this network's joints are [{count} 3]: "
            "rows of (x, y, visibility) in pixels, visibility 0 where a joint is not labelled"
        )
    labelled = joints[:, 2] > 0
    if not np.isfinite(joints[labelled]).all():
        raise ValueError(
            f"joint {int(np.flatnonzero(~np.isfinite(joints).all(axis=1) & labelled)[0])} of "
            "joints_px is labelled and not finite; set its visibility to 0"
        )
    return np.where(labelled[:, None], joints, 0.0)
