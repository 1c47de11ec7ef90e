"""Simple Baselines: RGB crops [B H W 3] in [0, 1] to heat-maps [1 B H/4 W/4 K].

Xiao et al., Simple Baselines for Human Pose Estimation and Tracking (ECCV 2018): a ResNet, three
transposed convolutions and a 1x1 convolution. H and W are multiples of 32.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import SMALL_INIT, Conv, PhaseDeconv, batch_norm, standardise
from rmpe_jax.models.resnet import ResNet

DECONVOLUTIONS = 3  # stride 32 to stride 4


class SimpleBaseline(nn.Module):
    """The network; `width` is the channels of its transposed convolutions."""

    joints: int
    depth: int = 50
    width: int = 256
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
            dtype=self.dtype,
            norm_axis=self.norm_axis,
            name="trunk",
        )
        x = trunk(standardise(images, self.normalise), train=train)["stage4"]
        for number in range(DECONVOLUTIONS):
            # PyTorch's list holds convolution, batch norm and ReLU in turn.
            deconv = PhaseDeconv(self.width, self.dtype, name=f"deconv_layers_{3 * number}")
            norm = batch_norm(train, self.dtype, f"deconv_layers_{3 * number + 1}", self.norm_axis)
            x = jax.nn.relu(norm(deconv(x)))
        last = Conv(
            self.joints, 1, bias=True, kernel_init=SMALL_INIT, dtype=self.dtype, name="final_layer"
        )
        return last(x).astype(jnp.float32)[None]
