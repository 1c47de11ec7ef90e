"""The parallel SPPE: what it teaches, and that it is left alone."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rmpe_jax.config import Config, ModelConfig, OptimiserConfig, STNConfig, TrainConfig
from rmpe_jax.geometry import affine, heatmaps
from rmpe_jax.models.build import build, build_sppe
from rmpe_jax.models.variables import initialise
from rmpe_jax.records import Batch
from rmpe_jax.skeletons import COCO17, MPII16
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.loop import train
from rmpe_jax.training.parallel import ParallelSPPE, load_parallel, parallel_loss
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson, suspects, theta_figures
from rmpe_jax.training.step import start, train_step
from rmpe_jax.training.stop import NonFiniteLossError, check_finite
from tests import small

SIDE, SIGMA = 64, 1.5
TOY = ModelConfig(
    family="pyramid",
    depth=10,
    trunk_stages=2,
    head_width=8,
    input_height=32,
    input_width=32,
    stn=STNConfig("affine", "small"),
)


def dots(images):
    """A pose network of no parameters: each colour is a joint's heat-map."""
    b, h, w, c = images.shape
    return images.reshape(b, h // 4, 4, w // 4, 4, c).mean((2, 4))[None]


PARALLEL = ParallelSPPE(lambda variables, images: dots(images), "squared", SIGMA)


def coloured(theta_star, seed=0):
    """A batch whose pictures show a blurred dot of each colour where the joints are."""
    count = len(theta_star)
    straight = np.random.default_rng(seed).uniform(-0.6, 0.6, (count, 3, 2))
    crop = np.array([affine.apply(t, j) for t, j in zip(theta_star, straight, strict=True)])
    drawn = jax.vmap(lambda one: heatmaps.encode(one, SIDE, SIDE, 4 * SIGMA))(jnp.asarray(crop))
    return Batch(
        crop=np.asarray(drawn * 255, np.uint8),
        joints_crop=jnp.asarray(crop, jnp.float32),
        weight=jnp.ones((count, 3)),
        theta_crop=np.tile(np.eye(2, 3), (count, 1, 1)),
        theta_star=jnp.asarray(theta_star, jnp.float32),
        image_id=np.arange(count) + 100,
        person_id=np.arange(count),
    )


def loss_of(theta, batch):
    crops = jnp.asarray(batch.crop, jnp.float32) / 255
    return parallel_loss(PARALLEL, {}, crops, theta, batch, False)


STARS = np.array(
    [[[0.8, 0, 0.15], [0, 0.8, -0.1]], [[1.15, 0, -0.1], [0, 1.15, 0.05]], [[1, 0, 0], [0, 1, 0]]]
)


def test_the_loss_is_least_where_theta_is_theta_star():
    batch = coloured(STARS)
    least = loss_of(batch.theta_star, batch)
    for shift in np.random.default_rng(0).normal(size=(10, 3, 2, 3)) * 0.1:
        assert loss_of(batch.theta_star + shift, batch) > 2 * least


def test_descent_on_theta_alone_centres_people():
    batch = coloured(STARS)
    identity = theta = jnp.tile(jnp.eye(2, 3), (3, 1, 1))
    slope = jax.jit(jax.grad(partial(loss_of, batch=batch)))
    rule = optax.adam(0.01)
    state = rule.init(theta)
    for _ in range(120):
        update, state = rule.update(slope(theta), state)
        theta = optax.apply_updates(theta, update)

    def error(theta):
        """How far each person's joints are from where they belong in the straight image."""
        belong = jax.vmap(affine.apply)(
            jax.vmap(affine.invert)(batch.theta_star), batch.joints_crop
        )
        found = jax.vmap(affine.apply)(jax.vmap(affine.invert)(theta), batch.joints_crop)
        return np.linalg.norm(found - belong, axis=-1).max(axis=1)

    # The dots are as wide in every crop, so a straight image can never be quite as it should.
    assert (error(theta)[:2] < error(identity)[:2] / 4).all()
    assert error(theta)[2] < 1 / SIDE, "who is well placed stays there: half a pixel"


def test_no_gradient_reaches_the_parallel_network_and_one_reaches_theta():
    model = replace(TOY, frozen_stages=1)  # which must not stand between theta and the loss
    network = build_sppe(model, 17)
    variables = initialise(jax.random.key(5), network, model)
    parallel = ParallelSPPE(partial(network.apply, train=False), "squared", 2.0)
    batch = toy_batch()
    crops = jnp.asarray(batch.crop, jnp.float32) / 255

    def loss(variables, theta):
        return parallel_loss(parallel, variables, crops, theta, batch, False)

    to_network, to_theta = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables, batch.theta_star)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(to_network))
    assert (jnp.abs(to_theta).max(axis=(1, 2)) > 0).all()


