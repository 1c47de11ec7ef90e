"""PyramidPose: RGB crops [B H W 3] in [0, 1] to heat-maps [1 B H/4 W/4 K], for few CPU cores.

A ResNet that may stop at stride 16 and a feature pyramid (Lin et al., Feature Pyramid Networks,
CVPR 2017) that reads every stage: 1x1 convolutions bring all stages to one width, and coming down,
each is added to its coarser neighbour and smoothed. H and W are multiples of 2^(stages + 1).
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import SMALL_INIT, Conv, ConvNormRelu, standardise, upsample_nearest
from rmpe_jax.models.resnet import ResNet


class PyramidPose(nn.Module):
    """The network; `smoothings` 3x3 convolutions of `width` channels follow each addition."""

    joints: int
    depth: int = 18
    stages: int = 3
    width: int = 96
    smoothings: int = 1
    frozen_stages: int = 0
    normalise: Literal["none", "imagenet"] = "imagenet"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], *, train: bool
    ) -> Float[Array, "1 b h//4 w//4 {self.joints}"]:
        """Return the heat-maps, float32, as one stack."""
        trunk = ResNet(self.depth, self.stages, self.frozen_stages, dtype=self.dtype, name="trunk")
        maps = trunk(standardise(images, self.normalise), train=train)
        x = self._lateral(maps, self.stages)
        for stage in range(self.stages - 1, 0, -1):
            x = self._lateral(maps, stage) + upsample_nearest(x, 2)
            for number in range(self.smoothings):
                name = f"smooth{stage}_{number}"
                x = ConvNormRelu(self.width, 3, dtype=self.dtype, name=name)(x, train=train)
        last = Conv(
            self.joints, 1, bias=True, kernel_init=SMALL_INIT, dtype=self.dtype, name="final_layer"
        )
        return last(x).astype(jnp.float32)[None]

    def _lateral(
        self, maps: dict[str, Float[Array, "b _ _ _"]], stage: int
    ) -> Float[Array, "b _ _ {self.width}"]:
        """Return the map of one stage in the pyramid's channels."""
        conv = Conv(self.width, 1, bias=True, dtype=self.dtype, name=f"lateral{stage}")
        return conv(maps[f"stage{stage}"])
