"""Localisation networks of the spatial transformer: what finds theta [B 2 3].

Two look at crops [B H W 3] in [0, 1], one at the heat-maps that a pose network sees in them.
theta pulls the straight image out of the crop (straight point -> crop point, in [-1, 1]). Its last
layer starts with weight 0 and the identity as bias, so that an untrained transformer changes
nothing (Jaderberg et al., Spatial Transformer Networks, 2015, section 4.2).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.geometry import pixels
from rmpe_jax.models.layers import TORCH_INIT, Conv, ConvNormRelu, batch_norm, max_pool

Form = Literal["affine", "scale_shift"]
RESNET18_WIDTHS = (64, 128, 256, 512)  # two blocks each
SMALL_WIDTHS = (32, 64, 128, 128)  # each layer halves the image
SMALL_HIDDEN = 128
SMALLEST_SUM = 1e-6  # of a joint's heat-map; below it the joint is nowhere


class ResNet18Localization(nn.Module):
    """The paper's localisation network, as its authors' code builds it.

    Fang et al., RMPE (ICCV 2017), section 4.1, and spatial_transformer_with_theta.lua: not the
    common ResNet-18 but one whose convolutions have biases, whose shortcuts are 1x1 convolutions
    without batch norm where channels change, and which starts from nothing but chance.
    """

    form: Form = "affine"
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, crops: Float[Array, "b h w 3"], *, train: bool) -> Float[Array, "b 2 3"]:
        """Return theta, float32."""
        x = ConvNormRelu(
            64,
            7,
            2,
            bias=True,
            kernel_init=TORCH_INIT,
            dtype=self.dtype,
            norm_axis=self.norm_axis,
            name="stem",
        )(crops, train=train)
        x = max_pool(x, 3, 2, padding=1)
        for stage, width in enumerate(RESNET18_WIDTHS):
            for number in (0, 1):
                stride = 2 if stage > 0 and number == 0 else 1
                name = f"layer{stage + 1}_{number}"
                x = _Block(width, stride, self.dtype, self.norm_axis, name=name)(x, train=train)
        return Theta(self.form, name="theta")(x.mean(axis=(1, 2)))


class SmallLocalization(nn.Module):
    """A localisation network for small inputs and few cores: four layers, then all places at once.

    It keeps where things are, which an average over the image only hints at.
    """

    form: Form = "affine"
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, crops: Float[Array, "b h w 3"], *, train: bool) -> Float[Array, "b 2 3"]:
        """Return theta, float32."""
        x = crops
        for number, width in enumerate(SMALL_WIDTHS):
            x = ConvNormRelu(
                width, 3, 2, dtype=self.dtype, norm_axis=self.norm_axis, name=f"conv{number}"
            )(x, train=train)
        x = x.reshape(x.shape[0], -1)
        x = nn.Dense(SMALL_HIDDEN, dtype=self.dtype, name="hidden")(x)
        # Without batch norm the first large steps leave the whole layer below 0, where it stays.
        x = jax.nn.relu(batch_norm(train, self.dtype, "hidden_bn", self.norm_axis)(x))
        return Theta(self.form, name="theta")(x)


class PoseLocalization(nn.Module):
    """A localisation network that reads where a pose network sees the joints in the crop.

    Where somebody's joints begin and end, from left to right and from top to bottom, says almost
    all about how a crop should have been; a network that must find people by itself needs many
    more steps. Of each joint it takes the mean place and the peak, of all joints together the
    share in each column and each row.
    """

    form: Form = "affine"
    logits: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, heatmaps: Float[Array, "stacks b h w k"], *, train: bool
    ) -> Float[Array, "b 2 3"]:
        """Return theta, float32. `heatmaps` are logits if the pose network gives logits."""
        last = heatmaps[-1].astype(jnp.float32)
        if self.logits:
            share = jax.nn.softmax(last, axis=(1, 2))
        else:
            last = jax.nn.relu(last)
            share = last / jnp.maximum(last.sum(axis=(1, 2), keepdims=True), SMALLEST_SUM)
        batch, height, width, _ = share.shape
        place = jnp.einsum("bhwk,hwc->bkc", share, pixels.centres(height, width))
        joints = share.mean(axis=3)
        features = [
            place.reshape(batch, -1),
            share.max(axis=(1, 2)),
            joints.sum(axis=1),
            joints.sum(axis=2),
        ]
        x = jnp.concatenate(features, axis=-1).astype(self.dtype)
        x = jax.nn.relu(nn.Dense(SMALL_HIDDEN, dtype=self.dtype, name="hidden")(x))
        return Theta(self.form, name="theta")(x)


class Theta(nn.Module):
    """The last layer: features to theta, the identity at first."""

    form: Form = "affine"

    @nn.compact
    def __call__(self, features: Float[Array, "b c"]) -> Float[Array, "b 2 3"]:
        """Return theta: all six numbers, or one scale for both axes and a shift (STN, eq. 2)."""
        identity = {"affine": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "scale_shift": (1.0, 0.0, 0.0)}
        start = jnp.asarray(identity[self.form])
        dense = nn.Dense(
            len(start),
            kernel_init=nn.initializers.zeros,
            bias_init=lambda key, shape, dtype: start.astype(dtype),
            name="dense",
        )
        numbers = dense(features.astype(jnp.float32))
        if self.form == "affine":
            return numbers.reshape(-1, 2, 3)
        scale, shift_x, shift_y = numbers.T
        nothing = jnp.zeros_like(scale)
        rows = [[scale, nothing, shift_x], [nothing, scale, shift_y]]
        return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=1)


class _Block(nn.Module):
    """A residual block of two 3x3 convolutions with biases."""

    width: int
    stride: int
    dtype: DTypeLike
    norm_axis: str | None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b oh ow f"]:
        settings = {"bias": True, "kernel_init": TORCH_INIT, "dtype": self.dtype}
        first = ConvNormRelu(
            self.width, 3, self.stride, **settings, norm_axis=self.norm_axis, name="first"
        )
        residual = first(x, train=train)
        residual = Conv(self.width, 3, **settings, name="second")(residual)
        residual = batch_norm(train, self.dtype, "second_bn", self.norm_axis)(residual)
        if x.shape[-1] != self.width:
            x = Conv(self.width, 1, self.stride, **settings, name="shortcut")(x)
        return jax.nn.relu(x + residual)