def test_a_loaded_parallel_network_looks_in_evaluation_mode(tmp_path):
    """With the stored statistics, not those of the images that it sees."""
    config = replace(small.config(tmp_path, steps=1), train=TrainConfig(steps=1, batch_size=2))
    train(config)
    side = config.model.input_height
    parallel, variables = load_parallel(config.workdir, COCO17, side, side)
    with pytest.raises(ValueError, match="finds the joints of COCO17, .* those of MPII16; train"):
        load_parallel(config.workdir, MPII16, side, side)
    images = jax.random.uniform(jax.random.key(0), (3, side, side, 3))
    together = jax.jit(parallel.network)(variables, images)
    alone = jax.jit(parallel.network)(variables, images[:1])
    np.testing.assert_allclose(together[:, :1], alone, atol=1e-5)


def test_joints_outside_the_crop_of_the_annotated_box_do_not_count():
    batch = coloured(STARS[:1])
    far = batch.joints_crop.at[0, 2].set(affine.apply(batch.theta_star[0], jnp.asarray((1.3, 0.0))))
    moved = loss_of(batch.theta_star, batch._replace(joints_crop=far))
    without = batch._replace(weight=batch.weight.at[0, 2].set(0))
    assert moved == pytest.approx(float(loss_of(batch.theta_star, without)), rel=1e-6)


def toy_batch(seed=0, count=4):
    rng = np.random.default_rng(seed)
    star = np.tile(np.eye(2, 3), (count, 1, 1)) + rng.normal(size=(count, 2, 3)) * 0.05
    return Batch(
        crop=rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
        joints_crop=jnp.asarray(rng.uniform(-0.8, 0.8, (count, 17, 2)), jnp.float32),
        weight=jnp.ones((count, 17)),
        theta_crop=jnp.asarray(np.tile(np.eye(2, 3), (count, 1, 1)), jnp.float32),
        theta_star=jnp.asarray(star, jnp.float32),
        image_id=np.arange(count) + 100,
        person_id=np.arange(count),
    )


@pytest.fixture(scope="module")
def run():
    """Twelve steps of a small network with a transformer and a parallel SPPE of its own kind."""
    config = Config(
        model=TOY,
        optimiser=OptimiserConfig(learning_rate=1e-2, warmup_steps=0, ema=0.9),
        train=TrainConfig(steps=12, batch_size=4),
    )
    module, alone = build(TOY, 17), build_sppe(TOY, 17)
    frozen = initialise(jax.random.key(5), alone, TOY)
    parallel = ParallelSPPE(partial(alone.apply, train=False), "squared", 2.0)
    optimiser = optimisers.build(config)
    variables = initialise(jax.random.key(0), module, TOY)
    state = start(jax.random.key(1), variables, optimiser, ema=0.9)
    lesson = pose_lesson(module, config, parallel)
    step = jax.jit(partial(train_step, lesson=lesson, optimiser=optimiser, ema=0.9))

    def update(state, batch, frozen):
        return step(state, PoseInputs(batch), frozen)[:2]

    before = jax.tree.map(np.array, frozen)
    first, history = state, []
    for number in range(12):
        state, metrics = update(state, toy_batch(number), frozen)
        history.append(metrics)
    return {
        "first": first,
        "last": state,
        "history": history,
        "before": before,
        "frozen": frozen,
        "update": update,
    }


