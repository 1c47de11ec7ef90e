import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.geometry import affine, sampler
from rmpe_jax.inspection import closed_form, maps
from rmpe_jax.inspection.branches import branch_gradients, runner
from tests.inspection import toy

IMAGE = np.random.default_rng(0).normal(size=(5, 7, 3))
THETA = np.array([[0.9, -0.3, 0.15], [0.4, 1.1, -0.35]])


def test_arrows_add_up_to_the_gradient_of_theta():
    """Eq. 1 of RMPE carries the points' gradients to theta, eq. 5 and 6 those of the SDTN."""
    model, person, judge = toy.model(), toy.person(), toy.parallel()
    expected = branch_gradients(model, person, judge)
    found = maps.point_gradients(model, person, judge)
    theta = np.asarray(expected.theta, np.float64)

    def carried(gradient):
        centres = np.asarray(sampler.pixel_centres(*gradient.shape[:2]), np.float64)
        flat = np.asarray(gradient, np.float64).reshape(-1, 2)
        return closed_form.gradient_of_theta(flat, centres.reshape(-1, 2))

    stn, sdtn, judged = expected.by_branch
    back = closed_form.gradient_through_gamma(theta, carried(found.sdtn))
    for got, wanted in (
        (carried(found.main), stn),
        (back, sdtn),
        (carried(found.parallel), judged),
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    points = affine.apply(theta, np.asarray(sampler.pixel_centres(toy.SIDE, toy.SIDE)))
    np.testing.assert_allclose(found.stn_points, points, atol=1e-5)
    np.testing.assert_allclose(
        affine.apply(theta, np.asarray(found.sdtn_points, np.float64)),
        sampler.pixel_centres(toy.SIDE // 4, toy.SIDE // 4),
        atol=1e-5,
    )


def test_point_gradients_at_another_theta():
    model, person = toy.model(), toy.person()
    found = maps.point_gradients(model, person, theta=THETA)
    points = affine.apply(THETA, np.asarray(sampler.pixel_centres(toy.SIDE, toy.SIDE)))
    np.testing.assert_allclose(found.stn_points, points, atol=1e-5)
    assert not np.any(found.parallel) and np.any(found.main)


def test_the_image_gradient_is_the_slope_of_the_loss():
    model, judge = toy.model(), toy.parallel()
    # A photograph larger than the crop, which it is cut out of.
    photograph = np.random.default_rng(3).uniform(size=(40, 50, 3)).astype(np.float32)
    cut = jnp.asarray([[0.7, 0, 0.1], [0, 0.8, -0.07]], jnp.float32)
    person = toy.person()._replace(image=jnp.asarray(photograph), theta_crop=cut)
    found = maps.image_gradients(model, person, judge)
    assert found.image.shape == photograph.shape

    def loss(image, theta=None):
        run = runner(model, person._replace(image=image), judge)
        main, judged = run.losses(run.theta() if theta is None else theta)
        return float(main.sum() + judged.sum())

    theta = runner(model, person, judge).theta()
    step = 0.01 * jnp.sign(found.image)  # where all of the gradient counts
    rise = (loss(person.image + step) - loss(person.image - step)) / 2
    assert rise == pytest.approx(float((found.image * step).sum()), rel=0.05)
    held = (loss(person.image + step, theta) - loss(person.image - step, theta)) / 2
    crop_step = sampler.pull(step, cut, toy.SIDE, toy.SIDE)
    assert held == pytest.approx(float((found.crop_theta_held * crop_step).sum()), rel=0.05)
    whole = float((found.crop * crop_step).sum())
    assert whole == pytest.approx(float((found.image * step).sum()), rel=1e-4)
    assert abs(rise - held) > 0.1 * abs(held), "theta carries a part of it"


def test_nothing_labelled_gives_no_gradient():
    found = maps.image_gradients(toy.model(), toy.unlabelled(), toy.parallel())
    assert not any(np.any(part) for part in found)


def test_arrows_point_down_and_are_in_proportion():
    x, y = np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 4))
    points = np.stack([x, y], axis=-1)
    gradient = np.zeros((4, 8, 2))
    gradient[:2, :4] = (1.0, 0.0)
    gradient[2:, 4:] = (0.0, -0.5)
    starts, ends = maps.descent_arrows_px(points, gradient, 20, 40, every=2, longest_px=6.0)
    arrows = (ends - starts).reshape(2, 4, 2)
    # Of the same slope in [-1, 1], half as many pixels make it twice as steep in y.
    np.testing.assert_allclose(arrows[0, 0], (-6, 0))
    np.testing.assert_allclose(arrows[1, 3], (0, 6))
    assert not arrows[0, 2:].any()
    np.testing.assert_allclose(starts[0], affine.to_pixels(points[:2, :2].mean((0, 1)), 20, 40))
    starts, ends = maps.descent_arrows_px(points, 0 * gradient, 20, 40, every=2)
    np.testing.assert_array_equal(starts, ends)
    with pytest.raises(ValueError, match="4 x 8 points .* give a smaller `every`"):
        maps.descent_arrows_px(points, gradient, 20, 40, every=5)


def test_a_pixel_is_its_four_corners_by_their_weights():
    pulled = np.asarray(jax.jit(sampler.pull, static_argnums=(2, 3))(IMAGE, THETA, 4, 6))
    outside = 0
    for row in range(4):
        for column in range(6):
            read = maps.pixel_read(IMAGE, THETA, row, column, 4, 6)
            np.testing.assert_allclose(read.weight @ read.value, pulled[row, column], atol=1e-6)
            assert read.weight.sum() == pytest.approx(1) and (read.weight >= 0).all()
            outside += (~read.inside).sum()
            slope = closed_form.gradient_of_points(IMAGE, read.point, np.ones(3))
            got = [(part[:, None] * read.value).sum() for part in (read.slope_x, read.slope_y)]
            np.testing.assert_allclose(np.array(got) * (7 / 2, 5 / 2), slope, atol=1e-9)
    assert outside > 0


def test_a_pixel_read_at_its_centre_has_one_weight_and_two_slopes():
    read = maps.pixel_read(np.zeros((4, 8, 1)), np.eye(2, 3), 1, 7, 4, 8)
    np.testing.assert_array_equal(read.weight, [1, 0, 0, 0])
    np.testing.assert_array_equal(read.slope_x, [-1, 1, 0, 0])
    np.testing.assert_array_equal(read.slope_y, [-1, 0, 1, 0])
    assert (read.row.tolist(), read.column.tolist()) == ([1, 1, 2, 2], [7, 8, 7, 8])
    np.testing.assert_array_equal(read.inside, [True, False, True, False])


def test_a_pixel_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"pixel \(4, 0\) is not in an output of 4 rows"):
        maps.pixel_read(IMAGE, THETA, 4, 0, 4, 6)
    with pytest.raises(ValueError, match="must be finite"):
        maps.pixel_read(IMAGE, THETA * np.nan, 0, 0, 4, 6)
