"""The centre-located loss of others than the frozen parallel SPPE: two ablations."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import Config, STNConfig, TrainConfig
from rmpe_jax.models.build import build, build_sppe
from rmpe_jax.models.variables import initialise, is_frozen
from rmpe_jax.predict import load
from rmpe_jax.training import pose_task
from rmpe_jax.training.loop import train
from rmpe_jax.training.parallel import ParallelSPPE, centred_loss
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from tests import small
from tests.training.test_parallel import TOY, toy_batch

KIND = {"loss": "squared", "sigma": 2.0}


def learned(centred, module, variables, parallel=None, frozen=None):
    """Return what one batch teaches."""
    config = Config(model=TOY, train=TrainConfig(centred=centred, parallel_weight=3.0))
    lesson = pose_lesson(module, config, parallel)
    inputs = PoseInputs(toy_batch())
    return jax.jit(
        lambda variables, frozen: lesson.learn(
            variables["params"],
            variables["batch_stats"],
            inputs,
            frozen,
            lesson.count(inputs),
        )
    )(variables, frozen)


def test_the_main_network_is_compared_with_joints_of_well_centred_people():
    module = build(TOY, 17)
    variables = initialise(jax.random.key(0), module, TOY)
    figures = learned("main", module, variables).figures
    crops = jnp.asarray(toy_batch().crop, jnp.float32) / 255
    taps, _ = module.apply(variables, crops, train=True, mutable=["batch_stats"], method="taps")
    expected = centred_loss(taps.heatmaps_straight, toy_batch(), None, **KIND)
    assert figures["loss_centred"] == pytest.approx(float(expected), rel=1e-4)
    total = figures["loss_main"] + 3 * figures["loss_centred"]
    assert figures["loss"] == pytest.approx(float(total), rel=1e-5)


def test_a_parallel_network_that_learns_teaches_theta_alike_and_moves():
    alone = build_sppe(TOY, 17)
    parallel = ParallelSPPE(partial(alone.apply, train=False), **KIND)
    frozen = initialise(jax.random.key(5), alone, TOY)
    with_judge = build(TOY, 17, judge=True)
    variables = initialise(jax.random.key(0), with_judge, TOY)
    variables = {kind: {**v, "judge": frozen[kind]} for kind, v in variables.items()}
    without = {
        kind: {k: v for k, v in of.items() if k != "judge"} for kind, of in variables.items()
    }
    moves = learned("unfrozen", with_judge, variables, parallel)
    stays = learned("parallel", build(TOY, 17), without, parallel, frozen)
    for name in ("loss_main", "loss_parallel", "theta_gradient_parallel", "theta_gradient_main"):
        assert moves.figures[name] == pytest.approx(float(stays.figures[name]), rel=1e-4), name
    gradient = {**moves.gradient}
    slopes = [np.abs(leaf).max() for leaf in jax.tree.leaves(gradient.pop("judge"))]
    assert max(slopes) > 0
    assert jax.tree.structure(gradient) == jax.tree.structure(stays.gradient)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), gradient, stays.gradient)


def test_what_is_frozen_of_the_main_network_is_frozen_of_the_judge_too():
    model = replace(TOY, frozen_stages=1)
    variables = initialise(jax.random.key(0), build(model, 17, judge=True), model)
    frozen = jax.tree_util.tree_map_with_path(
        lambda path, _: is_frozen(model, path), variables["params"]
    )
    assert any(jax.tree.leaves(frozen["judge"]))
    assert jax.tree.leaves(frozen["judge"]) == jax.tree.leaves(frozen["sppe"])


def test_a_run_with_a_parallel_network_that_learns_ends_and_is_loaded(tmp_path):
    config = small.config(tmp_path, steps=2)
    first = replace(config, workdir=str(tmp_path / "centred"))
    train(first)
    began = load(first.workdir).variables["params"]
    model = replace(config.model, stn=STNConfig("affine", "pose"))
    learning = replace(config.train, parallel=first.workdir, centred="unfrozen")
    second = replace(config, model=model, train=learning)
    train(second)
    judge = load(second.workdir).variables["params"]["judge"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), judge, began)
    assert 0 < max(jax.tree.leaves(moved)) < 0.1, "it began as the frozen one, and learned"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centred": "main"}, "'main', and there is no transformer"),
        ({"centred": "unfrozen"}, "'unfrozen', and there is no transformer"),
        ({"centred": "unfrozen", "stn": 1}, "no parallel SPPE is there to begin with"),
        ({"centred": "main", "stn": 1, "parallel": "x"}, "in place of a parallel SPPE; set"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, change, message):
    config = small.config(tmp_path)
    if change.pop("stn", None):
        config = replace(config, model=replace(config.model, stn=STNConfig("affine", "small")))
    with pytest.raises(ValueError, match=message):
        train(replace(config, train=replace(config.train, **change)))


def test_a_parallel_network_of_another_kind_cannot_go_on_learning():
    config = Config(model=TOY, train=TrainConfig(centred="unfrozen", parallel="runs/other"))
    variables = initialise(jax.random.key(0), build(TOY, 17, judge=True), TOY)
    wide = replace(TOY, head_width=16)
    other = initialise(jax.random.key(0), build_sppe(wide, 17), wide)
    with pytest.raises(ValueError, match=r"train.parallel runs/other: .* has shape"):
        pose_task._with_judge(variables, other, config)
    same = initialise(jax.random.key(1), build_sppe(TOY, 17), TOY)
    began = pose_task._with_judge(variables, same, config)
    jax.tree.map(np.testing.assert_array_equal, began["params"]["judge"], same["params"])
    jax.tree.map(
        np.testing.assert_array_equal, began["params"]["sppe"], variables["params"]["sppe"]
    )
