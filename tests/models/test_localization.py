import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.models.localization import ResNet18Localization, SmallLocalization, Theta

NETWORKS = [ResNet18Localization, SmallLocalization]


CROPS = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))


def start(module):
    """First variables; compiled, which is quicker than operation by operation."""
    return jax.jit(lambda key: module.init(key, CROPS, train=False))(jax.random.key(1))


@pytest.mark.parametrize("form", ["affine", "scale_shift"])
@pytest.mark.parametrize("network", NETWORKS)
def test_an_untrained_network_says_identity_and_can_learn(network, form):
    module = network(form)
    variables = start(module)
    theta = jax.jit(lambda v: module.apply(v, CROPS, train=False))(variables)
    np.testing.assert_array_equal(theta, np.broadcast_to(np.eye(2, 3), (2, 2, 3)))

    def loss(params):
        found = module.apply({**variables, "params": params}, CROPS, train=False)
        return jnp.sum(found * jnp.arange(1.0, 7).reshape(1, 2, 3))

    gradient = jax.jit(jax.grad(loss))(variables["params"])["theta"]["dense"]["kernel"]
    assert (np.abs(gradient).max(axis=0) > 0).all(), "each of theta's numbers"


def test_scale_and_shift_is_one_scale_for_both_axes():
    module = Theta("scale_shift")
    variables = module.init(jax.random.key(0), jnp.ones((3, 4)))
    kernel = jax.random.normal(jax.random.key(1), (4, 3))
    variables["params"]["dense"]["kernel"] = kernel
    theta = module.apply(variables, jnp.ones((3, 4)))[0]
    scale, x, y = np.asarray(kernel.sum(0) + jnp.asarray((1.0, 0, 0)))
    np.testing.assert_allclose(theta, [[scale, 0, x], [0, scale, y]], rtol=1e-6)


def test_resnet18_is_the_one_of_the_authors_code():
    """Convolutions with biases; 1x1 shortcuts with bias, without batch norm, where channels grow.

    By hand: stem 7 * 7 * 3 * 64 + 64; a block n -> m has 9 n m + m + 9 m m + m, and n m + m where
    n is not m; two numbers of batch norm for each channel of each convolution but the shortcuts.
    """
    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    expected = 49 * 3 * 64 + 64 + 2 * 64
    for n, m in zip(widths[:-1], widths[1:], strict=True):
        expected += 9 * n * m + 9 * m * m + 2 * m + 4 * m + (n * m + m if n != m else 0)
    expected += 512 * 6 + 6
    shapes = jax.eval_shape(
        lambda key: ResNet18Localization().init(key, CROPS, train=False),
        jax.random.key(0),
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == expected


@pytest.mark.parametrize("network", NETWORKS)
def test_training_changes_the_batch_statistics(network):
    module = network()
    variables = start(module)
    step = jax.jit(lambda v: module.apply(v, CROPS, train=True, mutable=["batch_stats"]))
    _, updated = step(variables)
    before, after = (jax.tree.leaves(v["batch_stats"]) for v in (variables, updated))
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
