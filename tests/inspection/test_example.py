import numpy as np
import pytest

from rmpe_jax.geometry import affine
from rmpe_jax.inspection.example import crop_of, example, of_batch
from tests.inspection import toy

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
BOX, ANNOTATED = (10.0, 12, 40, 50), (14.0, 10, 50, 54)
JOINTS = np.zeros((17, 3))
JOINTS[:3] = [[20, 20, 2], [30, 45, 1], [79, 59, 2]]


def test_joints_and_theta_star_are_those_of_the_crop():
    person = example(toy.model(), IMAGE, BOX, JOINTS, ANNOTATED)
    np.testing.assert_array_equal(person.weight[:4], [1, 1, 0, 0])  # outside, not labelled
    back = affine.apply(np.asarray(person.theta_crop), np.asarray(person.joints_crop[:2]))
    np.testing.assert_allclose(affine.to_pixels(back, 60, 80), JOINTS[:2, :2], atol=1e-4)
    # The middle of the straight image under theta* is that of the annotated box.
    middle = affine.apply(np.asarray(person.theta_star), np.zeros(2))
    middle = affine.apply(np.asarray(person.theta_crop), middle)
    np.testing.assert_allclose(affine.to_pixels(middle, 60, 80), (32, 32), atol=1e-4)
    # Its side is 44 extended, that of the box 38: squares, as the crop is one.
    np.testing.assert_allclose(np.diag(person.theta_star[:, :2]), 44 / 38, rtol=1e-5)


def test_without_an_annotated_box_it_is_that_of_the_joints():
    extent = np.array([18.0, 15, 32, 50])  # 10 x 25 about (25, 32.5), each side 20 % longer
    extent[[0, 2]], extent[[1, 3]] = (19, 31), (17.5, 47.5)
    joints = JOINTS * (np.arange(17) < 2)[:, None]
    found = example(toy.model(), IMAGE, BOX, joints)
    wanted = example(toy.model(), IMAGE, BOX, joints, extent)
    np.testing.assert_allclose(found.theta_star, wanted.theta_star, atol=1e-6)
    for nothing in (None, JOINTS * (np.arange(17) < 1)[:, None]):
        star = example(toy.model(), IMAGE, BOX, nothing).theta_star
        np.testing.assert_allclose(star, np.eye(2, 3), atol=1e-6)


def test_a_row_of_a_batch_is_its_own_photograph():
    batch = toy.batch()
    person = of_batch(batch, 0)
    crop = crop_of(person.image, person.theta_crop, toy.SIDE, toy.SIDE)
    np.testing.assert_allclose(np.asarray(crop) * 255, batch.crop[0], atol=1e-4)
    np.testing.assert_array_equal(person.theta_star, batch.theta_star[0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"box_px": (10, 12, np.nan, 50)}, "all four values must be finite"),
        ({"annotated_box_px": (10, 12, 5, 50)}, "it has no area"),
        ({"joints_px": np.zeros((16, 3))}, r"shape \[16, 3\].*\[17 3\]: rows of"),
        ({"joints_px": np.full((17, 3), np.inf)}, "joint 0 .* set its visibility to 0"),
        ({"image": IMAGE / 255}, "allowed is RGB uint8"),
    ],
)
def test_what_cannot_be_looked_into_is_refused(changed, message):
    given = {"image": IMAGE, "box_px": BOX, "joints_px": JOINTS, "annotated_box_px": None}
    with pytest.raises(ValueError, match=message):
        example(toy.model(), **(given | changed))
