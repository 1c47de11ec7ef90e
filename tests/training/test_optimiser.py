import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rmpe_jax.config import Config, ModelConfig, OptimiserConfig, TrainConfig
from rmpe_jax.training import optimiser as optimisers


def config(**settings) -> Config:
    return Config(
        optimiser=OptimiserConfig(**settings),
        model=ModelConfig(family="hourglass"),
        train=TrainConfig(steps=100),
    )


def first_update(settings: Config, gradient: dict, params: dict | None = None) -> dict:
    params = params or jax.tree.map(jnp.ones_like, gradient)
    built = optimisers.build(settings)
    return built.update(gradient, built.init(params), params)[0]


def test_warm_up_rises_from_one_step_high_and_reaches_the_rate():
    schedule = optimisers.learning_rate(OptimiserConfig(learning_rate=1.0, warmup_steps=10), 100)
    rates = [float(schedule(step)) for step in range(10)]
    np.testing.assert_allclose(rates, np.arange(1, 11) / 10, rtol=1e-6)


def test_cosine_ends_at_nothing_on_the_last_step():
    schedule = optimisers.learning_rate(OptimiserConfig(learning_rate=1.0, warmup_steps=10), 100)
    assert float(schedule(10)) == pytest.approx(1.0)
    assert float(schedule(55)) == pytest.approx(0.5, abs=1e-6)
    assert float(schedule(100)) == pytest.approx(0.0, abs=1e-6)


def test_steps_fall_at_their_shares_of_the_run():
    schedule = optimisers.learning_rate(
        OptimiserConfig(
            learning_rate=1.0, schedule="steps", warmup_steps=10, milestones=(0.5, 0.8), decay=0.1
        ),
        100,
    )
    rates = [float(schedule(step)) for step in (49, 50, 79, 80)]
    np.testing.assert_allclose(rates, [1.0, 0.1, 0.1, 0.01], rtol=1e-6)


def test_constant_without_warm_up_is_constant():
    schedule = optimisers.learning_rate(
        OptimiserConfig(learning_rate=0.3, schedule="constant", warmup_steps=0), 100
    )
    assert [float(schedule(step)) for step in (0, 50, 99)] == pytest.approx([0.3] * 3)


def test_rmsprop_is_torchs():
    """v = 0.01 g^2 after one step from 0; the step is lr g / (sqrt(v) + eps)."""
    values = np.asarray([3.0, -0.5, 1e-7])  # the last shows whether eps is inside the root
    settings = config(name="rmsprop", learning_rate=0.1, schedule="constant", warmup_steps=0)
    expected = -0.1 * values / (np.sqrt(0.01) * np.abs(values) + 1e-8)
    got = first_update(settings, {"w": jnp.asarray(values)})["w"]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_muon_moves_a_kernel_by_an_orthogonal_matrix_of_adams_size():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 16, 32)) * np.logspace(-0.5, 0.5, 32)
    settings = config(name="muon", learning_rate=0.1, schedule="constant", warmup_steps=0)
    params = {"layer1_0": {"conv1": {"kernel": jnp.asarray(gradient)}}}
    update = np.asarray(first_update(settings, params)["layer1_0"]["conv1"]["kernel"])
    values = np.linalg.svd(update.reshape(-1, 32), compute_uv=False)
    assert values.max() / values.min() < 2.5, "the gradient's differ more than tenfold"
    # All 32 singular values 1 and 144 rows: the root mean square would be 1 / 12 unscaled.
    assert np.sqrt((update**2).mean()) == pytest.approx(0.1 * 0.2, rel=0.25)
    assert (update * gradient).sum() < 0, "downhill"


def test_muon_leaves_all_but_inner_kernels_to_adam():
    rng = np.random.default_rng(0)
    params = {
        "layer1_0": {"bn1": {"scale": jnp.asarray(rng.normal(size=7))}},
        "final_layer": {"kernel": jnp.asarray(rng.normal(size=(1, 1, 4, 5)))},
        "outs_0": {"conv": {"kernel": jnp.asarray(rng.normal(size=(1, 1, 4, 5)))}},
    }
    settings = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0}
    wanted = first_update(config(name="adam", **settings), params)
    got = first_update(config(name="muon", **settings), params)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_a_large_gradient_is_clipped_before_it_counts():
    gradient = {"w": jnp.asarray([30.0, 40.0])}
    settings = config(
        name="rmsprop", learning_rate=1.0, schedule="constant", warmup_steps=0, clip_norm=5.0
    )
    clipped = {"w": jnp.asarray([3.0, 4.0])}
    free = config(name="rmsprop", learning_rate=1.0, schedule="constant", warmup_steps=0)
    params = {"w": jnp.ones(2)}
    built, unlimited = optimisers.build(settings), optimisers.build(free)
    got = built.update(gradient, built.init(params), params)[1]
    wanted = unlimited.update(clipped, unlimited.init(params), params)[1]
    np.testing.assert_allclose(
        optax.tree.get(got, "nu")["w"], optax.tree.get(wanted, "nu")["w"], rtol=1e-6
    )


def test_weight_decay_shrinks_kernels_only():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    gradient = jax.tree.map(jnp.zeros_like, params)
    settings = config(learning_rate=1.0, schedule="constant", warmup_steps=0, weight_decay=0.1)
    updates = first_update(settings, gradient, params)
    np.testing.assert_allclose(updates["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0.0)


def test_weight_decay_leaves_what_is_frozen_alone():
    kernel = {"kernel": jnp.ones((2, 2))}
    params = {"trunk": {"conv1": kernel, "layer1_0": {"conv1": kernel}, "layer2_0": kernel}}
    settings = dataclasses.replace(
        config(learning_rate=1.0, schedule="constant", warmup_steps=0, weight_decay=0.1),
        model=ModelConfig(family="pyramid", frozen_stages=1),
    )
    updates = first_update(settings, jax.tree.map(jnp.zeros_like, params), params)["trunk"]
    np.testing.assert_array_equal(updates["conv1"]["kernel"], 0.0)
    np.testing.assert_array_equal(updates["layer1_0"]["conv1"]["kernel"], 0.0)
    np.testing.assert_allclose(updates["layer2_0"]["kernel"], -0.1, rtol=1e-6)


def test_the_trunk_learns_at_its_own_rate():
    gradient = {
        "trunk": {"conv1": {"kernel": jnp.ones((2, 2))}},
        "final_layer": {"bias": jnp.ones(2)},
    }
    settings = config(learning_rate=1.0, schedule="constant", warmup_steps=0, trunk_rate=0.25)
    updates = first_update(settings, gradient)
    np.testing.assert_allclose(updates["trunk"]["conv1"]["kernel"], -0.25, rtol=1e-5)
    np.testing.assert_allclose(updates["final_layer"]["bias"], -1.0, rtol=1e-5)
