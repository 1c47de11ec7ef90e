"""Where to cut one person out of a photograph, as at test time or with training's variation.

All variation of place is one affine map, so pixels are interpolated once (by `data.crop`).
`theta_crop` pulls (crop point -> image point), hence joints go into the crop by its inverse. Points
are (x, y) in [-1, 1] of the crop or the image, `_px` pixels of the photograph; arrays are NumPy's
in float64.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from rmpe_jax.config import AugmentConfig
from rmpe_jax.data import proposals
from rmpe_jax.data.jitter import jittered
from rmpe_jax.data.proposals import Propose
from rmpe_jax.geometry import affine, boxes
from rmpe_jax.geometry.affine import Scalar
from rmpe_jax.records import Array
from rmpe_jax.skeletons import Skeleton

# Wang et al. (2019), HRNet, lib/dataset/JointsDataset.py: half a body needs more than 8 labelled
# joints and at least 3 on the chosen side of the waist; its box grows by a half.
HALF_BODY_LABELLED, HALF_BODY_CHOSEN, HALF_BODY_EXTEND = 8, 3, 0.5


def crop_theta(
    box_px: Float[Array, " 4"],
    image_height: Scalar,
    image_width: Scalar,
    *,
    height: int,
    width: int,
    extend: Scalar,
) -> Float[Array, "2 3"]:
    """Return the map of the plain crop: the box grown by `extend`, then to the crop's shape.

    Evaluation, prediction (on device) and validation batches all cut by this function, so that
    a network sees the same crop everywhere.
    """
    fitted = boxes.fit_aspect(boxes.extend(box_px, extend), width / height)
    return affine.from_box(fitted, image_height, image_width)


class Cut(NamedTuple):
    """Where to cut: the crop, the crop that it should have been, and whether both are mirrored.

    `theta_reference` is that of the annotated box, without proposal, scale and shift; of a patch
    it is that of the patch, of half a body that of the half. Both are crop point -> image point.
    """

    theta_crop: Float[np.ndarray, "2 3"]
    theta_reference: Float[np.ndarray, "2 3"]
    flip: bool

    @property
    def theta_star(self) -> Float[np.ndarray, "2 3"]:
        """Return what a spatial transformer should say about the crop (straight -> crop point)."""
        return affine.compose(affine.invert(self.theta_crop), self.theta_reference)


def draw_cut(
    generator: np.random.Generator,
    box_px: Float[np.ndarray, " 4"],
    joints_px: Float[np.ndarray, "k 3"],
    image_height: int,
    image_width: int,
    skeleton: Skeleton,
    config: AugmentConfig,
    *,
    height: int,
    width: int,
    propose: Propose | None = None,
) -> Cut:
    """Return a random crop of one person.

    `propose` gives the box from which it is cut; without it the published Gaussian does, by
    `config.jitter`. The numbers are drawn in a fixed order and all of them every time, so that
    switching one kind of variation off leaves the others of place as they were; only a patch is
    drawn if it is wanted, and how many numbers a proposal takes depends on its kind, so these two
    come last. A patch is a part of the person that is cropped as it is, not grown by
    `config.extend`.
    """
    half, side, turns, flips = generator.random(4)
    scale, turn, *shift = generator.standard_normal(4)
    extend = config.extend
    if half < config.half_body_probability:
        half_box = half_body_box(joints_px, skeleton, upper_first=bool(side < 0.5))
        if half_box is not None:
            box_px, extend = half_box, HALF_BODY_EXTEND
    image = (image_height, image_width)
    patch_px = proposals.patch(generator, box_px, *image) if config.patch else None
    if propose is None:
        proposal_px = jittered(generator, box_px, *image, config.jitter)
    else:
        proposal_px = propose(generator, box_px, *image)
    if patch_px is not None:
        box_px, proposal_px, extend = patch_px, patch_px, 0.0
    angle = np.deg2rad(config.turn_degrees) * np.clip(turn, -2, 2)
    pose = {
        "turn": angle if turns < config.turn_probability else 0.0,
        "flip": bool(flips < config.flip_probability),
    }

    both_px = boxes.extend(np.stack([box_px, proposal_px]), extend)
    reference_px, crop_px = boxes.fit_aspect(both_px, width / height)
    sides = boxes.size(crop_px)
    crop_px = boxes.extend(crop_px, 2.0 ** (config.scale * np.clip(scale, -2, 2)) - 1)
    crop_px = crop_px + np.tile(config.shift * np.array(shift) * sides, 2)
    theta_crop, theta_reference = (
        affine.from_box(box_px, image_height, image_width, **pose)
        for box_px in (crop_px, reference_px)
    )
    return Cut(theta_crop, theta_reference, pose["flip"])


def half_body_box(
    joints_px: Float[np.ndarray, "k 3"], skeleton: Skeleton, *, upper_first: bool
) -> Float[np.ndarray, " 4"] | None:
    """Return the box of the joints on one side of the waist, or None if too few are labelled."""
    labelled = joints_px[:, 2] > 0
    if labelled.sum() <= HALF_BODY_LABELLED:
        return None
    above = np.isin(np.arange(len(skeleton.joints)), skeleton.upper_body)
    halves = (labelled & above, labelled & ~above)
    for half in halves if upper_first else halves[::-1]:
        box = boxes.of_joints(joints_px[:, :2], half)
        if half.sum() >= HALF_BODY_CHOSEN and (boxes.size(box) > 0).any():
            return box
    return None


def joints_in_crop(
    joints_px: Float[np.ndarray, "k 3"],
    theta_crop: Float[np.ndarray, "2 3"],
    image_height: int,
    image_width: int,
    skeleton: Skeleton,
    *,
    flip: bool,
) -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """Return the joints as points of the crop, and weight 1 where one is labelled and inside it.

    In a mirrored crop left and right change names. A joint that is not labelled is put at the
    crop's centre, with weight 0.
    """
    joints = affine.from_pixels(joints_px[:, :2], image_height, image_width)
    joints = affine.apply(affine.invert(theta_crop), joints)
    labelled = joints_px[:, 2] > 0
    joints = np.where(labelled[:, None], joints, 0.0)
    weight = (labelled & _inside(joints)).astype(np.float64)
    if flip:
        order = list(skeleton.flip_order)
        joints, weight = joints[order], weight[order]
    return joints, weight


def vary_colour(
    generator: np.random.Generator,
    crop: UInt8[np.ndarray, "height width 3"],
    config: AugmentConfig,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the crop with random contrast about its mean and a random gain for each channel."""
    gain = generator.uniform(1 - config.gain, 1 + config.gain, 3)
    contrast = generator.uniform(1 - config.contrast, 1 + config.contrast)
    # The mean counts only where contrast varies, and takes as long as all the rest.
    mean = np.mean(cv2.mean(crop)[:3]) if contrast != 1 else 0.0
    levels = np.arange(256)[:, None]
    table = np.clip(gain * (mean + contrast * (levels - mean)) + 0.5, 0, 255).astype(np.uint8)
    return cv2.LUT(crop, table[None])


def _inside(points: Float[np.ndarray, "k 2"]) -> Bool[np.ndarray, " k"]:
    return np.asarray((np.abs(points) <= 1).all(axis=-1))
