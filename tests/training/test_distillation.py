"""What a student learns from a teacher's heat-maps."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax import config as configs
from rmpe_jax.config import SetConfig
from rmpe_jax.data.teacher_maps import TeacherBatch
from rmpe_jax.geometry import affine, heatmaps, sampler
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.distillation import teacher_loss
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.step import start, train_step
from tests import small
from tests.training.test_step import a_batch

HEIGHT, WIDTH = 16, 12


def shown(joints: np.ndarray, theta: np.ndarray, peak: float = 1.0) -> TeacherBatch:
    """Return a teacher of twice the student's size that sees Gaussians of sigma 2 at `joints`."""
    maps = peak * heatmaps.encode(jnp.asarray(joints), 2 * HEIGHT, 2 * WIDTH, 2.0)
    quantised = np.asarray(jnp.round(255 * maps)).astype(np.uint8)[None]
    return TeacherBatch(quantised, theta[None].astype(np.float32))


def learned(teacher: TeacherBatch) -> np.ndarray:
    """Return the mean places of the maps that the loss leads to."""
    logits = jnp.zeros((1, 1, HEIGHT, WIDTH, teacher.maps.shape[-1]))
    descend = jax.jit(lambda x, seen: x - 4 * jax.grad(teacher_loss)(x, seen))
    for _ in range(2000):
        logits = descend(logits, teacher)
    share = jax.nn.softmax(logits[0, 0], axis=(0, 1))
    points = sampler.pixel_centres(HEIGHT, WIDTH)
    return np.einsum("hwk,hwi->ki", share, points)


def test_the_student_finds_the_joints_where_the_teacher_does_in_its_own_crop():
    joints = np.array([[0.2, -0.3], [-0.5, 0.6]])
    theta = np.array([[0.9, 0.1, 0.05], [-0.1, 1.1, -0.1]])
    expected = affine.apply(affine.invert(theta), joints)
    np.testing.assert_allclose(learned(shown(joints, theta)), expected, atol=0.02)


def test_a_joint_that_the_teacher_does_not_see_costs_nothing():
    teacher = shown(np.array([[0.0, 0.0]]), affine.identity(), peak=0.15)
    logits = jax.random.normal(jax.random.key(0), (1, 1, HEIGHT, WIDTH, 1))
    assert float(teacher_loss(logits, teacher)) == 0.0


def test_a_joint_counts_as_much_as_the_teacher_is_sure():
    """Of two joints the half-seen one has half the share."""
    logits = jnp.zeros((1, 1, HEIGHT, WIDTH, 2))
    sure = shown(np.array([[0.0, 0.0], [0.5, 0.5]]), affine.identity())
    half = shown(np.array([[0.0, 0.0], [0.5, 0.5]]), affine.identity(), peak=0.5)
    maps = np.concatenate([sure.maps[..., :1], half.maps[..., 1:]], axis=-1)
    gradient = jax.grad(teacher_loss)(logits, sure._replace(maps=maps))
    first, second = np.abs(np.asarray(gradient)).sum(axis=(0, 1, 2, 3))
    assert second / first == pytest.approx(0.5, rel=0.1)


def test_the_step_adds_it_with_its_weight(tmp_path):
    config = small.config(tmp_path)
    config = replace(config, train=replace(config.train, loss="cross_entropy", teacher_weight=0.25))
    module, optimiser = build(config.model, 17, logits=True), optimisers.build(config)
    variables = initialise(jax.random.key(0), module, config.model)
    state = start(jax.random.key(0), variables, optimiser, ema=0.0)
    step = jax.jit(partial(train_step, lesson=pose_lesson(module, config), optimiser=optimiser))
    maps = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 17)).astype(np.uint8)
    theta = np.tile(affine.identity().astype(np.float32), (4, 1, 1))
    nothing, something = TeacherBatch(np.zeros_like(maps), theta), TeacherBatch(maps, theta)
    _, alone, _ = step(state, PoseInputs(a_batch(), nothing))
    moved, taught, _ = step(state, PoseInputs(a_batch(), something))
    assert float(alone["loss_teacher"]) == 0
    assert float(taught["loss"]) == pytest.approx(
        float(alone["loss"]) + 0.25 * float(taught["loss_teacher"]), rel=1e-5
    )
    assert float(taught["gradient_norm"]) != pytest.approx(float(alone["gradient_norm"]))
    assert int(moved.step) == 1


def test_settings_that_cannot_be(tmp_path):
    config = small.config(tmp_path)
    squared = replace(config, train=replace(config.train, teacher="there"))
    with pytest.raises(ValueError, match="cross_entropy"):
        configs.checked(squared)
    train = replace(config.train, teacher="there", loss="cross_entropy")
    mixed = replace(config.data, also=(SetConfig("mpii", "there"),))
    with pytest.raises(ValueError, match="one data set"):
        configs.checked(replace(config, train=train, data=mixed))
