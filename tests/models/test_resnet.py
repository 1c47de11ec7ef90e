import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import ModelConfig
from rmpe_jax.models.resnet import ResNet
from rmpe_jax.models.variables import learning
from tests.models import golden

# torchvision's parameter counts, less the classifier (512 or 2048 times 1000, and 1000).
TORCHVISION = {
    18: 11_689_512 - 513_000,
    34: 21_797_672 - 513_000,
    50: 25_557_032 - 2_049_000,
    101: 44_549_160 - 2_049_000,
    152: 60_192_808 - 2_049_000,
}


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_has_torchvisions_number_of_parameters(depth):
    assert golden.parameters(ResNet(depth), 32, 32) == TORCHVISION[depth]


def test_maps_have_their_strides_and_only_asked_stages_are_built():
    module = ResNet(50, stages=3)
    variables = golden.zeros(module, 64, 32)
    images = jnp.zeros((1, 64, 32, 3))
    maps = jax.eval_shape(lambda v, x: module.apply(v, x, train=False), variables, images)
    assert {name: one.shape[1:] for name, one in maps.items()} == {
        "stem": (16, 8, 64),
        "stage1": (16, 8, 256),
        "stage2": (8, 4, 512),
        "stage3": (4, 2, 1024),
    }
    assert not any(name.startswith("layer4") for name in variables["params"])


def test_squeeze_excitation_is_in_first_blocks_only():
    params = golden.zeros(ResNet(18, squeeze_excitation=True), 32, 32)["params"]
    assert {name for name in params if "se" in params[name]} == {f"layer{s}_0" for s in range(1, 5)}


@pytest.mark.parametrize("frozen_stages", [0, 1, 2])
def test_frozen_stages_keep_weights_and_statistics_and_let_the_image_learn(frozen_stages):
    module = ResNet(18, stages=3, frozen_stages=frozen_stages)
    model = ModelConfig(frozen_stages=frozen_stages)
    images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
    variables = golden.filled(module, 32, 32)

    @jax.jit
    def pull(params, images):
        def total(params, images):
            fixed = learning(model, {"trunk": params})["trunk"]
            maps, updated = module.apply(
                {**variables, "params": fixed}, images, train=True, mutable=["batch_stats"]
            )
            # Every map, as a pyramid reads them; weighted, for batch norm makes plain sums zero.
            weighted = [
                (one * jnp.arange(one.size).reshape(one.shape)).sum() for one in maps.values()
            ]
            return sum(weighted), updated["batch_stats"]

        return jax.grad(total, argnums=(0, 1), has_aux=True)(params, images)

    (gradient, to_images), statistics = pull(variables["params"], images)
    assert jnp.any(to_images != 0, axis=(1, 2, 3)).all()
    for name in gradient:
        stage = int(name[5]) if name.startswith("layer") else 0
        frozen = frozen_stages > 0 and stage <= frozen_stages
        moved = [bool(np.any(leaf)) for leaf in jax.tree.leaves(gradient[name])]
        assert not any(moved) if frozen else all(moved), name
        if name in statistics:
            pairs = zip(
                jax.tree.leaves(statistics[name]),
                jax.tree.leaves(variables["batch_stats"][name]),
                strict=True,
            )
            assert all(np.array_equal(new, old) == frozen for new, old in pairs), name


def test_bfloat16_keeps_float32_parameters_and_statistics():
    module = ResNet(18, stages=1, dtype=jnp.bfloat16)
    images = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3))
    variables = golden.filled(module, 32, 32)
    maps, updated = jax.jit(
        lambda x: module.apply(variables, x, train=True, mutable=["batch_stats"])
    )(images)
    assert maps["stage1"].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, updated))} == {np.dtype("float32")}
    exact, rounded = (
        jax.jit(lambda x, m=m: m.apply(variables, x, train=False)["stage1"])(images)
        for m in (module.clone(dtype=jnp.float32), module)
    )
    assert jnp.abs(rounded - exact).max() < 0.05 * jnp.abs(exact).max()
