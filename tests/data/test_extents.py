import numpy as np
import pytest

from rmpe_jax.data import extents

JOINTS = np.array([[10.0, 20, 2], [30, 60, 1], [900, 900, 0]])


def test_the_extent_of_labelled_joints_grows_by_a_fifth():
    np.testing.assert_allclose(extents.box_of(JOINTS), [8, 16, 32, 64])


@pytest.mark.parametrize("labelled", [0, 1])
def test_without_an_extent_the_square_about_the_centre_stands_in(labelled):
    joints = JOINTS[[2] if labelled == 0 else [0, 2]]
    box = extents.box_of(joints, np.array([50.0, 70]), 0.5)
    np.testing.assert_allclose(box, [0, 20, 100, 120])


def test_joints_on_one_line_have_no_extent():
    line = np.array([[10.0, 20, 2], [10, 60, 2]])
    np.testing.assert_allclose(extents.box_of(line, np.zeros(2), 1.0), [-100, -100, 100, 100])
    np.testing.assert_allclose(extents.box_of(line), [10, 20, 10, 60])


def test_nothing_at_all_has_no_box():
    assert extents.box_of(JOINTS[2:]) is None
    assert extents.box_of(JOINTS[2:], np.zeros(2), None) is None


def test_areas_are_a_share_of_the_boxes():
    boxes = np.array([[0.0, 0, 10, 20], [5, 5, 5, 9]])
    np.testing.assert_allclose(extents.areas(boxes), [106, 0])
    assert extents.areas(np.zeros((0, 4))).shape == (0,)


def test_a_head_is_three_fifths_of_its_diagonal_or_nothing():
    assert extents.head_size(30.0, 40.0) == pytest.approx(30)
    assert np.isnan([extents.head_size(0.0, 0.0), extents.head_size(-3.0, 4.0)]).all()
