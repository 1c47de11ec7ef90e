import jax
import jax.numpy as jnp
import pytest

from rmpe_jax.models.pyramid import PyramidPose
from tests.models import golden


@pytest.mark.parametrize("stages", [2, 3, 4])
def test_heatmaps_are_a_quarter_of_the_input(stages):
    module = PyramidPose(5, stages=stages, width=8)
    variables = golden.zeros(module, 64, 32)
    image = jnp.zeros((2, 64, 32, 3))
    out = jax.eval_shape(lambda v, x: module.apply(v, x, train=False), variables, image)
    assert out.shape == (1, 2, 16, 8, 5) and out.dtype == jnp.float32
    assert f"layer{stages}_1" in variables["params"]["trunk"]
    assert f"layer{stages + 1}_0" not in variables["params"]["trunk"]


def test_every_stage_reaches_the_heatmaps():
    module = PyramidPose(2, stages=3, width=4)
    images = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3))
    variables = golden.filled(module, 32, 32)

    def total(params):
        heatmaps = module.apply({**variables, "params": params}, images, train=False)
        return (heatmaps**2).sum()

    gradient = jax.jit(jax.grad(total))(variables["params"])
    for name in ("lateral1", "lateral2", "lateral3", "block0_0", "block0_1"):
        assert any(leaf.any() for leaf in jax.tree.leaves(gradient[name])), name


def test_the_head_has_as_many_blocks_as_asked():
    names = golden.zeros(PyramidPose(2, width=4, blocks=2), 32, 32)["params"]
    assert {"block0_0", "block0_1", "block1_0", "block1_1"} <= names.keys()
    assert "block2_0" not in names


def test_a_heatmap_pixel_looks_at_its_own_place():
    """Were pixels folded and unfolded in different orders, the impulse would be elsewhere."""
    module = PyramidPose(1, stages=2, width=4, normalise="none")
    variables = golden.filled(module, 64, 64)
    image = jax.random.uniform(jax.random.key(0), (1, 64, 64, 3))

    def value(image, row, column):
        return module.apply(variables, image, train=False)[0, 0, row, column, 0]

    gradient = jax.jit(jax.grad(value))
    rows, columns = ((gradient(image, 4, 11)[0] ** 2).sum((axis, 2)) for axis in (1, 0))
    pixels = jnp.arange(64) + 0.5
    assert abs((rows * pixels).sum() / rows.sum() - 18) < 6
    assert abs((columns * pixels).sum() / columns.sum() - 46) < 6


def test_stored_statistics_stay_while_weights_learn():
    module = PyramidPose(1, stages=2, width=4, stored_statistics=True)
    variables = golden.filled(module, 32, 32)
    images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))

    def total(params):
        heatmaps, updated = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return (heatmaps**2).sum(), updated["batch_stats"]

    gradient, statistics = jax.jit(jax.grad(total, has_aux=True))(variables["params"])
    before, after = variables["batch_stats"], statistics
    same = jax.tree.map(jnp.array_equal, before["trunk"], after["trunk"])
    assert all(jax.tree.leaves(same))
    assert not jnp.array_equal(before["lateral_bn1"]["mean"], after["lateral_bn1"]["mean"])
    assert gradient["trunk"]["conv1"]["kernel"].any()
