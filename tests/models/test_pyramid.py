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
    for name in ("lateral1", "lateral2", "lateral3", "smooth1_0", "smooth2_0"):
        assert any(leaf.any() for leaf in jax.tree.leaves(gradient[name])), name


def test_coarse_maps_are_smoothed_as_often_as_asked():
    names = golden.zeros(PyramidPose(2, width=4, smoothings=2), 32, 32)["params"]
    assert {"smooth1_0", "smooth1_1", "smooth2_0", "smooth2_1"} <= names.keys()
