from dataclasses import replace

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import AugmentConfig
from rmpe_jax.data import augment
from rmpe_jax.data.crop import Cropper
from rmpe_jax.geometry import affine, boxes
from rmpe_jax.skeletons import COCO17

HEIGHT, WIDTH = 64, 48
STILL = AugmentConfig(
    scale=0.0, shift=0.0, turn_probability=0.0, flip_probability=0.0, gain=0.0, contrast=0.0
)
BOX = np.array((60.0, 40.0, 110.0, 150.0))
IMAGE_HEIGHT, IMAGE_WIDTH = 200, 180


def person(labelled: int = 17):
    """Joints in rows down the box, the first `labelled` of them labelled."""
    joints = np.zeros((17, 3))
    joints[:, 0] = 85 + 20 * np.sin(np.arange(17))
    joints[:, 1] = np.linspace(45, 145, 17)
    joints[:, 2] = np.arange(17) < labelled
    joints[labelled:] = 0
    return joints


def draw(config, *, seed=0, joints=None):
    joints = person() if joints is None else joints
    return augment.draw_cut(
        np.random.default_rng(seed),
        BOX,
        joints,
        IMAGE_HEIGHT,
        IMAGE_WIDTH,
        COCO17,
        config,
        height=HEIGHT,
        width=WIDTH,
    )


def corners_px(theta):
    corners = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    return affine.to_pixels(affine.apply(theta, corners), IMAGE_HEIGHT, IMAGE_WIDTH)


def sides_px(theta):
    top_left, top_right, bottom_right, _ = corners_px(theta)
    return np.linalg.norm(top_right - top_left), np.linalg.norm(bottom_right - top_right)


def test_the_plain_crop_is_the_extended_box_in_the_crops_shape():
    theta = augment.crop_theta(BOX, 200, 180, height=64, width=48, extend=0.2)
    # The box is 50 x 110; a fifth more is 60 x 132; 3 : 4 makes it 99 x 132.
    np.testing.assert_allclose(corners_px(theta)[0], (85 - 49.5, 95 - 66))
    np.testing.assert_allclose(corners_px(theta)[2], (85 + 49.5, 95 + 66))


def test_the_plain_crop_is_the_same_on_the_device():
    settings = {"height": 64, "width": 48, "extend": 0.3}
    host = augment.crop_theta(BOX, 200, 180, **settings)
    device = augment.crop_theta(jnp.asarray(BOX, jnp.float32), 200, 180, **settings)
    np.testing.assert_allclose(device, host, atol=1e-6)


def test_without_variation_a_training_crop_is_the_plain_one():
    theta, _, flip = draw(STILL)
    plain = augment.crop_theta(BOX, 200, 180, height=HEIGHT, width=WIDTH, extend=STILL.extend)
    np.testing.assert_allclose(theta, plain, atol=1e-12)
    assert flip is False


def test_the_same_generator_gives_the_same_crop():
    config = AugmentConfig()
    np.testing.assert_array_equal(draw(config, seed=4)[0], draw(config, seed=4)[0])
    assert not np.array_equal(draw(config, seed=4)[0], draw(config, seed=5)[0])


def test_scale_varies_within_its_limits():
    plain = sides_px(draw(STILL)[0])[1]
    drawn = [sides_px(draw(replace(STILL, scale=0.25), seed=seed)[0]) for seed in range(200)]
    factors = np.array([height for _, height in drawn]) / plain
    assert factors.min() >= 2**-0.5 - 1e-9 and factors.max() <= 2**0.5 + 1e-9
    assert factors.min() < 0.75 and factors.max() > 1.35
    np.testing.assert_allclose([w / h for w, h in drawn], WIDTH / HEIGHT)
    assert abs(np.log2(factors).std() - 0.25) < 0.05


