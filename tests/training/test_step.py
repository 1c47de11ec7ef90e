import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from rmpe_jax.config import OptimiserConfig
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.records import Batch
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.step import TrainState, start, train_step
from tests import small

JOINTS = 17


def a_batch(seed: int = 0, size: int = 4) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(
        crop=rng.integers(0, 255, (size, 64, 64, 3), dtype=np.uint8),
        joints_crop=rng.uniform(-0.8, 0.8, (size, JOINTS, 2)).astype(np.float32),
        weight=np.ones((size, JOINTS), np.float32),
        theta_crop=np.tile(np.eye(2, 3, dtype=np.float32), (size, 1, 1)),
        theta_star=np.tile(np.eye(2, 3, dtype=np.float32), (size, 1, 1)),
        image_id=np.arange(size),
        person_id=np.arange(size) + 1,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A compiled step and how to begin, for one set of settings."""
    config = small.config(tmp_path_factory.mktemp("step"), steps=100)
    config = dataclasses.replace(
        config, optimiser=OptimiserConfig(schedule="constant", warmup_steps=0, ema=0.9)
    )
    module = build(config.model, JOINTS)
    optimiser = optimisers.build(config)
    key = jax.random.key(0)
    variables = initialise(key, module, config.model)
    step = jax.jit(
        partial(train_step, lesson=pose_lesson(module, config), optimiser=optimiser, ema=0.9)
    )

    def update(state, batch):
        return step(state, PoseInputs(batch))[:2]

    return update, start(key, variables, optimiser, ema=0.9), config


def test_the_loss_falls_on_one_batch(run):
    update, state, _ = run
    losses = []
    for _ in range(30):
        state, metrics = update(state, a_batch())
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.6 * losses[0]
    assert int(state.step) == 30


def test_the_average_follows_its_recurrence(run):
    update, state, _ = run
    expected = {"params": state.params, "batch_stats": state.batch_stats}
    for step in range(3):
        state, _ = update(state, a_batch(step))
        share = min(0.9, (1 + step) / (10 + step))
        expected = jax.tree.map(
            lambda old, new, share=share: share * old + (1 - share) * new,
            expected,
            {"params": state.params, "batch_stats": state.batch_stats},
        )
    for got, wanted in zip(jax.tree.leaves(state.average), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
    assert state.evaluated is state.average


def test_the_metrics_are_of_this_step(run):
    update, state, _ = run
    _, metrics = update(state, a_batch())
    assert set(metrics) == {"loss", "gradient_norm", "parameter_norm"}
    assert float(metrics["gradient_norm"]) > 0


def test_batch_statistics_move(run):
    update, state, _ = run
    after, _ = update(state, a_batch())
    before_leaves, after_leaves = map(jax.tree.leaves, (state.batch_stats, after.batch_stats))
    assert all(
        not np.array_equal(old, new) for old, new in zip(before_leaves, after_leaves, strict=True)
    )


def test_the_same_start_and_batches_give_the_same_bits(run):
    update, state, _ = run
    ends = []
    for _ in range(2):
        now: TrainState = state
        for step in range(2):
            now, _ = update(now, a_batch(step))
        ends.append(jax.tree.leaves(now.params))
    for first, second in zip(*ends, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_batch_without_labels_moves_nothing_but_statistics(run):
    update, state, _ = run
    batch = a_batch()
    after, metrics = update(state, batch._replace(weight=batch.weight * 0))
    assert float(metrics["loss"]) == 0.0
    for old, new in zip(jax.tree.leaves(state.params), jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(old, new)