def test_the_parallel_network_is_bit_identical_after_training(run):
    jax.tree.map(np.testing.assert_array_equal, run["frozen"], run["before"])


def test_all_else_learns_batch_statistics_too(run):
    first, last = run["first"], run["last"]
    for kind in ("params", "batch_stats"):
        same = jax.tree.map(
            lambda a, b: bool((a == b).all()), getattr(first, kind), getattr(last, kind)
        )
        stuck = [
            jax.tree_util.keystr(path)
            for path, equal in jax.tree_util.tree_leaves_with_path(same)
            if equal
        ]
        assert not stuck


def test_each_branch_has_a_loss_and_a_gradient_of_theta(run):
    for metrics in run["history"]:
        total = metrics["loss_main"] + metrics["loss_parallel"]
        assert metrics["loss"] == pytest.approx(float(total), rel=1e-5)
        assert metrics["theta_gradient_main"] > 0
        assert metrics["theta_gradient_parallel"] > 0
    assert run["history"][0]["theta_error"] == run["history"][0]["theta_error_identity"]
    assert run["history"][-1]["theta_error"] != run["history"][-1]["theta_error_identity"]


def test_cosines_of_gradients_are_cosines_and_0_without_a_gradient(run):
    names = ("theta_cosine", "theta_main_toward_star", "theta_parallel_toward_star")
    for metrics in run["history"]:
        assert all(0 < abs(float(metrics[name])) <= 1 for name in names)
    batch = toy_batch()
    _, metrics = run["update"](run["first"], batch._replace(weight=batch.weight * 0), run["frozen"])
    assert all(float(metrics[name]) == 0 for name in names)


def test_a_theta_that_is_no_number_names_its_person():
    batch = toy_batch()
    theta = jnp.tile(jnp.eye(2, 3), (4, 1, 1)).at[2, 0, 1].set(jnp.nan)
    figures = theta_figures(theta, batch.theta_star, jnp.float32(4))
    with pytest.raises(NonFiniteLossError, match=r"batch held person 2 of image 102\. The last"):
        check_finite(7, batch, figures, {"suspects": suspects(theta)})


def test_nearly_singular_thetas_are_counted():
    theta = jnp.stack([scale * jnp.eye(2, 3) for scale in (1.0, 0.5, 0.009, 1e-9)])
    metrics = theta_figures(theta, toy_batch().theta_star, jnp.float32(4))
    assert metrics["theta_clamped"] == 2
    assert metrics["theta_determinant"] == pytest.approx((1 + 0.25 + 0.009**2) / 4, rel=1e-5)


def test_a_missing_parallel_network_says_how_to_make_one(tmp_path):
    with pytest.raises(
        ValueError, match=r"train.parallel: .*holds no checkpoint.*--model.stn.form"
    ):
        load_parallel(str(tmp_path), COCO17, 32, 32)


def test_the_weight_of_the_branch_counts():
    batch = toy_batch()
    module, alone = build(TOY, 17), build_sppe(TOY, 17)
    frozen = initialise(jax.random.key(5), alone, TOY)
    parallel = ParallelSPPE(partial(alone.apply, train=False), "squared", 2.0)
    losses = []
    for weight in (0.0, 3.0):
        config = Config(model=TOY, train=TrainConfig(parallel_weight=weight))
        optimiser = optimisers.build(config)
        state = start(
            jax.random.key(1), initialise(jax.random.key(0), module, TOY), optimiser, ema=0.0
        )
        lesson = pose_lesson(module, config, parallel)
        step = jax.jit(partial(train_step, lesson=lesson, optimiser=optimiser))
        losses.append(step(state, PoseInputs(batch), frozen)[1])
    assert losses[0]["loss"] == losses[0]["loss_main"]
    expected = losses[1]["loss_main"] + 3 * losses[1]["loss_parallel"]
    assert losses[1]["loss"] == pytest.approx(float(expected), rel=1e-5)
