"""A compact anchor-free human detector: RGB images [B H W 3] in [0, 1] to boxes at three strides.

A ResNet up to stride 16 and one convolution to stride 32, joined from coarse to fine as a feature
pyramid (Lin et al., CVPR 2017); at each point of strides 8, 16 and 32 one logit, person or not,
and the distances to the four sides of the box (Tian et al., FCOS, ICCV 2019). H and W are multiples
of 32. Boxes are in pixels of the input, (x_min, y_min, x_max, y_max), 0 at its outer edges.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rmpe_jax.models.layers import (
    SMALL_INIT,
    Conv,
    ConvNormRelu,
    batch_norm,
    standardise,
    upsample_nearest,
)
from rmpe_jax.models.resnet import ResNet

STRIDES = (8, 16, 32)
TRUNK_STAGES = 3  # up to stride 16; ImageNet's fourth stage alone has 8 million parameters
RARE = 0.01  # what the first logits say: of the points few show a person (focal loss, section 4.1)


class Found(NamedTuple):
    """What the network says at n points: logits of a person, and boxes in pixels of the input."""

    logit: Float[Array, "b n"]
    boxes_px: Float[Array, "b n 4"]


class HumanDetector(nn.Module):
    """The network; `width` channels where the stages meet and `blocks` layers in the head."""

    depth: int = 18
    width: int = 96
    blocks: int = 2
    frozen_stages: int = 0
    stored_statistics: bool = False
    normalise: Literal["none", "imagenet"] = "imagenet"
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool) -> Found:
        """Return logits and boxes of all points, stride by stride, row by row; float32."""
        trunk = ResNet(
            self.depth,
            TRUNK_STAGES,
            self.frozen_stages,
            stored_statistics=self.stored_statistics,
            dtype=self.dtype,
            norm_axis=self.norm_axis,
            name="trunk",
        )
        maps = trunk(standardise(images, self.normalise), train=train)
        coarse = ConvNormRelu(
            self.width, 3, 2, dtype=self.dtype, norm_axis=self.norm_axis, name="stride32"
        )(maps["stage3"], train=train)
        levels = [coarse]
        for stage in (3, 2):
            finer = self._lateral(maps[f"stage{stage}"], stage, train)
            levels.append(jax.nn.relu(finer + upsample_nearest(levels[-1], 2)))
        # One head for all strides, but for the batch norms, whose statistics differ, and a scale.
        convolutions = [
            Conv(self.width, 3, dtype=self.dtype, name=f"head{number}")
            for number in range(self.blocks)
        ]
        last = Conv(5, 1, bias=True, kernel_init=SMALL_INIT, dtype=self.dtype, name="final_layer")
        scales = self.param("scales", nn.initializers.zeros, (len(STRIDES),))
        found = []
        for level, (stride, x) in enumerate(zip(STRIDES, levels[::-1], strict=True)):
            for number, convolution in enumerate(convolutions):
                x = convolution(x)
                x = jax.nn.relu(
                    batch_norm(train, self.dtype, f"head{number}_bn{stride}", self.norm_axis)(x)
                )
            found.append(_level(last(x).astype(jnp.float32), scales[level], stride))
        return Found(*(jnp.concatenate(part, axis=1) for part in zip(*found, strict=True)))

    def _lateral(
        self, x: Float[Array, "b h w c"], stage: int, train: bool
    ) -> Float[Array, "b h w {self.width}"]:
        """Return the map of one stage in the pyramid's channels."""
        x = Conv(self.width, 1, dtype=self.dtype, name=f"lateral{stage}")(x)
        return batch_norm(train, self.dtype, f"lateral_bn{stage}", self.norm_axis)(x)


def points_px(height: int, width: int) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Return the points (x, y) of an input of that size, stride by stride, and their strides."""
    points, strides = [], []
    for stride in STRIDES:
        x, y = np.meshgrid(np.arange(width // stride) + 0.5, np.arange(height // stride) + 0.5)
        points.append(stride * np.stack([x.ravel(), y.ravel()], axis=-1))
        strides.append(np.full(x.size, float(stride)))
    return np.concatenate(points), np.concatenate(strides)


def _level(outputs: Float[Array, "b h w 5"], scale: Float[Array, ""], stride: int) -> Found:
    """Return logits and boxes of one stride; the first distances are four strides."""
    count, height, width, _ = outputs.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    points = jnp.asarray(stride * np.stack([x, y], axis=-1), jnp.float32).reshape(1, -1, 2)
    flat = outputs.reshape(count, -1, 5)
    # Clipped so that a wild step cannot overflow: e^5 strides are wider than any input.
    away = 4 * stride * jnp.exp(jnp.clip(flat[..., 1:] + scale, -5, 5))
    boxes = jnp.concatenate([points - away[..., :2], points + away[..., 2:]], axis=-1)
    return Found(flat[..., 0] + np.log(RARE / (1 - RARE)), boxes)
