import numpy as np
import pytest

from rmpe_jax.geometry import affine
from rmpe_jax.inspection import motion
from rmpe_jax.inspection.motion import Motion

HEIGHT, WIDTH = 128, 96
THETA = np.array([[0.8, -0.2, 0.1], [0.15, 0.9, -0.05]])
RNG = np.random.default_rng(0)


def corners_px(theta):
    corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    return affine.to_pixels(affine.apply(theta, corners), HEIGHT, WIDTH)


def moved(name, amount=1.0):
    return THETA + amount * motion.basis(THETA, HEIGHT, WIDTH)[Motion._fields.index(name)]


def test_shifts_are_pixels_of_the_crop():
    here = corners_px(THETA)
    np.testing.assert_allclose(corners_px(moved("shift_x", 3)) - here, [[3, 0]] * 4, atol=1e-9)
    np.testing.assert_allclose(corners_px(moved("shift_y", -2)) - here, [[0, -2]] * 4, atol=1e-9)


def test_zoom_grows_the_window_about_its_centre():
    here, larger = corners_px(THETA), corners_px(moved("zoom", 10))
    centre = here.mean(axis=0)
    np.testing.assert_allclose(larger - centre, 1.1 * (here - centre), atol=1e-9)


def test_a_turn_is_clockwise_and_by_degrees():
    here, turned = corners_px(THETA), corners_px(moved("turn", 0.01))
    centre = here.mean(axis=0)
    angle = np.deg2rad(0.01)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(turned - centre, (here - centre) @ rotation.T, atol=1e-5)
    right = affine.to_pixels(affine.apply(moved("turn", 5), np.array([1.0, 0])), HEIGHT, WIDTH)
    start = affine.to_pixels(affine.apply(THETA, np.array([1.0, 0])), HEIGHT, WIDTH)
    assert right[1] > start[1], "its right end goes down"


def test_shear_and_stretch_leave_the_area_alone():
    area = np.linalg.det(THETA[:, :2])
    for name in ("shear", "stretch"):
        assert np.linalg.det(moved(name, 0.01)[:, :2]) == pytest.approx(area, rel=1e-7)
    square = np.eye(2, 3)
    wider = square + motion.basis(square, HEIGHT, WIDTH)[Motion._fields.index("stretch")]
    assert wider[0, 0] == pytest.approx(1.01) and wider[1, 1] == pytest.approx(0.99)
    leaning = square + motion.basis(square, 64, 64)[Motion._fields.index("shear")]
    lower_right = affine.apply(leaning, np.array([1.0, 1]))
    assert (lower_right > 1).all(), "away from the upper left corner"


def test_every_change_is_a_sum_of_motions():
    change = RNG.normal(size=(5, 2, 3))
    parts = np.stack(motion.motion_of(THETA, change, HEIGHT, WIDTH), axis=-1)
    back = np.einsum("nm,mij->nij", parts, motion.basis(THETA, HEIGHT, WIDTH))
    np.testing.assert_allclose(back, change, atol=1e-12)


def test_slopes_are_the_rise_of_a_loss_with_each_motion():
    gradient = RNG.normal(size=(2, 3))
    slopes = motion.slopes(THETA, gradient, HEIGHT, WIDTH)
    for name, slope in slopes._asdict().items():
        assert slope == pytest.approx((gradient * (moved(name) - THETA)).sum()), name


def test_distance_is_that_of_the_points_of_the_window():
    change = RNG.normal(size=(2, 3))
    points = RNG.uniform(-1, 1, (400_000, 2))
    path = affine.apply(change, points) * (WIDTH / 2, HEIGHT / 2)
    expected = np.sqrt((path**2).sum(axis=1).mean())
    assert motion.distance_px(change, HEIGHT, WIDTH) == pytest.approx(expected, rel=5e-3)


def test_descent_goes_against_the_gradient_as_far_as_asked():
    gradient = RNG.normal(size=(2, 3))
    step = np.array(motion.descent(THETA, gradient, HEIGHT, WIDTH, step_px=2.0))
    change = np.einsum("m,mij->ij", step, motion.basis(THETA, HEIGHT, WIDTH))
    assert motion.distance_px(change, HEIGHT, WIDTH) == pytest.approx(2.0)
    np.testing.assert_allclose(change / change[0, 0], gradient / gradient[0, 0])
    assert (change * gradient).sum() < 0
    assert not np.any(motion.descent(THETA, 0 * gradient, HEIGHT, WIDTH))


def test_a_singular_theta_has_slopes_but_no_motion():
    singular, gradient = np.zeros((2, 3)), np.ones((2, 3))
    assert np.isnan(motion.motion_of(singular, gradient, HEIGHT, WIDTH).zoom)
    assert np.isfinite(motion.slopes(singular, gradient, HEIGHT, WIDTH)).all()


def test_a_motion_in_words_has_its_largest_part_first():
    said = motion.in_words(Motion(-0.8, 0.31, 0.0, -1.234, 0.06, 123.4))
    assert said == "stretch 123 % wider"
    said = motion.in_words(Motion(-0.8, 0.31, 2.0, -1.234, 0.06, 0.0))
    assert said == "zoom out 2 %, turn 1.2° anticlockwise, 0.8 px left, 0.31 px down"


def test_a_motion_in_words_says_when_there_is_none():
    assert motion.in_words(Motion(*np.zeros(6))) == "stays where it is"
    assert "cannot be inverted" in motion.in_words(Motion(1.0, 0.0, *np.full(4, np.nan)))
