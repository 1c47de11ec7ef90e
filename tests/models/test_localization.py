import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rmpe_jax.geometry import heatmaps
from rmpe_jax.models.localization import (
    PoseLocalization,
    ResNet18Localization,
    SmallLocalization,
    Theta,
)

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


def joints_about(centres):
    """Joints [b 5 2] at the corners and the middle of a square about each centre [b 2]."""
    corners = jnp.asarray([[-1.0, -1], [1, -1], [0, 0], [-1, 1], [1, 1]]) * 0.4
    return centres[:, None] + corners[None]


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("form", ["affine", "scale_shift"])
def test_a_network_that_reads_poses_begins_at_identity_and_learns_where_people_are(form, logits):
    """Its theta must follow people who stand off the centre of the crop, unseen ones too."""
    centres = jax.random.uniform(jax.random.key(2), (64, 2), minval=-0.5, maxval=0.5)
    maps = jax.vmap(lambda joints: heatmaps.encode(joints, 16, 12, 1.0))(joints_about(centres))
    maps = (jnp.log(maps + 1e-6) if logits else maps)[None]
    wanted = jnp.tile(jnp.eye(2, 3), (64, 1, 1)).at[:, :, 2].set(centres)
    module = PoseLocalization(form, logits=logits)
    params = jax.jit(lambda key: module.init(key, maps, train=True))(jax.random.key(0))["params"]

    @jax.jit
    def found(params, maps):
        return module.apply({"params": params}, maps, train=False)

    np.testing.assert_array_equal(found(params, maps[:, :2]), np.tile(np.eye(2, 3), (2, 1, 1)))
    optimiser = optax.adam(3e-3)

    @jax.jit
    def learned(params):
        def step(_, carry):
            params, state = carry
            gradient = jax.grad(lambda p: jnp.mean((found(p, maps[:, :48]) - wanted[:48]) ** 2))(
                params
            )
            updates, state = optimiser.update(gradient, state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 300, step, (params, optimiser.init(params)))[0]

    error = jnp.abs(found(learned(params), maps[:, 48:]) - wanted[48:]).max()
    assert error < 0.1, "of shifts up to 0.5"


@pytest.fixture(scope="module")
def reader():
    """A network that reads poses, knows something, and heat-maps of three people."""
    centres = jax.random.uniform(jax.random.key(2), (3, 2), minval=-0.5, maxval=0.5)
    maps = jax.vmap(lambda joints: heatmaps.encode(joints, 16, 12, 1.0))(joints_about(centres))
    maps = maps[None] + 1e-6
    variables = PoseLocalization().init(jax.random.key(0), maps, train=False)
    kernel = variables["params"]["theta"]["dense"]["kernel"]
    known = 0.1 * jax.random.normal(jax.random.key(1), kernel.shape)
    variables["params"]["theta"]["dense"]["kernel"] = known
    return variables, maps


def test_logits_are_read_as_the_shares_that_they_stand_for(reader):
    variables, maps = reader
    plain = PoseLocalization().apply(variables, maps, train=False)
    logits = PoseLocalization(logits=True).apply(variables, jnp.log(maps), train=False)
    np.testing.assert_allclose(plain, logits, atol=1e-5)
    assert np.abs(plain[0] - plain[1]).max() > 0.01


def test_the_last_stack_is_read(reader):
    variables, maps = reader
    both = jnp.concatenate([maps[:, ::-1], maps])
    found = PoseLocalization().apply(variables, both, train=False)
    np.testing.assert_allclose(
        found, PoseLocalization().apply(variables, maps, train=False), atol=1e-6
    )


def test_heat_maps_without_anybody_give_a_theta_all_the_same():
    maps = jnp.zeros((1, 2, 8, 6, 5))
    module = PoseLocalization()
    params = module.init(jax.random.key(0), maps, train=False)
    assert np.isfinite(module.apply(params, maps, train=False)).all()
