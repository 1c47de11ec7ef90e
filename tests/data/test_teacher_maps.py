import numpy as np
import pytest

from rmpe_jax.data import teacher_maps
from rmpe_jax.data.teacher_maps import Teacher, TeacherMaps
from rmpe_jax.geometry import affine
from rmpe_jax.records import Batch
from rmpe_jax.skeletons import COCO17, MPII16

HEIGHT, WIDTH = 8, 6
NOSE, LEFT_WRIST, RIGHT_WRIST = 0, 9, 10


def seen(*people: int) -> TeacherMaps:
    maps = np.random.default_rng(0).integers(0, 255, (len(people), HEIGHT, WIDTH, 17))
    theta = np.stack([affine.from_box(np.array([0, 0, 20, 30.0]), 60, 80) for _ in people])
    return TeacherMaps(maps.astype(np.uint8), np.array(people), theta, COCO17.joints)


def batch(theta_crop: np.ndarray, *people: int) -> Batch:
    count = len(people)
    empty = np.zeros((count, 1), np.float32)
    theta = np.stack([theta_crop] * count).astype(np.float32)
    joints, crop = np.zeros((count, 17, 2)), np.zeros((count, 4, 4, 3), np.uint8)
    return Batch(crop, joints, empty, theta, theta, np.zeros(count), np.array(people))


def test_it_comes_back_from_disk(tmp_path):
    teacher_maps.write(tmp_path / "teacher", seen(3, 5))
    back = teacher_maps.read(tmp_path / "teacher", COCO17)
    np.testing.assert_array_equal(back.maps, seen(3, 5).maps)
    np.testing.assert_array_equal(back.person_id, [3, 5])
    np.testing.assert_array_equal(back.theta_crop, seen(3, 5).theta_crop)


def test_each_person_gets_its_own_maps_and_a_stranger_none():
    known = seen(3, 5)
    found = Teacher(known, COCO17.flip_order).of(batch(known.theta_crop[0], 5, 7, 3))
    np.testing.assert_array_equal(found.maps[0], known.maps[1])
    np.testing.assert_array_equal(found.maps[1], 0)
    np.testing.assert_array_equal(found.maps[2], known.maps[0])


def test_theta_leads_from_the_training_crop_to_the_teachers():
    known = seen(3)
    # The training crop is the right half of the teacher's.
    crop = affine.from_box(np.array([10.0, 0, 20, 30]), 60, 80)
    found = Teacher(known, COCO17.flip_order).of(batch(crop, 3))
    np.testing.assert_allclose(affine.apply(found.theta[0], np.array([-1.0, 0.5])), [0.0, 0.5])
    np.testing.assert_allclose(affine.apply(found.theta[0], np.array([1.0, -1.0])), [1.0, -1.0])


def test_in_a_mirrored_crop_left_is_right():
    known = seen(3)
    crop = affine.from_box(np.array([0.0, 0, 20, 30]), 60, 80, flip=True)
    found = Teacher(known, COCO17.flip_order).of(batch(crop, 3))
    np.testing.assert_array_equal(found.maps[0, ..., LEFT_WRIST], known.maps[0, ..., RIGHT_WRIST])
    np.testing.assert_array_equal(found.maps[0, ..., NOSE], known.maps[0, ..., NOSE])
    np.testing.assert_allclose(
        affine.apply(found.theta[0], np.array([-1.0, 0.0])), [1.0, 0.0], atol=1e-6
    )


def test_an_empty_folder_says_how_it_is_filled(tmp_path):
    with pytest.raises(ValueError, match="teach.py --out"):
        teacher_maps.read(tmp_path, COCO17)


def test_other_joints_are_refused(tmp_path):
    teacher_maps.write(tmp_path, seen(3))
    with pytest.raises(ValueError, match="17 joints.*MPII"):
        teacher_maps.read(tmp_path, MPII16)
