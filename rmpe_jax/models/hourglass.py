"""The stacked hourglass: RGB crops [B H W 3] in [0, 1] to heat-maps [stacks B H/4 W/4 K].

Newell et al., Stacked Hourglass Networks (ECCV 2016), after the authors' Lua code: pre-activation
residuals, every convolution with a bias. H and W are multiples of 64. Sub-modules carry the names
of the authors' PyTorch version with `_` for `.` before a number, so that weights are found by name.
"""

from typing import Any, Literal

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
    end_of_block,
    max_pool,
    standardise,
    upsample_nearest,
)
from rmpe_jax.records import Variables

DEPTH = 4  # times that an hourglass halves its maps
STACK_MODULES = (  # of stack {}
    "hgs_{}_0",
    "features_{}_0",
    "features_{}_1",
    "outs_{}",
    "merge_features_{}",
    "merge_preds_{}",
)


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
        return end_of_block(x + residual)


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


class Stack(nn.Module):
    """An hourglass, the heat-maps that it sees, and what the next one looks at.

    `number` is in the names of its modules. The last has no next one.
    """

    joints: int
    features: int
    number: int
    last: bool
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w {self.joints}"]]:
        """Return the features for the next stack (of the last: `x`), and the heat-maps, float32."""
        number, width, kind = self.number, self.features, (self.dtype, self.norm_axis)
        features = Hourglass(DEPTH, width, *kind, name=f"hgs_{number}_0")(x, train=train)
        features = Residual(width, *kind, name=f"features_{number}_0")(features, train=train)
        layer = _conv_norm_relu(width, 1, 1, *kind, f"features_{number}_1")
        features = layer(features, train=train)
        predicted = _conv(self.joints, 1, self.dtype, f"outs_{number}")(features)
        if not self.last:
            merge_features = _conv(width, 1, self.dtype, f"merge_features_{number}")
            merge_preds = _conv(width, 1, self.dtype, f"merge_preds_{number}")
            x = x + merge_features(features) + merge_preds(predicted)
        return x, predicted.astype(jnp.float32)


class StackedHourglass(nn.Module):
    """The network; the paper has 8 stacks, all trained against the same heat-maps.

    `scan_stacks`: the program holds one stack, which runs `stacks` times. Parameters and results
    are the same. For TPU it compiles no sooner and takes more memory (experiments/PODS.md).
    """

    joints: int
    stacks: int = 8
    features: int = 256
    normalise: Literal["none", "imagenet"] = "none"
    dtype: DTypeLike = jnp.float32
    norm_axis: str | None = None
    scan_stacks: bool = False

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], *, train: bool
    ) -> Float[Array, "{self.stacks} b h//4 w//4 {self.joints}"]:
        """Return the heat-maps of every stack, float32; the last are the best."""
        x = self._stem(standardise(images, self.normalise), train)
        if self.scan_stacks and self.stacks > 1 and not self.is_initializing():
            return self._scanned(x, train)
        heatmaps = []
        for number in range(self.stacks):
            stack = self._stack(number, last=number == self.stacks - 1)
            nn.share_scope(self, stack)  # the authors' names have no level for a stack
            x, predicted = stack(x, train=train)
            heatmaps.append(predicted)
        return jnp.stack(heatmaps)

    def _scanned(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "s b h w k"]:
        """Return the heat-maps of every stack, by one program for all of them."""
        stack = self._stack(0, last=False, parent=None)
        moving = train and self.is_mutable_collection("batch_stats")

        def one(x: Float[Array, "b h w c"], variables: Variables) -> tuple[Array, Any]:
            if not moving:
                x, predicted = stack.apply(variables, x, train=train)
                return x, (predicted, {})
            (x, predicted), moved = stack.apply(variables, x, train=train, mutable=["batch_stats"])
            return x, (predicted, moved["batch_stats"])

        _, (heatmaps, moved) = jax.lax.scan(one, x, _stacked(self.variables, self.stacks))
        for number in range(self.stacks):
            for name, own in _unstacked(moved, number).items():
                self.put_variable("batch_stats", name, own)
        return heatmaps

    def _stem(self, images: Float[Array, "b h w 3"], train: bool) -> Float[Array, "b oh ow f"]:
        """Return the features at stride 4."""
        kind = (self.dtype, self.norm_axis)
        x = _conv_norm_relu(64, 7, 2, *kind, "pre_0")(images, train=train)
        x = max_pool(Residual(128, *kind, name="pre_1")(x, train=train), 2, 2)
        x = Residual(128, *kind, name="pre_3")(x, train=train)
        return Residual(self.features, *kind, name="pre_4")(x, train=train)

    def _stack(self, number: int, *, last: bool, **module: Any) -> Stack:
        """Return a stack of this network."""
        kind = (self.dtype, self.norm_axis)
        return Stack(self.joints, self.features, number, last, *kind, **module)


def _stacked(variables: Variables, stacks: int) -> Variables:
    """Return all stacks' variables as those of stack 0, each array with a leading axis of stacks.

    The last stack leads nowhere: it has zeros where the others merge.
    """

    def of_stack(modules: Variables, number: int) -> Variables:
        found = {}
        for name in STACK_MODULES:
            first, own = modules.get(name.format(0)), modules.get(name.format(number))
            if first is not None:  # batch statistics are not of every module
                found[name.format(0)] = jax.tree.map(jnp.zeros_like, first) if own is None else own
        return found

    return {
        kind: jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *(of_stack(part, n) for n in range(stacks))
        )
        for kind, part in variables.items()
    }


def _unstacked(variables: Variables, number: int) -> Variables:
    """Return one stack's variables, by its own names, of those of all stacks as `_stacked`."""
    return {
        name.format(number): jax.tree.map(lambda leaf: leaf[number], variables[name.format(0)])
        for name in STACK_MODULES
        if name.format(0) in variables
    }


def _conv(features: int, size: int, dtype: DTypeLike, name: str) -> Conv:
    """Return a convolution as the hourglass wants it: with a bias."""
    return Conv(features, size, bias=True, kernel_init=TORCH_INIT, dtype=dtype, name=name)


def _conv_norm_relu(
    features: int, size: int, stride: int, dtype: DTypeLike, norm_axis: str | None, name: str
) -> ConvNormRelu:
    """Return a convolution with a bias, batch norm and ReLU."""
    return ConvNormRelu(
        features,
        size,
        stride,
        bias=True,
        kernel_init=TORCH_INIT,
        dtype=dtype,
        norm_axis=norm_axis,
        name=name,
    )
