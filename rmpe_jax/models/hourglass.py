"""The stacked hourglass: RGB crops [B H W 3] in [0, 1] to heat-maps [stacks B H/4 W/4 K].

Newell et al., Stacked Hourglass Networks (ECCV 2016), after the authors' Lua code: pre-activation
residuals, every convolution with a bias. H and W are multiples of 64. Sub-modules carry the names
of the authors' PyTorch version with `_` for `.` before a number, so that weights are found by name.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import (
    TORCH_INIT,
    Conv,
    ConvNormRelu,
    batch_norm,
    max_pool,
    standardise,
    upsample_nearest,
)

DEPTH = 4  # times that an hourglass halves its maps


class Residual(nn.Module):
    """Three times batch norm, ReLU, convolution, added to the raw input (or a 1x1 of it)."""

    features: int
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Return the features after the block."""
        half = self.features // 2
        residual = x
        for number, (features, size) in enumerate(((half, 1), (half, 3), (self.features, 1)), 1):
            residual = batch_norm(train, self.dtype, f"bn{number}", self.norm_axis)(residual)
            residual = _conv(features, size, self.dtype, f"conv{number}")(jax.nn.relu(residual))
        if x.shape[-1] != self.features:
            x = _conv(self.features, 1, self.dtype, "skip_layer")(x)
        return x + residual


class Hourglass(nn.Module):
    """Features at this size plus features at half of it, `depth` times over."""

    depth: int
    features: int
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w c"]:
        """Return the features after going down and up again."""
        up = Residual(self.features, self.dtype, self.norm_axis, name="up1")(x, train=train)
        x = Residual(self.features, self.dtype, self.norm_axis, name="low1")(
            max_pool(x, 2, 2), train=train
        )
        if self.depth > 1:
            inner = Hourglass(
                self.depth - 1, self.features, self.dtype, self.norm_axis, name="low2"
            )
        else:
            inner = Residual(self.features, self.dtype, self.norm_axis, name="low2")
        x = inner(x, train=train)
        x = Residual(self.features, self.dtype, self.norm_axis, name="low3")(x, train=train)
        return up + upsample_nearest(x, 2)


class StackedHourglass(nn.Module):
    """The network; the paper has 8 stacks, all trained against the same heat-maps."""

    joints: int
    stacks: int = 8
    features: int = 256
    normalise: Literal["none", "imagenet"] = "none"
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], *, train: bool
    ) -> Float[Array, "{self.stacks} b h//4 w//4 {self.joints}"]:
        """Return the heat-maps of every stack, float32; the last are the best."""
        x = self._stem(standardise(images, self.normalise), train)
        heatmaps = []
        for stack in range(self.stacks):
            inner = Hourglass(
                DEPTH, self.features, self.dtype, self.norm_axis, name=f"hgs_{stack}_0"
            )
            features = inner(x, train=train)
            features = self._residual(f"features_{stack}_0")(features, train=train)
            features = self._conv_norm_relu(self.features, 1, 1, f"features_{stack}_1")(
                features, train=train
            )
            predicted = _conv(self.joints, 1, self.dtype, f"outs_{stack}")(features)
            heatmaps.append(predicted.astype(jnp.float32))
            if stack < self.stacks - 1:
                merge_features = _conv(self.features, 1, self.dtype, f"merge_features_{stack}")
                merge_preds = _conv(self.features, 1, self.dtype, f"merge_preds_{stack}")
                x = x + merge_features(features) + merge_preds(predicted)
        return jnp.stack(heatmaps)

    def _stem(self, images: Float[Array, "b h w 3"], train: bool) -> Float[Array, "b oh ow f"]:
        """Return the features at stride 4."""
        x = self._conv_norm_relu(64, 7, 2, "pre_0")(images, train=train)
        x = max_pool(Residual(128, self.dtype, self.norm_axis, name="pre_1")(x, train=train), 2, 2)
        x = Residual(128, self.dtype, self.norm_axis, name="pre_3")(x, train=train)
        return self._residual("pre_4")(x, train=train)

    def _residual(self, name: str) -> Residual:
        """Return a residual block of the network's width."""
        return Residual(self.features, self.dtype, self.norm_axis, name=name)

    def _conv_norm_relu(self, features: int, size: int, stride: int, name: str) -> ConvNormRelu:
        """Return a convolution, batch norm and ReLU."""
        return ConvNormRelu(
            features,
            size,
            stride,
            bias=True,
            kernel_init=TORCH_INIT,
            dtype=self.dtype,
            norm_axis=self.norm_axis,
            name=name,
        )


def _conv(features: int, size: int, dtype: DTypeLike, name: str) -> Conv:
    """Return a convolution as the hourglass wants it: with a bias."""
    return Conv(features, size, bias=True, kernel_init=TORCH_INIT, dtype=dtype, name=name)
