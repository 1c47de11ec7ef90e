"""The ResNet trunk: RGB crops [B H W 3], already standardised, to feature maps of each stage.

He et al., Deep Residual Learning (CVPR 2016), as torchvision lays it out: the stride of a
bottleneck is in its 3x3 convolution. Sub-modules carry torchvision's names with `_` for `.` before
a number, so that weights are found by name. FastPose's variant has squeeze and excitation (Hu et
al., CVPR 2018) in the first block of each stage.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import HE_INIT, Conv, batch_norm, end_of_block, max_pool

BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
WIDTHS = (64, 128, 256, 512)  # of the 3x3 convolutions of each stage
BOTTLENECK_DEPTH = 50  # from this depth on, blocks are bottlenecks
EXPANSION = 4  # output channels of a bottleneck per channel of its 3x3 convolution


class SqueezeExcitation(nn.Module):
    """Channels are weighted by what all pixels say about them; nothing is squeezed away."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return `x` with each channel scaled by a share in (0, 1)."""
        channels = x.shape[-1]
        share = x.mean(axis=(1, 2))
        for layer, activation in (("fc_0", jax.nn.relu), ("fc_2", jax.nn.sigmoid)):
            dense = nn.Dense(channels, kernel_init=HE_INIT, dtype=self.dtype, name=layer)
            share = activation(dense(share))
        return x * share[:, None, None, :]


class Block(nn.Module):
    """One residual block: two 3x3 convolutions, or the bottleneck 1x1, 3x3, 1x1."""

    width: int
    stride: int
    bottleneck: bool
    squeeze_excitation: bool
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b oh ow f"]:
        """Return the features after the block."""
        if self.bottleneck:
            plan = (
                (self.width, 1, 1),
                (self.width, 3, self.stride),
                (EXPANSION * self.width, 1, 1),
            )
        else:
            plan = ((self.width, 3, self.stride), (self.width, 3, 1))
        residual = x
        for number, (features, size, stride) in enumerate(plan, start=1):
            conv = Conv(features, size, stride, dtype=self.dtype, name=f"conv{number}")
            residual = batch_norm(train, self.dtype, f"bn{number}", self.norm_axis)(conv(residual))
            if number < len(plan):
                residual = jax.nn.relu(residual)
        if self.squeeze_excitation:
            residual = SqueezeExcitation(self.dtype, name="se")(residual)
        return end_of_block(jax.nn.relu(self._shortcut(x, plan[-1][0], train) + residual))

    def _shortcut(
        self, x: Float[Array, "b h w c"], features: int, train: bool
    ) -> Float[Array, "b oh ow f"]:
        """Return `x` in the shape of the residual."""
        if self.stride == 1 and x.shape[-1] == features:
            return x
        conv = Conv(features, 1, self.stride, dtype=self.dtype, name="downsample_0")
        return batch_norm(train, self.dtype, "downsample_1", self.norm_axis)(conv(x))


class ResNet(nn.Module):
    """The trunk; `stages` of its four are built, and stage n has stride 2^(n + 1).

    With `frozen_stages` n > 0 the stem and the first n stages keep their statistics: batch norm
    runs on the stored ones. Their weights are kept from learning by `models.variables.learning`,
    for a gradient must pass through them to the image: a spatial transformer learns from it.
    With `stored_statistics` the other stages use stored statistics too while their weights learn,
    which suits a pre-trained trunk and small batches.
    """

    depth: int
    stages: int = 4
    frozen_stages: int = 0
    squeeze_excitation: bool = False
    stored_statistics: bool = False
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], *, train: bool
    ) -> dict[str, Float[Array, "b _ _ _"]]:
        """Return the feature maps "stem" (stride 4), "stage1" (4), "stage2" (8), ..."""
        train = train and not self.stored_statistics
        frozen = self.frozen_stages > 0
        x = Conv(WIDTHS[0], 7, 2, dtype=self.dtype, name="conv1")(x)
        x = jax.nn.relu(batch_norm(train and not frozen, self.dtype, "bn1", self.norm_axis)(x))
        x = max_pool(x, 3, 2, padding=1)
        maps = {"stem": x}
        for stage in range(1, self.stages + 1):
            frozen = stage <= self.frozen_stages
            x = self._stage(x, stage, train and not frozen)
            maps[f"stage{stage}"] = x
        return maps

    def _stage(
        self, x: Float[Array, "b h w c"], stage: int, train: bool
    ) -> Float[Array, "b oh ow f"]:
        """Return the features after one stage."""
        for number in range(BLOCKS[self.depth][stage - 1]):
            block = Block(
                width=WIDTHS[stage - 1],
                stride=2 if number == 0 and stage > 1 else 1,
                bottleneck=self.depth >= BOTTLENECK_DEPTH,
                squeeze_excitation=self.squeeze_excitation and number == 0,
                dtype=self.dtype,
                norm_axis=self.norm_axis,
                name=f"layer{stage}_{number}",
            )
            x = block(x, train=train)
        return x
