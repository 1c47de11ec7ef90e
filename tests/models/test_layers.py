"""Layers against the plain forms of lax and flax, which are slow but known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from jax.test_util import check_grads

from rmpe_jax.models import layers


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def plain_convolve(x, kernel, stride, padding):
    sides = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), sides, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


CASES = [
    (size, stride, padding, height, width)
    for size, stride, padding in [
        (1, 1, 0),
        (1, 2, 0),
        (1, 1, 1),
        (3, 1, 1),
        (3, 2, 1),
        (3, 1, 0),
        (7, 2, 3),
    ]
    for height, width in [(8, 6), (9, 7)]
]


@pytest.mark.parametrize(("size", "stride", "padding", "height", "width"), CASES)
def test_convolution_and_its_gradient_are_those_of_lax(
    float64, size, stride, padding, height, width
):
    x, kernel = normal(2, height, width, 3), normal(size, size, 3, 4, seed=1)
    ours, pull = jax.vjp(lambda x, k: layers.convolve(x, k, stride, padding), x, kernel)
    plain, plain_pull = jax.vjp(lambda x, k: plain_convolve(x, k, stride, padding), x, kernel)
    np.testing.assert_allclose(ours, plain, atol=1e-12)
    gradient = normal(*plain.shape, seed=2)
    for mine, theirs in zip(pull(gradient), plain_pull(gradient), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_convolution_may_be_mapped_and_differentiated_forward_and_twice(float64, size):
    x, kernel = normal(3, 1, 5, 4, 2), normal(size, size, 2, 3, seed=1)

    def f(x, kernel):
        return layers.convolve(x, kernel, 1, size // 2)

    mapped = jax.jit(jax.vmap(f, (0, None)))(x, kernel)
    np.testing.assert_allclose(mapped, jnp.stack([f(one, kernel) for one in x]), atol=1e-12)
    check_grads(
        lambda x, k: jnp.sin(f(jnp.asarray(x), jnp.asarray(k))), (x[0], kernel), 2, ["fwd", "rev"]
    )


def test_convolution_layer_pads_as_pytorch_does():
    layer = layers.Conv(4, 3, 2, bias=True)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 8, 6, 2)))
    variables["params"]["bias"] = jnp.arange(4.0)
    x = normal(1, 8, 6, 2)
    expected = plain_convolve(x, variables["params"]["kernel"], 2, 1)
    np.testing.assert_allclose(
        layer.apply(variables, x), expected + jnp.arange(4.0)[None, None, None], atol=1e-6
    )
    assert layers.Conv(4, 3, padding=0).apply(variables, x).shape == (1, 6, 4, 4)


def test_deconvolution_and_its_gradient_are_those_of_lax(float64):
    x, kernel = normal(2, 5, 3, 4), normal(4, 4, 4, 6, seed=1)

    def plain(x, kernel):
        return lax.conv_transpose(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    ours, pull = jax.vjp(layers.deconvolve, x, kernel)
    theirs, plain_pull = jax.vjp(plain, x, kernel)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    gradient = normal(*theirs.shape, seed=2)
    for mine, other in zip(pull(gradient), plain_pull(gradient), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-12)


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (2, 0)])
@pytest.mark.parametrize("ties", [False, True])
def test_max_pool_and_its_gradient_are_those_of_flax(size, padding, ties):
    x = normal(2, 9, 8, 3)
    x = jnp.round(x) if ties else x  # rounded normals are equal to their neighbours often

    def plain(x):
        sides = ((padding, padding), (padding, padding))
        return nn.max_pool(x, (size, size), (2, 2), sides)

    ours, pull = jax.vjp(lambda x: layers.max_pool(x, size, 2, padding), x)
    theirs, plain_pull = jax.vjp(plain, x)
    np.testing.assert_array_equal(ours, theirs)
    gradient = normal(*theirs.shape, seed=1)
    np.testing.assert_allclose(pull(gradient)[0], plain_pull(gradient)[0], atol=1e-6)


def test_pixel_shuffle_is_pytorchs():
    # Channel c * 4 + 2 * i + j goes to channel c of pixel (i, j): written out by hand.
    x = jnp.arange(8.0).reshape(1, 1, 1, 8)
    expected = [[[0, 4], [1, 5]], [[2, 6], [3, 7]]]
    np.testing.assert_array_equal(layers.pixel_shuffle(x, 2)[0], expected)


def test_upsampling_repeats_pixels():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(layers.upsample_nearest(x, 2), x.repeat(2, 1).repeat(2, 2))


def test_batch_norm_is_pytorchs():
    x = 3 * normal(4, 5, 6, 2) + 1
    norm = layers.batch_norm(True, jnp.float32, "bn")
    variables = norm.init(jax.random.key(0), x)
    y, updated = norm.apply(variables, x, mutable=["batch_stats"])
    x = np.asarray(x)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(np.asarray(y), (x - mean) / np.sqrt(variance + 1e-5), atol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], 0.9 + 0.1 * variance, rtol=1e-5)


def test_standardised_imagenet_mean_is_zero():
    images = jnp.broadcast_to(jnp.asarray([0.485, 0.456, 0.406]), (1, 2, 2, 3))
    np.testing.assert_allclose(layers.standardise(images, "imagenet"), 0, atol=1e-6)
    one_std = images + jnp.asarray([0.229, 0.224, 0.225])[None, None, None]
    np.testing.assert_allclose(layers.standardise(one_std, "imagenet"), 1, atol=1e-5)
    np.testing.assert_array_equal(layers.standardise(images, "none"), images)


def test_bfloat16_is_for_arithmetic_only():
    layer = layers.ConvNormRelu(4, 3, dtype=jnp.bfloat16)
    x = normal(2, 4, 4, 3)
    variables = layer.init(jax.random.key(0), x, train=False)
    y, updated = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    leaves = jax.tree.leaves((variables, updated))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


def test_unshuffling_undoes_shuffling():
    x = jnp.arange(2 * 4 * 6 * 12.0).reshape(2, 4, 6, 12)
    folded = layers.pixel_unshuffle(layers.pixel_shuffle(x, 2), 2)
    np.testing.assert_array_equal(folded, x)
    assert layers.pixel_unshuffle(x, 2).shape == (2, 2, 3, 48)
