"""The layers that every pose network is made of, in the forms that are fast on CPU, GPU and TPU.

Arrays are [B H W C]; padding is symmetric and explicit, as PyTorch's, never "SAME". Parameters are
float32, `dtype` is the type of the arithmetic. Everything is plain operations of `lax`, so jvp,
vmap and gradients of any order work.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Float

LAYOUT = ("NHWC", "HWIO", "NHWC")
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)

HE_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# PyTorch's own default: uniform within 1 / sqrt(inputs).
TORCH_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
# Heat-maps start near zero, as Xiao et al., Simple Baselines (ECCV 2018), train them.
SMALL_INIT = nn.initializers.normal(0.001)
BLOCK = "block"  # name of what `training.groups` keeps of a block with remat


def standardise(
    images: Float[Array, "b h w 3"], normalise: Literal["none", "imagenet"]
) -> Float[Array, "b h w 3"]:
    """Return RGB images in [0, 1] as the network wants them."""
    if normalise == "none":
        return images
    mean, std = jnp.asarray(IMAGENET_MEAN), jnp.asarray(IMAGENET_STD)
    return (images - mean[None, None, None]) / std[None, None, None]


def convolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c f"], stride: int, padding: int
) -> Float[Array, "b oh ow f"]:
    """Return the convolution of `x` with `kernel`, `padding` zeros at each of the four sides.

    A 1x1 convolution is a matrix product and says so: XLA:CPU runs it 2 times faster forward and
    3 times faster backward than as a convolution. Flat rows, because the weight gradient of a
    product over four axes is transposed in a slow way. Larger kernels are as fast natively.
    """
    if kernel.shape[0] == 1 and padding == 0:
        x = x[:, ::stride, ::stride]
        flat = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
        return flat.reshape(*x.shape[:-1], kernel.shape[-1])
    sides = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, kernel, (stride, stride), sides, dimension_numbers=LAYOUT)


class Conv(nn.Module):
    """A convolution; `padding` None keeps the size at stride 1 (odd kernels)."""

    features: int
    size: int
    stride: int = 1
    padding: int | None = None
    bias: bool = False
    kernel_init: nn.initializers.Initializer = HE_INIT
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b oh ow f"]:
        """Return `x` convolved."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        padding = self.size // 2 if self.padding is None else self.padding
        x = convolve(x.astype(self.dtype), kernel, self.stride, padding)
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            x = x + bias.astype(self.dtype)[None, None, None]
        return x


def deconvolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "4 4 c f"]
) -> Float[Array, "b 2*h 2*w f"]:
    """Return the 4x4, stride 2, padding 1 transposed convolution of `x`.

    One ordinary 2x2 convolution per parity (a, b) of the output pixel, then interleaved: the
    weight gradient of `lax.conv_transpose` is 20 to 40 times slower on XLA:CPU. Equal to
    `lax.conv_transpose(x, kernel, (2, 2), "SAME")`; PyTorch's kernel is this one turned by 180
    degrees. The padding is inside each convolution: slices of a padded array cost 20 % more.
    """
    b, h, w, _ = x.shape

    def phase(row: int, column: int) -> Float[Array, "b h w f"]:
        sides = ((1 - row, row), (1 - column, column))
        taps = kernel[row::2, column::2]
        return lax.conv_general_dilated(x, taps, (1, 1), sides, dimension_numbers=LAYOUT)

    rows = [jnp.stack([phase(row, 0), phase(row, 1)], axis=3) for row in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, -1)


class PhaseDeconv(nn.Module):
    """A 4x4 transposed convolution that doubles height and width.

    Its parameter has a name of its own, so that importers know a transposed kernel by it.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w f"]:
        """Return `x` at twice its size."""
        shape = (4, 4, x.shape[-1], self.features)
        kernel = self.param("deconv_kernel", SMALL_INIT, shape, jnp.float32)
        return deconvolve(x.astype(self.dtype), kernel.astype(self.dtype))


def end_of_block(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Return `x`, named as what is worth keeping for the way back where memory is short."""
    return checkpoint_name(x, BLOCK)


def max_pool(
    x: Float[Array, "b h w c"], size: int, stride: int, padding: int = 0
) -> Float[Array, "b oh ow c"]:
    """Return the largest value of each window; the first of equal ones has all the gradient.

    A chain of selects over strided slices: the gradient of `nn.max_pool` is ten times slower on
    XLA:CPU. `jnp.maximum` would share the gradient among equal values, as `nn.max_pool` does not.
    """
    height, width = ((side + 2 * padding - size) // stride + 1 for side in x.shape[1:3])
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = jnp.pad(x, sides, constant_values=-jnp.inf)
    taps = []
    for row in range(size):
        for column in range(size):
            rows = slice(row, row + (height - 1) * stride + 1, stride)
            columns = slice(column, column + (width - 1) * stride + 1, stride)
            taps.append(x[:, rows, columns])
    return functools.reduce(lambda largest, tap: jnp.where(tap > largest, tap, largest), taps)


def pixel_shuffle(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b oh ow oc"]:
    """Return `x` with blocks of factor^2 channels laid out as factor x factor pixels.

    Channel c * factor^2 + i * factor + j becomes channel c of pixel (i, j), PyTorch's order. Shi
    et al., Real-Time Single Image Super-Resolution (CVPR 2016), eq. 4.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, c // factor**2, factor, factor)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(b, h * factor, w * factor, c // factor**2)


def pixel_unshuffle(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b oh ow oc"]:
    """Return `x` with factor x factor pixels laid out as channels, what `pixel_shuffle` undoes."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(b, h // factor, w // factor, c * factor**2)


def upsample_nearest(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b oh ow c"]:
    """Return `x` with each pixel repeated as a factor x factor block."""
    b, h, w, c = x.shape
    blocks = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
    return blocks.reshape(b, h * factor, w * factor, c)


def batch_norm(train: bool, dtype: DTypeLike, name: str, axis: str | None = None) -> nn.BatchNorm:
    """Return PyTorch's batch norm (its momentum 0.1 is 0.9 here); statistics are float32.

    `axis` names a mapped axis, of `jax.pmap` or `jax.shard_map`, whose devices share one set of
    statistics; None: each has its own. In a program that sees the whole batch there is no such
    axis.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        dtype=dtype,
        axis_name=axis,
        name=name,
    )


class ConvNormRelu(nn.Module):
    """A convolution, batch norm and ReLU."""

    features: int
    size: int
    stride: int = 1
    bias: bool = False
    kernel_init: nn.initializers.Initializer = HE_INIT
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b oh ow f"]:
        """Return `x` after the three."""
        conv = Conv(
            self.features,
            self.size,
            self.stride,
            bias=self.bias,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="conv",
        )
        return jax.nn.relu(batch_norm(train, self.dtype, "bn", self.norm_axis)(conv(x)))
