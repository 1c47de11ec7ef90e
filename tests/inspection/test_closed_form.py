import numpy as np
import pytest

from rmpe_jax.inspection import closed_form
from tests import references

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(4, 8, 3))
BETWEEN = RNG.uniform(-1.3, 1.3, (5, 6, 2))
CENTRES = references.pixel_points(4, 8)


@pytest.mark.parametrize("points", [BETWEEN, CENTRES])
def test_reading_and_its_gradients_agree_with_loops(points):
    upstream = RNG.normal(size=(*points.shape[:2], 3))
    x, y = np.moveaxis((points + 1) * (8 / 2, 4 / 2), -1, 0)
    np.testing.assert_allclose(
        closed_form.read(IMAGE, points), references.bilinear(IMAGE, x, y), atol=1e-12
    )
    d_image, d_x, d_y = references.bilinear_gradients(IMAGE, x, y, upstream)
    got = closed_form.gradient_of_image(IMAGE, points, upstream)
    np.testing.assert_allclose(got, d_image, atol=1e-12)
    got = closed_form.gradient_of_points(IMAGE, points, upstream)
    np.testing.assert_allclose(got, np.stack([d_x * 4, d_y * 2], axis=-1), atol=1e-12)


def test_equation_7_as_printed_is_the_derivative_only_between_centres():
    ones = np.ones((4, 8, 3))
    literal = closed_form.gradient_of_points(IMAGE, CENTRES, ones, literal=True)
    np.testing.assert_allclose(literal[..., 0], IMAGE.sum(axis=-1) * 4, atol=1e-12)  # U[m]
    ones = np.ones((5, 6, 3))
    both = [closed_form.gradient_of_points(IMAGE, BETWEEN, ones, literal=x) for x in (True, False)]
    np.testing.assert_allclose(*both, atol=1e-12)


def test_gamma_and_its_gradient_agree_with_those_written_out():
    for seed in range(5):
        theta, upstream = np.random.default_rng(seed).normal(size=(2, 2, 3))
        np.testing.assert_allclose(closed_form.gamma(theta), references.gamma(theta), rtol=1e-9)
        got = closed_form.gradient_through_gamma(theta, upstream)
        np.testing.assert_allclose(got, references.gradient_of_gamma(theta, upstream), rtol=1e-9)


def test_theta_gathers_the_gradients_of_its_points():
    points, moved = RNG.normal(size=(2, 7, 2))
    theta = RNG.normal(size=(2, 3))
    change = 1e-6 * RNG.normal(size=(2, 3))
    rise = (
        moved * (references.affine(theta + change, points) - references.affine(theta, points))
    ).sum()
    got = closed_form.gradient_of_theta(moved, points)
    assert (got * change).sum() == pytest.approx(rise, rel=1e-6)
