import jax
import jax.numpy as jnp
import pytest

from rmpe_jax.config import ModelConfig
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise, is_frozen, shapes

SMALL = ModelConfig(family="pyramid", trunk_stages=2, head_width=8, input_height=32, input_width=32)


def test_shapes_are_those_of_the_variables():
    module = build(SMALL, 3)
    made = initialise(jax.random.key(0), module, SMALL)
    expected = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), made)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes(module, SMALL)) == expected


def test_the_key_decides_the_first_values():
    module = build(SMALL, 3)
    first, again, other = (
        initialise(jax.random.key(seed), module, SMALL)["params"]["trunk"]["conv1"]["kernel"]
        for seed in (0, 0, 1)
    )
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, other)


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_frozen_are_the_stem_and_the_first_stages(stages):
    model = ModelConfig(
        family="pyramid", trunk_stages=2, frozen_stages=stages, input_height=32, input_width=32
    )
    params = shapes(build(model, 3), model)["params"]
    frozen = {
        jax.tree_util.keystr(path[:2], simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
        if is_frozen(model, path)
    }
    expected = {f"trunk/layer{stage}_{block}" for stage in (1, 2)[:stages] for block in (0, 1)}
    if stages:
        expected |= {"trunk/conv1", "trunk/bn1"}
    assert frozen == expected


def test_a_layer_of_the_head_is_never_frozen():
    model = ModelConfig(family="pyramid", frozen_stages=4)
    params = {"head": {"conv1": jnp.ones(1)}, "trunk": {"conv1": jnp.ones(1)}}
    frozen = jax.tree_util.tree_map_with_path(lambda path, _: is_frozen(model, path), params)
    assert frozen == {"head": {"conv1": False}, "trunk": {"conv1": True}}
