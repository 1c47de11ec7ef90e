"""Cut one person out of a photograph, as at test time or with the variation of training.

All variation of place is one affine map, so pixels are interpolated once. `theta_crop` pulls
(crop point -> image point), hence joints go into the crop by its inverse. Points are (x, y) in
[-1, 1] of the crop or the image, `_px` pixels of the photograph; arrays are NumPy's in float64.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int16, Num, UInt8

from rmpe_jax.config import AugmentConfig
from rmpe_jax.geometry import affine, boxes
from rmpe_jax.geometry.affine import Scalar
from rmpe_jax.records import Array
from rmpe_jax.skeletons import Skeleton

# Wang et al. (2019), HRNet, lib/dataset/JointsDataset.py: half a body needs more than 8 labelled
# joints and at least 3 on the chosen side of the waist; its box grows by a half.
HALF_BODY_LABELLED, HALF_BODY_CHOSEN, HALF_BODY_EXTEND = 8, 3, 0.5

# Crops are interpolated in bands of rows of about this many pixels: larger intermediate arrays
# come fresh from the operating system each time, which makes the whole three times slower.
BAND_PIXELS = 12_288


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


def draw_theta(
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
) -> tuple[Float[np.ndarray, "2 3"], bool]:
    """Return a random crop of one person as (theta_crop, whether it is mirrored).

    The numbers are drawn in a fixed order and all of them every time, so that switching one kind
    of variation off leaves the others as they were.
    """
    half, side, turns, flips = generator.random(4)
    scale, turn, *shift = generator.standard_normal(4)
    extend = config.extend
    if half < config.half_body_probability:
        half_box = half_body_box(joints_px, skeleton, upper_first=bool(side < 0.5))
        if half_box is not None:
            box_px, extend = half_box, HALF_BODY_EXTEND
    box_px = boxes.fit_aspect(boxes.extend(box_px, extend), width / height)
    sides = boxes.size(box_px)
    box_px = boxes.extend(box_px, 2.0 ** (config.scale * np.clip(scale, -2, 2)) - 1)
    box_px = box_px + np.tile(config.shift * np.array(shift) * sides, 2)
    angle = np.deg2rad(config.turn_degrees) * np.clip(turn, -2, 2)
    flip = bool(flips < config.flip_probability)
    theta = affine.from_box(
        box_px,
        image_height,
        image_width,
        turn=angle if turns < config.turn_probability else 0.0,
        flip=flip,
    )
    return theta, flip


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


def crop(
    image: UInt8[np.ndarray, "image_height image_width 3"],
    theta_crop: Float[np.ndarray, "2 3"],
    height: int,
    width: int,
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Return the image pulled by theta_crop, bilinear, black outside, as `sampler.pull` does."""
    # cv2.warpAffine rounds to 1/32 pixel, up to 6 grey levels off: only the gathering is OpenCV's.
    theta_px = _between_pixels(theta_crop, image.shape[:2], (height, width))
    pulled = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        pulled[first:last] = _interpolate(image, *_places(image, theta_px, first, last, width))
    return pulled


def vary_colour(
    generator: np.random.Generator,
    crop: UInt8[np.ndarray, "height width 3"],
    config: AugmentConfig,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the crop with random contrast about its mean and a random gain for each channel."""
    gain = generator.uniform(1 - config.gain, 1 + config.gain, 3)
    contrast = generator.uniform(1 - config.contrast, 1 + config.contrast)
    mean = np.mean(cv2.mean(crop)[:3])
    levels = np.arange(256)[:, None]
    table = np.clip(gain * (mean + contrast * (levels - mean)) + 0.5, 0, 255).astype(np.uint8)
    return cv2.LUT(crop, table[None])


def _between_pixels(
    theta: Float[np.ndarray, "2 3"], input_shape: tuple[int, ...], output_shape: tuple[int, int]
) -> Float[np.ndarray, "2 3"]:
    """Return a map of points as one of OpenCV's pixels, which it counts from the first's centre."""
    (input_height, input_width), (height, width) = input_shape, output_shape
    half_height, half_width = input_height / 2, input_width / 2
    to_input = np.array([[half_width, 0, half_width - 0.5], [0, half_height, half_height - 0.5]])
    from_output = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1]])
    return affine.compose(to_input, affine.compose(theta, from_output))


def _places(
    image: UInt8[np.ndarray, "image_height image_width 3"],
    theta_px: Float[np.ndarray, "2 3"],
    first: int,
    last: int,
    width: int,
) -> tuple[Float[np.ndarray, "height width"], ...]:
    """Return for the crop's rows first to last - 1 the image column and row up left of each pixel.

    And how far it lies beyond them, to the right and below.
    """
    (a, b, shift_x), (c, d, shift_y) = theta_px.astype(np.float32)
    across = np.arange(width, dtype=np.float32)
    down = np.arange(first, last, dtype=np.float32)[:, None]
    x, y = a * across + (b * down + shift_x), c * across + (d * down + shift_y)
    columns, rows = np.floor(x), np.floor(y)
    right, below = x - columns, y - rows
    # Far outside is as black as just outside, and fits OpenCV's 16-bit coordinates.
    columns = np.clip(columns, -2, image.shape[1])
    return columns, np.clip(rows, -2, image.shape[0]), right, below


def _interpolate(
    image: UInt8[np.ndarray, "image_height image_width 3"],
    columns: Float[np.ndarray, "height width"],
    rows: Float[np.ndarray, "height width"],
    right: Float[np.ndarray, "height width"],
    below: Float[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the image between its pixels, at what `_places` gives."""
    pixel = np.empty((*columns.shape, 2), np.int16)
    pixel[..., 0], pixel[..., 1] = columns, rows
    top_left = _gather(image, pixel)
    pixel[..., 0] += 1
    top = _between(top_left, _gather(image, pixel), right)
    pixel[..., 1] += 1
    bottom_right = _gather(image, pixel)
    pixel[..., 0] -= 1
    level = _between(top, _between(_gather(image, pixel), bottom_right, right), below)
    level += 0.5  # the cast cuts off
    return level.astype(np.uint8)


def _gather(
    image: UInt8[np.ndarray, "image_height image_width 3"],
    pixel: Int16[np.ndarray, "height width 2"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the image's pixels at (column, row); black outside."""
    nothing = np.empty(0)  # the map is whole numbers: there are no shares to interpolate by
    return cv2.remap(image, pixel, nothing, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)


def _between(
    first: Num[np.ndarray, "height width 3"],
    second: Num[np.ndarray, "height width 3"],
    share: Float[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width 3"]:
    """Return first + share * (second - first)."""
    step = cv2.subtract(second, first, dtype=cv2.CV_32F)
    step *= cv2.merge((share, share, share))
    step += first
    return step


def _inside(points: Float[np.ndarray, "k 2"]) -> Bool[np.ndarray, " k"]:
    return np.asarray((np.abs(points) <= 1).all(axis=-1))
