from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax.models import hourglass, weights
from rmpe_jax.models.hourglass import StackedHourglass
from tests.models import golden


def test_equals_pytorchs_output_and_takes_every_used_weight(data_root):
    left_out = golden.check(
        StackedHourglass(16, stacks=2),
        weights.hourglass_name,
        data_root,
        "hourglass_2stack_16",
        "hourglass_state_dict_keys.txt",
        "",
    )
    # The authors' PyTorch version also stores a skip where input and output are alike, unused.
    assert left_out and all(".skip_layer." in key for key in left_out)


def test_has_the_papers_number_of_parameters():
    counts = {stacks: golden.parameters(StackedHourglass(16, stacks), 64, 64) for stacks in (1, 8)}
    assert {stacks: round(count / 1e6, 2) for stacks, count in counts.items()} == {
        1: 3.43,
        8: 25.43,
    }


def test_one_program_for_all_stacks_learns_the_same(monkeypatch):
    monkeypatch.setattr(hourglass, "DEPTH", 1)  # compiled in a fifth of the time
    images = jax.random.uniform(jax.random.key(0), (2, 64, 64, 3))
    unrolled, scanned = (StackedHourglass(3, 2, 8, scan_stacks=scan) for scan in (False, True))
    variables = jax.jit(partial(unrolled.init, train=False))(jax.random.key(1), images)

    def loss(params, module):
        inputs = {**variables, "params": params}
        maps, moved = module.apply(inputs, images, train=True, mutable=["batch_stats"])
        weights = jnp.array([1.0, 2.0])[:, None, None, None, None]
        return jnp.sum(weights * maps**2), (maps, moved["batch_stats"])

    (expected, seen), (found, seen_by_scan) = (
        reversed(
            jax.jit(jax.value_and_grad(partial(loss, module=module), has_aux=True))(
                variables["params"]
            )
        )
        for module in (unrolled, scanned)
    )
    for one, other in ((seen, seen_by_scan), (expected, found)):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        # Of what cancels to nothing, the gradient of a bias before batch norm, rounding is left.
        largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(one))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(b, a, atol=1e-5 * largest, rtol=1e-3)


def test_a_program_for_all_stacks_begins_and_predicts_alike():
    images = jnp.zeros((1, 64, 64, 3))
    shapes = [
        jax.eval_shape(partial(module.init, train=False), jax.random.key(0), images)
        for module in (StackedHourglass(3, 2, 8), StackedHourglass(3, 2, 8, scan_stacks=True))
    ]
    assert shapes[0] == shapes[1]
    for stacks in (1, 2):
        module = StackedHourglass(3, stacks, 8, scan_stacks=True)
        maps = jax.eval_shape(partial(module.apply, train=False), shapes[1], images)
        assert maps.shape == (stacks, 1, 16, 16, 3)