def test_shift_moves_the_centre_by_shares_of_the_sides():
    plain = draw(STILL)[0]
    thetas = [draw(replace(STILL, shift=0.1), seed=seed)[0] for seed in range(300)]
    moved = np.array([(corners_px(theta) - corners_px(plain))[0] for theta in thetas])
    np.testing.assert_allclose(moved.std(0), 0.1 * np.array(sides_px(plain)), rtol=0.15)


def test_turns_are_as_often_and_as_wide_as_asked():
    config = replace(STILL, turn_degrees=20.0, turn_probability=0.6)
    angles = []
    for seed in range(400):
        top_left, top_right, *_ = corners_px(draw(config, seed=seed)[0])
        angles.append(np.rad2deg(np.arctan2(*(top_right - top_left)[::-1])))
    angles = np.array(angles)
    turned = np.abs(angles) > 1e-9
    assert 0.52 < turned.mean() < 0.68
    assert np.abs(angles).max() <= 40 + 1e-9 and np.abs(angles).max() > 35
    assert 15 < angles[turned].std() < 23


def test_mirroring_is_as_often_as_asked():
    config = replace(STILL, flip_probability=0.3)
    flips = [draw(config, seed=seed) for seed in range(400)]
    assert 0.22 < np.mean([flip for *_, flip in flips]) < 0.38
    for theta, _, flip in flips[:20]:
        assert (theta[0, 0] < 0) == flip


def test_turns_and_mirrors_do_not_know_each_other():
    config = replace(STILL, turn_probability=0.5, flip_probability=0.5)
    drawn = [draw(config, seed=seed) for seed in range(400)]
    turned = np.array([abs(theta[1, 0]) > 1e-9 for theta, *_ in drawn])
    mirrored = np.array([flip for *_, flip in drawn])
    assert abs((turned & mirrored).mean() - 0.25) < 0.06


def test_switching_one_variation_off_leaves_the_others():
    both = draw(replace(STILL, scale=0.3, flip_probability=0.5), seed=3)
    scale = draw(replace(STILL, scale=0.3), seed=3)
    np.testing.assert_allclose(sides_px(both[0]), sides_px(scale[0]))


@pytest.mark.parametrize("seed", range(6))
def test_joints_follow_the_picture(seed):
    """A white dot painted at each joint is found, in the crop, where the joint is said to be."""
    config = AugmentConfig(shift=0.05, flip_probability=0.5)
    joints_px = person()
    theta, _, flip = draw(config, seed=seed)
    joints, weight = augment.joints_in_crop(
        joints_px, theta, IMAGE_HEIGHT, IMAGE_WIDTH, COCO17, flip=flip
    )
    order = COCO17.flip_order if flip else range(17)
    cropper = Cropper(4 * HEIGHT, 4 * WIDTH)
    found = 0
    for joint, source in enumerate(order):
        image = np.zeros((IMAGE_HEIGHT, IMAGE_WIDTH, 3), np.uint8)
        # Circle centres are whole pixels in OpenCV: pixel (x, y) has its centre at x + 0.5.
        centre = joints_px[source, :2] - 0.5
        cv2.circle(image, np.round(centre * 16).astype(int).tolist(), 48, (255,) * 3, -1, 16, 4)
        crop = cropper(image, theta)[..., 0].astype(float)
        if weight[joint] and (np.abs(joints[joint]) < 0.9).all():
            rows, columns = np.mgrid[: 4 * HEIGHT, : 4 * WIDTH] + 0.5
            spot = np.array(((columns * crop).sum(), (rows * crop).sum())) / crop.sum()
            wanted = affine.to_pixels(joints[joint], 4 * HEIGHT, 4 * WIDTH)
            np.testing.assert_allclose(spot, wanted, atol=0.6)
            found += 1
    assert found > 8


