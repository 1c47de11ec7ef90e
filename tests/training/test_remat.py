from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import ModelConfig, STNConfig
from rmpe_jax.models.build import build
from rmpe_jax.training.groups import apply_in_groups, recomputed
from rmpe_jax.training.pose_lesson import HEATMAPS_BATCH_AXIS

SIDES = {"input_height": 64, "input_width": 64}
MODELS = {
    "hourglass": ModelConfig(family="hourglass", stacks=2, features=8, **SIDES),
    "one body": ModelConfig(family="hourglass", stacks=2, features=8, scan_stacks=True, **SIDES),
    "pyramid": ModelConfig(family="pyramid", depth=10, trunk_stages=2, head_width=8, **SIDES),
    "transformer": ModelConfig(
        family="pyramid", depth=10, trunk_stages=2, head_width=8, stn=STNConfig("affine"), **SIDES
    ),
}


def loss_of(module, variables, remat, groups):
    images = jax.random.uniform(jax.random.key(1), (4, 64, 64, 3))

    def loss(params):
        maps, _ = apply_in_groups(
            module,
            {**variables, "params": params},
            images,
            groups=groups,
            batch_axes=HEATMAPS_BATCH_AXIS,
            remat=remat,
        )
        return jnp.sum(maps**2)

    return loss


def kept_bytes(loss, params):
    """What is kept for the way back, parameters aside."""
    back = jax.eval_shape(lambda params: jax.vjp(loss, params)[1], params)
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(back))
    return whole - sum(4 * leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", MODELS)
def test_less_is_kept(name):
    module = build(MODELS[name], 3)
    images = jnp.zeros((1, 64, 64, 3))
    variables = jax.eval_shape(partial(module.init, train=False), jax.random.key(0), images)
    concrete = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), variables)
    none, blocks = (
        kept_bytes(loss_of(module, concrete, remat, 2), concrete["params"])
        for remat in ("none", "blocks")
    )
    assert 0 < blocks < 0.5 * none


def test_the_gradient_is_the_same():
    model = replace(MODELS["pyramid"], trunk_stages=2)
    module = build(model, 3)
    images = jnp.zeros((1, 64, 64, 3))
    variables = jax.jit(partial(module.init, train=False))(jax.random.key(0), images)
    expected, found = (
        jax.jit(jax.grad(loss_of(module, variables, remat, 2)))(variables["params"])
        for remat in ("none", "blocks")
    )
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6 * float(jnp.abs(a).max() + 1e-3))


def test_without_it_a_function_is_left_alone():
    assert recomputed(len, "none") is len
