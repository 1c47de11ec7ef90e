"""FastPose: RGB crops [B H W 3] in [0, 1] to heat-maps [1 B H/4 W/4 K].

The network of the AlphaPose library (Fang et al., AlphaPose, TPAMI 2022): a ResNet with squeeze and
excitation, a pixel shuffle, two dense upsampling convolutions (DUC: convolution, batch norm, ReLU,
pixel shuffle) and a 3x3 convolution. H and W are multiples of 32.
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import SMALL_INIT, Conv, ConvNormRelu, pixel_shuffle, standardise
from rmpe_jax.models.resnet import ResNet

SHUFFLE = 2  # each of the three shuffles doubles height and width


class FastPose(nn.Module):
    """The network; `width` is the channels before the last convolution.

    Depths 18 and 34 enter the head with 128 channels instead of 512.
    """

    joints: int
    depth: int = 50
    width: int = 128
    frozen_stages: int = 0
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
            frozen_stages=self.frozen_stages,
            squeeze_excitation=True,
            dtype=self.dtype,
            norm_axis=self.norm_axis,
            name="trunk",
        )
        x = trunk(standardise(images, self.normalise), train=train)["stage4"]
        x = pixel_shuffle(x, SHUFFLE)
        for number, width in ((1, 2 * self.width), (2, self.width)):
            duc = ConvNormRelu(
                width * SHUFFLE**2,
                3,
                dtype=self.dtype,
                norm_axis=self.norm_axis,
                name=f"duc{number}",
            )
            x = pixel_shuffle(duc(x, train=train), SHUFFLE)
        last = Conv(
            self.joints, 3, bias=True, kernel_init=SMALL_INIT, dtype=self.dtype, name="conv_out"
        )
        return last(x).astype(jnp.float32)[None]
