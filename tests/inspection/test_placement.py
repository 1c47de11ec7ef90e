import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmpe_jax.geometry import affine
from rmpe_jax.inspection import motion
from rmpe_jax.inspection.placement import Placement, placement_of, theta_of

HEIGHT, WIDTH = 192, 144
entries = st.lists(st.floats(-2, 2), min_size=6, max_size=6)


@given(entries)
def test_every_theta_comes_back(numbers):
    theta = np.array(numbers).reshape(2, 3)
    again = theta_of(placement_of(theta, HEIGHT, WIDTH), HEIGHT, WIDTH)
    np.testing.assert_allclose(again, theta, atol=1e-12)


@given(st.tuples(*[st.floats(-40, 40)] * 2, st.floats(-90, 90), *[st.floats(-50, 50)] * 3))
def test_every_placement_comes_back(numbers):
    placement = Placement(*numbers)._replace(turn=3 * numbers[3])
    again = placement_of(theta_of(placement, HEIGHT, WIDTH), HEIGHT, WIDTH)
    np.testing.assert_allclose(again, placement, atol=1e-6)


def test_the_whole_crop_is_zero_in_all():
    assert placement_of(affine.identity(), HEIGHT, WIDTH) == pytest.approx((0,) * 6, abs=1e-12)


def test_a_turn_is_one_on_the_screen():
    theta = theta_of(Placement(0, 0, 0, 90, 0, 0), HEIGHT, WIDTH)
    corner_px = affine.to_pixels(affine.apply(theta, np.array([-1.0, -1.0])), HEIGHT, WIDTH)
    # Clockwise by 90 degrees about the centre (72, 96): the upper left corner goes right and up.
    np.testing.assert_allclose(corner_px, [72 + 96, 96 - 72], atol=1e-9)


@pytest.mark.parametrize("which", Placement._fields)
def test_near_the_identity_the_six_are_the_motions(which):
    small = Placement(**{name: 1e-4 * (name == which) for name in Placement._fields})
    change = theta_of(small, HEIGHT, WIDTH) - affine.identity()
    moved = motion.motion_of(affine.identity(), change, HEIGHT, WIDTH)
    assert moved._fields == Placement._fields
    np.testing.assert_allclose(np.array(moved), np.array(small), atol=1e-9)