def test_mirroring_swaps_left_and_right():
    theta = augment.crop_theta(BOX, 200, 180, height=HEIGHT, width=WIDTH, extend=0.25)
    mirrored = affine.compose(theta, np.array([[-1.0, 0, 0], [0, 1, 0]]))
    joints_px = person(labelled=16)
    plain, weight = augment.joints_in_crop(joints_px, theta, 200, 180, COCO17, flip=False)
    swapped, other = augment.joints_in_crop(joints_px, mirrored, 200, 180, COCO17, flip=True)
    names = COCO17.joints
    left, right = names.index("left_wrist"), names.index("right_wrist")
    np.testing.assert_allclose(swapped[left], plain[right] * (-1, 1))
    np.testing.assert_allclose(swapped[right], plain[left] * (-1, 1))
    np.testing.assert_allclose(swapped[0], plain[0] * (-1, 1))
    assert weight[16] == 0 and weight[15] == 1, "the right ankle is not labelled"
    assert other[15] == 0 and other[16] == 1


def test_weight_is_zero_outside_the_crop_and_where_nothing_is_labelled():
    joints_px = person(labelled=15)
    joints_px[3, :2] = (5.0, 50.0)  # left of the crop
    theta = augment.crop_theta(BOX, 200, 180, height=HEIGHT, width=WIDTH, extend=0.25)
    joints, weight = augment.joints_in_crop(joints_px, theta, 200, 180, COCO17, flip=False)
    assert np.flatnonzero(weight == 0).tolist() == [3, 15, 16]
    assert joints[3, 0] < -1 and (joints[15:] == 0).all()


def test_half_a_body_needs_more_than_eight_labelled_joints():
    config = replace(STILL, half_body_probability=1.0)
    whole = draw(STILL)[0]
    np.testing.assert_allclose(draw(config, joints=person(labelled=8))[0], whole)
    assert not np.allclose(draw(config, joints=person(labelled=9))[0], whole)


def test_half_a_body_is_the_box_of_the_joints_above_or_below_the_waist():
    joints_px = person()
    visible = joints_px[:, 2] > 0
    above = np.isin(np.arange(17), COCO17.upper_body)
    for upper, half in ((True, above), (False, ~above)):
        box = augment.half_body_box(joints_px, COCO17, upper_first=upper)
        np.testing.assert_array_equal(box, boxes.of_joints(joints_px[:, :2], visible & half))
    few = person(labelled=13)  # of the lower body only two: the upper is taken all the same
    lower = augment.half_body_box(few, COCO17, upper_first=False)
    np.testing.assert_array_equal(lower, augment.half_body_box(few, COCO17, upper_first=True))


def test_half_bodies_are_as_often_as_asked():
    config, whole = replace(STILL, half_body_probability=0.3), draw(STILL)[0]
    halves = [not np.allclose(draw(config, seed=seed)[0], whole) for seed in range(400)]
    assert 0.22 < np.mean(halves) < 0.38


def test_gain_multiplies_channels_and_contrast_spreads_about_the_mean():
    crop = np.random.default_rng(0).integers(60, 160, (20, 16, 3), dtype=np.uint8)
    gained = augment.vary_colour(np.random.default_rng(1), crop, replace(STILL, gain=0.3))
    ratio = gained.reshape(-1, 3).mean(0) / crop.reshape(-1, 3).mean(0)
    assert (ratio > 0.7).all() and (ratio < 1.3).all() and np.ptp(ratio) > 0.02
    np.testing.assert_allclose(gained, crop * ratio, atol=1.5)
    spread = augment.vary_colour(np.random.default_rng(1), crop, replace(STILL, contrast=0.5))
    factor = spread.std() / crop.std()
    assert abs(factor - 1) > 0.05
    np.testing.assert_allclose(spread, crop.mean() + factor * (crop - crop.mean()), atol=1.5)


def test_colours_stay_as_they_are_without_variation():
    crop = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(augment.vary_colour(np.random.default_rng(1), crop, STILL), crop)


