"""PP-TinyPose (PaddleDetection, Apache-2.0), run in JAX from a graph in ncnn's text format.

A network from outside: a teacher, and proof that the transformer takes any pure function. The
graph file has a layer a line: kind, name, counts of inputs and outputs, their names, and numbered
settings.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rmpe_jax.models.layers import standardise

OUTPUT = "save_infer_model/scale_0.tmp_1"
LAYOUT = ("NCHW", "OIHW", "NCHW")


class Layer(NamedTuple):
    """One line of the graph file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, str]


def load(folder: Path) -> tuple[dict[str, jax.Array], list[Layer]]:
    """Return (parameters, layers)."""
    layers = []
    for line in (folder / "tinypose_256x192.param").read_text().splitlines()[2:]:
        kind, name, inputs, outputs, *rest = line.split()
        first, last = int(inputs), int(inputs) + int(outputs)
        settings = dict(entry.split("=", 1) for entry in rest[last:])
        layers.append(Layer(kind, name, tuple(rest[:first]), tuple(rest[first:last]), settings))
    with np.load(folder / "tinypose_256x192.npz") as file:
        return {name: jnp.asarray(file[name], jnp.float32) for name in file.files}, layers


def heatmaps(parameters: dict[str, jax.Array], layers: list[Layer], crops: jax.Array) -> jax.Array:
    """Return heat-maps [b 64 48 17] of RGB crops [b 256 192 3] in [0, 1]."""
    image = standardise(crops, "imagenet").transpose(0, 3, 1, 2)
    values: dict[str, jax.Array] = {}
    for layer in layers:
        came = [values[name] for name in layer.inputs]
        made = [image] if layer.kind == "Input" else _run(layer, parameters, came)
        values.update(zip(layer.outputs, made, strict=True))
    return values[OUTPUT].transpose(0, 2, 3, 1)


def _run(layer: Layer, parameters: dict[str, jax.Array], came: list[jax.Array]) -> list[jax.Array]:
    settings = layer.settings
    first = came[0]
    if layer.kind.startswith("Convolution"):
        groups = int(settings.get("7", 1)) if layer.kind.endswith("DepthWise") else 1
        stride, pad = int(settings.get("3", 1)), int(settings.get("4", 0))
        out = lax.conv_general_dilated(
            first,
            parameters[f"{layer.name}.weight"],
            (stride, stride),
            ((pad, pad), (pad, pad)),
            feature_group_count=groups,
            dimension_numbers=LAYOUT,
        )
        out = out + parameters[f"{layer.name}.bias"][None, :, None, None]
        return [jax.nn.relu(out) if settings.get("9") == "1" else out]
    if layer.kind == "Interp":
        if settings["0"] == "1":
            factor = int(float(settings["1"]))
            return [jnp.repeat(jnp.repeat(first, factor, 2), factor, 3)]
        return [_enlarge(first, int(settings["3"]), int(settings["4"]))]
    if layer.kind == "Reshape":
        shape = (int(settings[key]) for key in ("2", "1", "0"))
        return [first.reshape(len(first), *shape)]
    return {
        "Split": lambda: [first] * len(layer.outputs),
        "Slice": lambda: jnp.split(first, len(layer.outputs), 1),
        "Concat": lambda: [jnp.concatenate(came, 1)],
        "BinaryOp": lambda: [came[0] + came[1]],
        "ReLU": lambda: [jax.nn.relu(first)],
        "Permute": lambda: [jnp.swapaxes(first, 1, 2)],
    }[layer.kind]()


def _enlarge(x: jax.Array, height: int, width: int) -> jax.Array:
    """Bilinear, corner pixels on corner pixels."""

    def shares(old: int, new: int) -> np.ndarray:
        places = np.linspace(0, old - 1, new)
        return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old))).astype(np.float32)

    rows, columns = shares(x.shape[2], height), shares(x.shape[3], width)
    return jnp.einsum("oh,nchw,pw->ncop", rows, x, columns)
