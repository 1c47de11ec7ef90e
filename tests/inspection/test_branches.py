"""d loss / d theta by branch: the parts are what they say, and their sum is what trains."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rmpe_jax.geometry import affine
from rmpe_jax.inspection import branches
from rmpe_jax.inspection.branches import branch_gradients, cosine, cosines
from rmpe_jax.inspection.curves import WRITTEN
from rmpe_jax.losses import joints_loss
from rmpe_jax.models.rmpe import pull_back
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.step import start, train_step
from tests.inspection import toy


@pytest.fixture(scope="module")
def trained():
    """What training does with one person, and its metrics, under plain descent of rate 1."""
    model, (judge, judge_variables) = toy.model(), toy.parallel()
    rule = optax.sgd(1.0)
    state = start(jax.random.key(0), model.variables, rule, ema=0.0)
    lesson = pose_lesson(model.module, toy.CONFIG, judge)
    step = jax.jit(partial(train_step, lesson=lesson, optimiser=rule))
    after, metrics, _ = step(state, PoseInputs(toy.batch()), judge_variables)
    return state, after, metrics


@pytest.fixture(scope="module")
def found():
    return branch_gradients(toy.model(), toy.person(), toy.parallel(), train=True)


def test_the_sum_is_the_gradient_of_training(trained, found):
    """theta is the last layer's bias and more: what a step of rate 1 takes off it."""
    before, after = (s.params["localization"]["theta"]["dense"]["bias"] for s in trained[:2])
    taken = np.asarray(before - after).reshape(2, 3)
    assert np.abs(taken).min() > 0
    np.testing.assert_allclose(found.total, taken, rtol=1e-4, atol=1e-5 * np.abs(taken).max())


def test_the_metrics_of_training_are_those_of_the_branches(trained, found):
    metrics = trained[2]
    stn, sdtn, judged = found.by_branch
    star = np.asarray(found.theta_star - found.theta)
    expected = {
        "loss_main": found.loss_main.sum(),
        "loss_parallel": found.loss_parallel.sum() / toy.CONFIG.train.parallel_weight,
        "theta_gradient_main": np.linalg.norm(stn + sdtn),
        "theta_gradient_parallel": np.linalg.norm(judged),
        "theta_cosine": cosine(stn + sdtn, judged),
        "theta_main_toward_star": cosine(-(stn + sdtn), star),
        "theta_parallel_toward_star": cosine(-judged, star),
    }
    assert set(WRITTEN) <= set(metrics), "the curves of a run are all written"
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(float(value), rel=1e-4, abs=1e-4), name


def test_stacks_and_ways_are_apart():
    """Against a composition of its own: the maps held fixed, or the grid."""
    model, person = toy.model(), toy.person()
    found = branch_gradients(model, person, toy.parallel())
    assert found.notes == ()
    look = partial(model.module.apply, train=False, method="taps")
    taps = jax.jit(look)(model.variables, person.image[None])
    np.testing.assert_allclose(found.theta, taps.theta[0], atol=1e-6)
    kind = {"loss": toy.CONFIG.train.loss, "sigma": toy.CONFIG.train.sigma}

    def loss(maps, theta, stack):
        back = pull_back(maps, affine.gamma(theta)[None])[stack][None]
        return joints_loss(back, person.joints_crop[None], person.weight[None], **kind)

    both = jax.jit(jax.value_and_grad(loss, argnums=1))
    for stack in (0, 1):
        value, by_grid = both(taps.heatmaps_straight, found.theta, stack)
        assert found.loss_main[stack] == pytest.approx(float(value), rel=1e-5)
        size = np.abs(by_grid).max()
        np.testing.assert_allclose(found.sdtn[stack], by_grid, rtol=1e-4, atol=1e-5 * size)
    assert not np.allclose(found.stn[0], found.stn[1], rtol=0.1)
    assert found.parallel.shape == (2, 2, 3)
    assert (np.abs(found.parallel).max(axis=(1, 2)) > 0).all()


def test_another_theta_may_be_given():
    theta = np.array([[1.03, 0.02, 0.011], [0.01, 0.97, 0.017]])
    found = branch_gradients(toy.model(), toy.person(), theta=theta)
    here = branch_gradients(toy.model(), toy.person())
    np.testing.assert_allclose(found.theta, theta, rtol=1e-6)
    assert not np.allclose(found.loss_main, here.loss_main, rtol=1e-3)


def test_cosines_compare_directions():
    star = np.array([[1.0, 0, 0], [0, 1, 0]])
    way = np.array([[0, 0, 2.0], [0, 0, 0]])
    one = branches.BranchGradients(
        theta=jnp.asarray(star),
        theta_star=jnp.asarray(star + way),
        loss_main=jnp.ones(2),
        loss_parallel=jnp.ones(0),
        stn=jnp.stack([-way, 0 * way]),
        sdtn=jnp.stack([way, way]),
        parallel=jnp.zeros((0, 2, 3)),
        notes=(),
    )
    seen = cosines(one)
    np.testing.assert_allclose(seen.between[:2, :2], [[1, -1], [-1, 1]])
    np.testing.assert_allclose(seen.toward_star[[0, 1, 3]], [1, -1, -1])
    assert np.isnan(seen.between[2]).all() and np.isnan(seen.toward_star[2]), "no direction"
    np.testing.assert_allclose(seen.stn_toward_star, [1, np.nan])
    assert seen.parallel_toward_star.shape == (0,)


def test_nothing_labelled_is_said_and_gives_nothing():
    found = branch_gradients(toy.model(), toy.unlabelled(), toy.parallel())
    assert found.notes == ("no joint is labelled inside the crop: losses and gradients are 0",)
    assert not np.any(found.total) and not np.any(found.loss_main)
    assert np.isnan(cosines(found).toward_star).all()


def test_a_singular_theta_is_said_and_stays_finite():
    found = branch_gradients(toy.model(), toy.person(), theta=np.zeros((2, 3)))
    assert "determinant 0" in found.notes[0] and np.isfinite(found.total).all()
    found = branch_gradients(toy.model(), toy.person(), theta=np.full((2, 3), np.nan))
    assert "theta is not finite" in found.notes[0]


def test_without_a_parallel_network_its_branch_is_empty():
    found = branch_gradients(toy.model(), toy.person())
    assert found.notes == ("no parallel network was given: its branch is empty",)
    assert found.parallel.shape == (0, 2, 3) and not found.by_branch[2].any()
    assert found.total.any()


def test_a_network_without_a_transformer_says_which_config_has_one():
    with pytest.raises(ValueError, match=r"no spatial transformer.*'none'.*synthetic_rmpe\.py"):
        branch_gradients(toy.plain(), toy.person())
