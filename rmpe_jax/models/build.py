"""From settings to a network.

All networks are called alike: `module.apply(variables, images, train=...)` takes RGB images
[B H W 3] in [0, 1] and returns float32 heat-maps [stacks B H/4 W/4 K].
"""

from pathlib import Path

import jax.numpy as jnp
from flax import linen as nn

from rmpe_jax.config import ModelConfig
from rmpe_jax.models import graph
from rmpe_jax.models.detector import STRIDES, HumanDetector
from rmpe_jax.models.fastpose import FastPose
from rmpe_jax.models.hourglass import StackedHourglass
from rmpe_jax.models.localization import (
    PoseLocalization,
    ResNet18Localization,
    SmallLocalization,
)
from rmpe_jax.models.pyramid import PyramidPose
from rmpe_jax.models.resnet import BLOCKS
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.models.simple_baseline import SimpleBaseline


def build(
    model: ModelConfig,
    joints: int,
    *,
    logits: bool = False,
    norm_axis: str | None = None,
    judge: bool = False,
) -> nn.Module:
    """Return the network that `model` describes, for `joints` joints, with its transformer.

    `logits` says that it is trained by cross entropy; only a transformer must know. `norm_axis`:
    see `layers.batch_norm`. `judge`: with a parallel SPPE that learns as well, like the main one.
    """
    sppe = build_sppe(model, joints, norm_axis=norm_axis)
    if model.stn.form == "none":
        return sppe
    settings = {"form": model.stn.form, "dtype": jnp.dtype(model.dtype)}
    localization = {
        "resnet18": ResNet18Localization(**settings, norm_axis=norm_axis),
        "small": SmallLocalization(**settings, norm_axis=norm_axis),
        "pose": PoseLocalization(**settings, logits=logits),
    }[model.stn.network]
    second = build_sppe(model, joints, norm_axis=norm_axis) if judge else None
    return RMPE(sppe, localization, model.stn.form, logits, second)


def build_sppe(model: ModelConfig, joints: int, *, norm_axis: str | None = None) -> nn.Module:
    """Return the pose network that `model` describes, without a transformer."""
    if model.family == "detector":
        raise ValueError(
            "model.family is 'detector', which finds boxes and no joints; take hourglass, "
            "simple_baseline, fastpose, pyramid or graph for poses"
        )
    _check(model, joints)
    dtype = jnp.dtype(model.dtype)
    if model.family == "graph":
        read = graph.read(Path(model.graph or "").expanduser())
        if read.joints != joints:
            raise ValueError(
                f"model.graph {model.graph} finds {read.joints} joints, and {joints} are to be "
                "found: set data.skeleton to those of the network"
            )
        return graph.GraphPose(read, model.normalise)
    if model.family == "hourglass":
        settings = (model.stacks, model.features, model.normalise, dtype, norm_axis)
        return StackedHourglass(joints, *settings, model.scan_stacks)
    trunk = {
        "depth": model.depth,
        "frozen_stages": model.frozen_stages,
        "normalise": model.normalise,
        "dtype": dtype,
        "norm_axis": norm_axis,
    }
    if model.family == "pyramid":
        return PyramidPose(
            joints,
            stages=model.trunk_stages,
            width=model.head_width,
            blocks=model.head_blocks,
            stored_statistics=model.stored_statistics,
            **trunk,
        )
    return {"simple_baseline": SimpleBaseline, "fastpose": FastPose}[model.family](joints, **trunk)


def build_detector(model: ModelConfig, *, norm_axis: str | None = None) -> HumanDetector:
    """Return the human detector that `model` describes."""
    sides = (model.input_height, model.input_width)
    if sides[0] != sides[1] or sides[0] % STRIDES[-1]:
        raise ValueError(
            f"model.input_height and input_width are {sides}; a detector's are equal and a "
            f"multiple of {STRIDES[-1]}, such as 320"
        )
    return HumanDetector(
        depth=model.depth,
        width=model.head_width,
        blocks=model.head_blocks,
        frozen_stages=model.frozen_stages,
        stored_statistics=model.stored_statistics,
        normalise=model.normalise,
        dtype=jnp.dtype(model.dtype),
        norm_axis=norm_axis,
    )


def input_multiple(model: ModelConfig) -> int:
    """Return the number of pixels that height and width of the input are multiples of."""
    if model.family == "hourglass":
        return 64
    if model.family == "graph":
        return 32
    return 2 ** (model.trunk_stages + 1)


def _check(model: ModelConfig, joints: int) -> None:
    """Refuse settings that no network can have."""
    families = ("hourglass", "simple_baseline", "fastpose", "pyramid", "graph")
    if model.family not in families:
        raise ValueError(f"model.family is {model.family!r}; choose one of {', '.join(families)}")
    if joints < 1:
        raise ValueError(f"joints is {joints}; a network needs at least 1")
    if model.normalise not in ("none", "imagenet"):
        raise ValueError(f"model.normalise is {model.normalise!r}; choose none or imagenet")
    if model.dtype not in ("float32", "bfloat16"):
        raise ValueError(f"model.dtype is {model.dtype!r}; choose float32 or bfloat16")
    if model.stored_statistics and model.family != "pyramid":
        raise ValueError(
            f"model.stored_statistics is set, but only the pyramid has it, not {model.family}; "
            "use --model.stored-statistics False"
        )
    if model.family == "hourglass":
        _check_hourglass(model)
    elif model.family == "graph":
        if model.dtype != "float32" or model.frozen_stages:
            raise ValueError(
                "model.family is 'graph', whose arithmetic is float32 and which has no stages to "
                "freeze: set model.dtype float32 and model.frozen_stages 0"
            )
    else:
        _check_trunk(model)
    multiple = input_multiple(model)
    for name in ("height", "width"):
        side = {"height": model.input_height, "width": model.input_width}[name]
        if side < multiple or side % multiple:
            lower = max(side // multiple, 1) * multiple
            raise ValueError(
                f"model.input_{name} is {side}; {model.family} needs a multiple of {multiple}, "
                f"such as {lower} or {lower + multiple}"
            )


def _check_hourglass(model: ModelConfig) -> None:
    """Refuse what an hourglass cannot have."""
    if model.stacks < 1:
        raise ValueError(f"model.stacks is {model.stacks}; the hourglass needs at least 1")
    if model.features < 2 or model.features % 2:
        raise ValueError(f"model.features is {model.features}; use an even number, such as 256")
    if model.frozen_stages:
        raise ValueError(
            f"model.frozen_stages is {model.frozen_stages}, but the hourglass has no ResNet "
            "stages; use 0"
        )


def _check_trunk(model: ModelConfig) -> None:
    """Refuse what a network with a ResNet trunk cannot have."""
    if model.depth not in BLOCKS:
        depths = ", ".join(map(str, BLOCKS))
        raise ValueError(f"model.depth is {model.depth}; choose one of {depths}")
    if model.family == "pyramid" and model.trunk_stages not in (2, 3, 4):
        raise ValueError(f"model.trunk_stages is {model.trunk_stages}; choose 2, 3 or 4")
    if model.family != "pyramid" and model.trunk_stages != 4:
        raise ValueError(
            f"model.trunk_stages is {model.trunk_stages}; {model.family} needs all 4 "
            "(the pyramid works with 2 or 3)"
        )
    if not 0 <= model.frozen_stages <= model.trunk_stages:
        raise ValueError(
            f"model.frozen_stages is {model.frozen_stages}; choose 0 (none) to "
            f"{model.trunk_stages} (the whole trunk)"
        )
