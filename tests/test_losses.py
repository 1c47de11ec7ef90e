import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from rmpe_jax.geometry import heatmaps
from rmpe_jax.losses import cross_entropy_loss, heatmap_loss, joints_loss

LOSSES = pytest.mark.parametrize("loss", [heatmap_loss, cross_entropy_loss])


def random_case(seed: int = 0):
    rng = np.random.default_rng(seed)
    heatmaps = rng.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    targets = rng.random(size=(3, 4, 5, 6)).astype(np.float32)
    weight = (rng.random((3, 6)) > 0.4).astype(np.float32)
    return heatmaps, targets, weight


def test_agrees_with_loops_over_stacks_people_and_joints():
    heatmaps, targets, weight = random_case()
    total = 0.0
    for stack in range(2):
        for person in range(3):
            for joint in range(6):
                if weight[person, joint]:
                    error = heatmaps[stack, person, :, :, joint] - targets[person, :, :, joint]
                    total += float(np.mean(error**2))
    expected = total / weight.sum()
    got = heatmap_loss(*map(jnp.asarray, (heatmaps, targets, weight)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@LOSSES
def test_an_unlabelled_joint_costs_nothing_and_has_no_gradient(loss):
    heatmaps, targets, weight = map(jnp.asarray, random_case())
    gradient = jax.grad(loss)(heatmaps, targets, weight)
    size = jnp.abs(gradient).sum((0, 2, 3))
    np.testing.assert_array_equal(np.asarray(size) > 0, np.asarray(weight) > 0)


@LOSSES
def test_no_labelled_joint_gives_zero_and_not_nan(loss):
    heatmaps, targets, weight = map(jnp.asarray, random_case())
    value, gradient = jax.value_and_grad(loss)(heatmaps, targets, weight * 0)
    assert float(value) == 0.0
    assert float(jnp.abs(gradient).max()) == 0.0


@LOSSES
def test_padding_a_batch_with_unlabelled_people_changes_nothing(loss):
    heatmaps, targets, weight = random_case()
    padded = [
        np.pad(heatmaps, ((0, 0), (0, 2), (0, 0), (0, 0), (0, 0)), constant_values=9.0),
        np.pad(targets, ((0, 2), (0, 0), (0, 0), (0, 0))),
        np.pad(weight, ((0, 2), (0, 0))),
    ]
    np.testing.assert_allclose(
        loss(*map(jnp.asarray, padded)),
        loss(*map(jnp.asarray, (heatmaps, targets, weight))),
        rtol=1e-6,
    )


@LOSSES
def test_jit_agrees_with_eager(loss):
    case = tuple(map(jnp.asarray, random_case()))
    np.testing.assert_allclose(jax.jit(loss)(*case), loss(*case), rtol=1e-6)


def test_cross_entropy_agrees_with_scipy():
    logits, targets, weight = random_case()
    total = 0.0
    for stack in range(2):
        for person in range(3):
            for joint in range(6):
                if weight[person, joint]:
                    wanted = targets[person, :, :, joint].astype(np.float64)
                    log_p = scipy.special.log_softmax(logits[stack, person, :, :, joint].ravel())
                    total -= float(np.sum(wanted.ravel() / wanted.sum() * log_p))
    got = cross_entropy_loss(*map(jnp.asarray, (logits, targets, weight)))
    np.testing.assert_allclose(got, total / weight.sum(), rtol=1e-5)


def test_cross_entropy_is_least_where_the_softmax_is_the_target():
    _, targets, weight = map(jnp.asarray, random_case())
    best = jnp.log(targets)[None]
    gradient = jax.grad(cross_entropy_loss)(best, targets, weight)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize("kind", ["squared", "cross_entropy"])
def test_the_loss_of_joints_is_that_of_their_gaussians(kind):
    rng = np.random.default_rng(0)
    maps = jnp.asarray(rng.normal(size=(2, 3, 8, 6, 4)), jnp.float32)
    joints = jnp.asarray(rng.uniform(-0.9, 0.9, (3, 4, 2)), jnp.float32)
    weight = jnp.asarray(rng.integers(0, 2, (3, 4)), jnp.float32)
    targets = jnp.stack([heatmaps.encode(one, 8, 6, 1.3) for one in joints])
    loss = {"squared": heatmap_loss, "cross_entropy": cross_entropy_loss}[kind]
    got = joints_loss(maps, joints, weight, loss=kind, sigma=1.3)
    assert got == pytest.approx(float(loss(maps, targets, weight)), rel=1e-6)
