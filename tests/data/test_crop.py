import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_jax.data import images
from rmpe_jax.data.crop import Cropper
from rmpe_jax.geometry import affine, sampler

HEIGHT, WIDTH = 64, 48
CROPPER = Cropper(HEIGHT, WIDTH)


def pulled(image, theta, height=HEIGHT, width=WIDTH):
    floats = jnp.asarray(image, jnp.float32), jnp.asarray(theta, jnp.float32)
    return np.asarray(sampler.pull(*floats, height, width))


@settings(deadline=None, max_examples=50)  # the first example compiles
@given(
    turn=st.floats(-np.pi, np.pi),
    flip=st.booleans(),
    left=st.floats(-60, 150),
    top=st.floats(-60, 150),
    wide=st.floats(8, 200),
)
def test_the_crop_is_the_devices_pull_of_a_photograph(photograph, turn, flip, left, top, wide):
    height, width, _ = photograph.shape
    box = np.array((left, top, left + wide, top + 1.4 * wide))
    theta = affine.from_box(box, height, width, turn=turn, flip=flip)
    crop = CROPPER(photograph, theta)
    np.testing.assert_allclose(crop, pulled(photograph, theta), atol=2)


@pytest.fixture(scope="module")
def photograph(data_root):
    return images.read(data_root / "coco_pose/images/val/000000000785.jpg")


def test_the_crop_is_the_devices_pull_of_noise_beyond_the_edges_too():
    noise = np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)
    for turn, box in ((0.0, (-20.0, -9.0, 40.0, 33.0)), (0.8, (30.0, 20.0, 90.0, 70.0))):
        theta = affine.from_box(np.array(box), 50, 71, turn=turn)
        crop = CROPPER(noise, theta)
        assert (crop == 0).all(-1).mean() > 0.1, "outside is black"
        np.testing.assert_allclose(crop, pulled(noise, theta), atol=0.6)


def test_a_box_far_outside_is_black():
    white = np.full((50, 71, 3), 255, np.uint8)
    box = np.array((0.0, 0.0, 40.0, 50.0))
    for shift in (1e3, 65536.0, -65536.0, 1e9):  # 16-bit coordinates would come back round
        for axis in ((1, 0, 1, 0), (0, 1, 0, 1)):
            theta = affine.from_box(box + shift * np.array(axis), 50, 71)
            assert (CROPPER(white, theta) == 0).all()


def test_the_whole_image_comes_back_unchanged():
    noise = np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Cropper(50, 71)(noise, affine.identity()), noise)


def test_crops_of_one_cropper_do_not_share_memory():
    noise = np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)
    theta = affine.from_box(np.array((3.0, 4.0, 40.0, 44.0)), 50, 71, turn=0.3)
    first = CROPPER(noise, theta)
    kept = first.copy()
    CROPPER(255 - noise, theta)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(CROPPER(noise, theta), Cropper(HEIGHT, WIDTH)(noise, theta))
