import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from rmpe_jax.models.layers import convolve
from rmpe_jax.planning.arithmetic import flops


def counted(function, *shapes):
    return flops(jax.make_jaxpr(function)(*map(jnp.zeros, shapes)))


def test_a_matrix_product_counts_two_for_each_multiply_add():
    assert counted(jnp.matmul, (3, 5), (5, 7)) == 2 * 3 * 5 * 7
    assert counted(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (4, 3, 5), (4, 5, 7)) == (
        4 * 2 * 3 * 5 * 7
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_and_each_of_its_gradients_ask_for_as_much(stride):
    x, kernel = (2, 12, 8, 5), (3, 3, 5, 7)
    once = 2 * (2 * 12 * 8 * 7 // stride**2) * 3 * 3 * 5

    def loss(x, kernel):
        return convolve(x, kernel, stride, 1).sum()

    assert counted(loss, x, kernel) == once
    # Of a linear function the gradient to one side needs the other alone, not the value.
    assert counted(jax.grad(loss), x, kernel) == pytest.approx(2 * once, rel=0.35)
    by_hand = jax.jit(loss).lower(jnp.zeros(x), jnp.zeros(kernel)).compile().cost_analysis()
    assert by_hand["flops"] <= 1.05 * once  # XLA leaves out products with the padding


def test_a_loop_counts_each_time_and_a_choice_its_dearer_way():
    square = jnp.zeros((6, 6))

    def loop(x):
        return jax.lax.scan(lambda c, _: (c @ square, None), x, length=5)[0]

    def choice(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ square @ square, lambda x: x @ square, x)

    assert counted(loop, (6, 6)) == 5 * 2 * 6**3
    assert counted(choice, (6, 6)) == 2 * 2 * 6**3
    assert counted(jax.checkpoint(lambda x: x @ square), (6, 6)) == 2 * 6**3


def test_every_devices_part_counts():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    cut = PartitionSpec("data")
    each = jax.shard_map(
        lambda a, b: a @ b, mesh=mesh, in_specs=(cut, PartitionSpec()), out_specs=cut
    )
    assert counted(each, (8, 5), (5, 7)) == counted(jnp.matmul, (8, 5), (5, 7))
