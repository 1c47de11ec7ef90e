"""PyramidPose: RGB crops [B H W 3] in [0, 1] to heat-maps [1 B H/4 W/4 K], for few CPU cores.

A ResNet that may stop at stride 16, whose stages meet at stride 8 as in a feature pyramid (Lin et
al., Feature Pyramid Networks, CVPR 2017): finer maps fold 2x2 pixels into channels, coarser ones
are enlarged, and 1x1 convolutions bring all to one width. Residual blocks follow there, and the
heat-maps unfold to stride 4. Narrow layers at stride 4, which a processor runs at half its speed,
are avoided this way. H and W are multiples of 2^(stages + 1).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import (
    SMALL_INIT,
    Conv,
    ConvNormRelu,
    batch_norm,
    pixel_shuffle,
    pixel_unshuffle,
    standardise,
    upsample_nearest,
)
from rmpe_jax.models.resnet import ResNet

MEETING_STAGE = 2  # at stride 8


class PyramidPose(nn.Module):
    """The network; `blocks` residual blocks of `width` channels follow where the stages meet."""

    joints: int
    depth: int = 18
    stages: int = 3
    width: int = 128
    blocks: int = 1
    frozen_stages: int = 0
    stored_statistics: bool = False
    normalise: Literal["none", "imagenet"] = "imagenet"
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], *, train: bool
    ) -> Float[Array, "1 b h//4 w//4 {self.joints}"]:
        """Return the heat-maps, float32, as one stack."""
        trunk = ResNet(
            self.depth,
            self.stages,
            self.frozen_stages,
            stored_statistics=self.stored_statistics,
            dtype=self.dtype,
            norm_axis=self.norm_axis,
            name="trunk",
        )
        maps = trunk(standardise(images, self.normalise), train=train)
        x = self._lateral(pixel_unshuffle(maps["stage1"], 2), 1, train)
        for stage in range(MEETING_STAGE, self.stages + 1):
            lateral = self._lateral(maps[f"stage{stage}"], stage, train)
            x = x + upsample_nearest(lateral, 2 ** (stage - MEETING_STAGE))
        x = jax.nn.relu(x)
        for number in range(self.blocks):
            x = self._block(x, number, train)
        last = Conv(
            4 * self.joints,
            1,
            bias=True,
            kernel_init=SMALL_INIT,
            dtype=self.dtype,
            name="final_layer",
        )
        return pixel_shuffle(last(x), 2).astype(jnp.float32)[None]

    def _lateral(
        self, x: Float[Array, "b h w c"], stage: int, train: bool
    ) -> Float[Array, "b h w {self.width}"]:
        """Return the map of one stage in the pyramid's channels."""
        x = Conv(self.width, 1, dtype=self.dtype, name=f"lateral{stage}")(x)
        return batch_norm(train, self.dtype, f"lateral_bn{stage}", self.norm_axis)(x)

    def _block(
        self, x: Float[Array, "b h w c"], number: int, train: bool
    ) -> Float[Array, "b h w c"]:
        """Return the features after one residual block of two 3x3 convolutions."""
        name = f"block{number}"
        residual = ConvNormRelu(
            self.width, 3, dtype=self.dtype, norm_axis=self.norm_axis, name=f"{name}_0"
        )(x, train=train)
        residual = Conv(self.width, 3, dtype=self.dtype, name=f"{name}_1")(residual)
        return jax.nn.relu(
            x + batch_norm(train, self.dtype, f"{name}_bn", self.norm_axis)(residual)
        )