def test_without_jitter_scale_and_shift_theta_star_is_the_identity():
    config = replace(STILL, turn_probability=1.0, turn_degrees=30.0, flip_probability=0.5)
    for seed in range(5):
        np.testing.assert_allclose(
            draw(config, seed=seed).theta_star, affine.identity(), atol=1e-12
        )


def test_theta_star_leads_from_the_crop_to_that_of_the_annotated_box():
    config = replace(
        AugmentConfig(), jitter=1.0, shift=0.05, turn_probability=1.0, flip_probability=0.5
    )
    for seed in range(8):
        cut = draw(config, seed=seed)
        plain = draw(replace(config, jitter=0.0, shift=0.0, scale=0.0), seed=seed)
        np.testing.assert_allclose(
            affine.compose(cut.theta_crop, cut.theta_star), plain.theta_crop, atol=1e-12
        )
        (a, b, x), (c, d, y) = cut.theta_star
        assert abs(a - d) < 1e-12 and abs(b) < 1e-12 and abs(c) < 1e-12, "one scale and a shift"
        assert abs(a - 1) + abs(x) + abs(y) > 0.01


def test_a_patch_is_its_own_reference():
    """The authors' rule: labels are in the frame of the patch, otherwise in that of the box."""
    config = replace(STILL, patch=True, extend=0.3)
    kinds = []
    for seed in range(40):
        cut = draw(config, seed=seed)
        plain = draw(replace(config, patch=False), seed=seed)
        patch = not np.allclose(cut.theta_reference, plain.theta_reference)
        kinds.append(patch)
        if patch:
            np.testing.assert_allclose(cut.theta_crop, cut.theta_reference, atol=1e-12)
            width, height = sides_px(cut.theta_crop)
            # The box is 50 x 110 and of a patch 0.7 to 1 of it: not extended, in the crop's shape.
            assert 0.7 * 110 - 1e-9 < height < 110 and width == pytest.approx(height * 3 / 4)
        else:
            np.testing.assert_array_equal(cut.theta_crop, plain.theta_crop)
    assert 5 < sum(kinds) < 20


def test_patches_are_the_same_whatever_the_proposals_are():
    config = replace(STILL, patch=True, extend=0.3)
    for seed in range(40):
        plain, moved = (draw(replace(config, jitter=amount), seed=seed) for amount in (0.0, 1.0))
        np.testing.assert_array_equal(plain.theta_reference, moved.theta_reference)


def test_of_a_proposal_the_reference_is_the_extended_annotated_box():
    moved = BOX + (3.0, -5.0, 8.0, 1.0)
    came = []

    def propose(generator, box_px, image_height, image_width):
        came.append((box_px.tolist(), image_height, image_width))
        return moved

    cut = augment.draw_cut(
        *(np.random.default_rng(0), BOX, person(), IMAGE_HEIGHT, IMAGE_WIDTH, COCO17),
        replace(STILL, extend=0.3),
        height=HEIGHT,
        width=WIDTH,
        propose=propose,
    )
    assert came == [(BOX.tolist(), IMAGE_HEIGHT, IMAGE_WIDTH)]
    image = {"image_height": IMAGE_HEIGHT, "image_width": IMAGE_WIDTH}
    for theta, box in ((cut.theta_crop, moved), (cut.theta_reference, BOX)):
        expected = augment.crop_theta(box, *image.values(), height=64, width=48, extend=0.3)
        np.testing.assert_allclose(theta, expected)


def test_proposals_and_patches_leave_turn_and_mirror_as_they_were():
    config = replace(STILL, turn_probability=0.5, flip_probability=0.5, jitter=1.0)
    for seed in range(10):
        cut, other = draw(config, seed=seed), draw(replace(config, patch=True), seed=seed)
        assert cut.flip == other.flip
        turns = [np.arctan2(*theta[:, 0]) for theta in (cut.theta_crop, other.theta_crop)]
        assert turns[0] == pytest.approx(turns[1])
