"""Our samplers' gradients against two other ways to have them, in float64."""

import numpy as np
import pytest

from rmpe_jax.inspection import gradient_table
from rmpe_jax.inspection.gradient_table import NEAR_PX, check_table, theta_gradients, to_markdown

THETA = np.array([[0.7, -0.3, 0.15], [0.4, 0.9, -0.35]])


def random_thetas(count, seed=0):
    """Turned, sheared, zoomed and shifted maps, and some that look outside."""
    rng = np.random.default_rng(seed)
    return np.eye(2, 3) + rng.uniform(-0.4, 0.4, (count, 2, 3)) * rng.uniform(0.2, 1, (count, 1, 1))


@pytest.mark.parametrize("way", ["stn", "sdtn"])
def test_three_ways_agree_over_a_thousand_thetas(way):
    image, upstream = np.random.default_rng(1).normal(size=(2, 6, 8, 2))
    found = theta_gradients(random_thetas(1600), image, upstream, way=way)
    away = found.distance_px > NEAR_PX
    assert away.sum() > 1000
    size = np.abs(found.closed_form).max(axis=(1, 2), keepdims=True)
    for got in (found.autodiff, found.finite, found.literal):
        assert np.abs((got - found.closed_form) / size)[away].max() < 1e-6
    # Nearer than differences of theta may come, those of the points are one-sided.
    assert (~away).sum() > 10
    assert np.abs((found.finite - found.autodiff) / size)[~away].max() < 1e-6


def test_one_sided_at_the_identity():
    image, upstream = np.random.default_rng(2).normal(size=(2, 4, 8, 2))
    found = theta_gradients(np.eye(2, 3)[None], image, upstream, way="stn")
    assert found.distance_px[0] == 0
    right = np.pad(image, ((0, 0), (0, 1), (0, 0)))[:, 1:] - image
    assert found.autodiff[0, 0, 2] == pytest.approx((right * upstream).sum() * 8 / 2)
    np.testing.assert_allclose(found.finite, found.autodiff, rtol=1e-9)
    assert found.literal[0, 0, 2] == pytest.approx((image * upstream).sum() * 8 / 2)


@pytest.fixture(scope="module")
def table():
    return check_table(THETA)


def test_the_table_passes_and_says_where_equation_7_is_no_derivative(table):
    assert all(check.passed for check in table)
    said = {(check.place, check.what.split(" (")[0]): check.verdict for check in table}
    assert said["theta", "d points"] == "all agree"
    for place in ("identity", "whole pixels"):
        assert "equation 7 as printed is no derivative here" in said[place, "d points"]
        assert "theta has none" in said[place, "d theta, STN"]
        assert "theta has none" in said[place, "d theta, SDTN"]
        assert said[place, "d theta of gamma"] == said[place, "d image"] == "all agree"
    assert said["border", "d points"] == "all agree"
    assert said["outside", "d points"] == said["outside", "d theta, SDTN"] == "all are 0"
    printed = to_markdown(table)
    assert printed.count("\n") == len(table) + 1
    assert all(line.count("|") == 8 for line in printed.splitlines())


def test_a_wrong_gradient_is_told(monkeypatch):
    right = gradient_table._read_gradients
    monkeypatch.setattr(
        gradient_table, "_read_gradients", lambda *a: [part * (1 + 1e-5) for part in right(*a)]
    )
    wrong = [check for check in check_table(THETA) if not check.passed]
    assert {check.what for check in wrong} == {"d image (STN 6)", "d points (STN 7)"}
    assert {check.place for check in wrong} == {"theta", "identity", "whole pixels", "border"}
    assert {check.verdict for check in wrong} == {"autodiff differs from the closed form"}


@pytest.mark.parametrize("theta", [np.zeros((2, 3)), np.full((2, 3), np.nan)])
def test_a_theta_without_an_inverse_is_refused(theta):
    with pytest.raises(ValueError, match="not finite or all but singular"):
        check_table(theta)
