"""A pose network from outside, as a graph file: ncnn's text format (.param) with weights in NumPy.

A line of the file is a layer: kind, name, counts of inputs and outputs, their names, and numbered
settings. The weights lie beside it in an archive (.npz) with `NAME.weight` (PyTorch's layout) and
`NAME.bias`. Only data is read, no code; the kinds and settings are those of PP-TinyPose
(PaddleDetection), and others are an error. Its parameters can be trained like any others. Arrays
are [b h w c].
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from rmpe_jax.models import weights
from rmpe_jax.models.layers import convolve, standardise
from rmpe_jax.records import Variables

MAGIC = "7767517"
SUFFIX = ".param"
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
# The numbered settings of each kind that are understood; None: any value. A convolution's are its
# outputs, kernel, dilation, stride, padding, bias, weights, groups and activation.
_CONVOLUTION = {
    **dict.fromkeys(("0", "1", "3", "4", "6")),
    "2": ("1",),
    "5": ("1",),
    "9": ("0", "1"),
}
SETTINGS: dict[str, dict[str, tuple[str, ...] | None]] = {
    "Input": dict.fromkeys(("0", "1", "2")),
    "Convolution": _CONVOLUTION,
    "ConvolutionDepthWise": {**_CONVOLUTION, "7": None},
    "Split": {},
    "Slice": {"-23300": None},
    "Concat": {"0": ("0",)},
    "BinaryOp": {"0": ("0",)},
    "ReLU": {"0": ("0", "0.000000e+00")},
    "Permute": {"0": ("2",)},
    "Reshape": dict.fromkeys(("0", "1", "2")),
    "Interp": {**dict.fromkeys(("1", "2", "3", "4")), "0": ("1", "2"), "6": ("1",)},
}
EQUAL = "-233"  # a part of a Slice that is as large as the others
Values = list[Float[Array, "..."]]


class Layer(NamedTuple):
    """One line of the file; `settings` are (number, value) as written there."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]

    def number(self, key: str, default: int = 0) -> int:
        """Return a setting as a whole number."""
        return int(float(dict(self.settings).get(key, default)))


class Graph(NamedTuple):
    """The layers in their order, and the shape of each convolution's kernel [k k in/groups out]."""

    layers: tuple[Layer, ...]
    kernels: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def joints(self) -> int:
        """Return the number of heat-maps: what the last convolution puts out."""
        return self.kernels[-1][1][-1]


def read(path: Path) -> Graph:
    """Return the graph of a file; raises ValueError for what is none, or has unknown layers."""
    if path.suffix != SUFFIX or not path.is_file():
        raise ValueError(
            f"model.graph is {str(path)!r}; a {SUFFIX} file that is there is expected, with its "
            "weights beside it in a .npz of the same name"
        )
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) < 2 or lines[0].strip() != MAGIC:
        raise ValueError(f"{path} does not begin with {MAGIC}: it is no graph in ncnn's format")
    try:
        layers = tuple(_layer(line) for line in lines[2:] if line.strip())
    except ValueError as error:
        raise ValueError(f"{path}: a line that is no layer: {error}") from error
    _check(path, lines[1], layers)
    arrays = _arrays(path)
    kernels = []
    for layer in layers:
        if layer.kind in CONVOLUTIONS:
            if f"{layer.name}.weight" not in arrays or f"{layer.name}.bias" not in arrays:
                raise ValueError(
                    f"{path.with_suffix('.npz')} has no weight or bias of {layer.name}"
                )
            kernels.append((layer.name, _kernel(arrays[f"{layer.name}.weight"]).shape))
    if not kernels:
        raise ValueError(f"{path} has no convolution: it is no pose network")
    return Graph(layers, tuple(kernels))


def parameters(path: Path) -> Variables:
    """Return the weights of a graph's file, as `GraphPose` has them."""
    arrays = _arrays(path)
    return {
        name: {
            "kernel": jnp.asarray(_kernel(arrays[f"{name}.weight"])),
            "bias": jnp.asarray(arrays[f"{name}.bias"]),
        }
        for name, _ in read(path).kernels
    }


class GraphPose(nn.Module):
    """The network of a graph; it starts from nothing until the weights of its file are put in."""

    graph: Graph
    normalise: Literal["none", "imagenet"] = "imagenet"

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], *, train: bool = False
    ) -> Float[Array, "1 b oh ow k"]:
        """Return heat-maps of RGB images in [0, 1]. It has no layer that trains otherwise."""
        weights = {name: self.param(name, _nothing, shape) for name, shape in self.graph.kernels}
        return heatmaps(weights, images, graph=self.graph, normalise=self.normalise)[None]


def heatmaps(
    parameters: Variables,
    images: Float[Array, "b h w 3"],
    *,
    graph: Graph,
    normalise: Literal["none", "imagenet"] = "imagenet",
) -> Float[Array, "b oh ow k"]:
    """Return heat-maps of RGB images in [0, 1]; pure."""
    values = {}
    for layer in graph.layers:
        came = [values[name] for name in layer.inputs]
        if layer.kind == "Input":
            made = [standardise(images, normalise)]
        elif layer.kind in CONVOLUTIONS:
            made = [_convolved(layer, came[0], parameters[layer.name])]
        else:
            made = _PLAIN[layer.kind](layer, came)
        values.update(zip(layer.outputs, made, strict=True))
    return values[graph.layers[-1].outputs[0]]


def _nothing(key: Array, shape: tuple[int, ...]) -> Variables:
    return {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[-1])}


def _layer(line: str) -> Layer:
    kind, name, inputs, outputs, *rest = line.split()
    first, last = int(inputs), int(inputs) + int(outputs)
    if len(rest) < last or any("=" not in entry for entry in rest[last:]):
        raise ValueError(repr(line[:60]))
    settings = tuple((key, value) for key, _, value in (s.partition("=") for s in rest[last:]))
    return Layer(kind, name, tuple(rest[:first]), tuple(rest[first:last]), settings)


def _check(path: Path, counts: str, layers: tuple[Layer, ...]) -> None:
    """Raise ValueError for a file that is cut, and for what would be run as something else."""
    told = counts.split()[:1]
    if told != [str(len(layers))]:
        raise ValueError(f"{path} has {len(layers)} layers and tells {counts!r}: it is not whole")
    there: set[str] = set()
    for layer in layers:
        known = SETTINGS.get(layer.kind)
        if known is None:
            raise ValueError(
                f"{path} has layers of the kind {layer.kind}; known are {', '.join(SETTINGS)}"
            )
        for key, value in layer.settings:
            allowed = known.get(key) if key in known else ()
            equal = layer.kind != "Slice" or set(value.split(",")[1:]) == {EQUAL}
            if (allowed is not None and value not in allowed) or not equal:
                raise ValueError(
                    f"{path}: {layer.kind} {layer.name} has {key}={value}, which is not understood"
                    + (f"; allowed are {', '.join(allowed)}" if allowed else "")
                )
        missing = set(layer.inputs) - there
        if missing:
            raise ValueError(f"{path}: {layer.name} takes {min(missing)}, which nothing puts out")
        there |= set(layer.outputs)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    return weights.read(path.with_suffix(".npz"))


def _kernel(weight: np.ndarray) -> np.ndarray:
    """[out in k k] -> [k k in out]."""
    return weight.transpose(2, 3, 1, 0)


def _convolved(layer: Layer, x: Float[Array, "b h w c"], weights: Variables) -> Array:
    stride, padding = layer.number("3", 1), layer.number("4")
    kind = convolve if layer.kind == "Convolution" else _depthwise
    made = kind(x, weights["kernel"], stride, padding) + weights["bias"][None, None, None]
    return jax.nn.relu(made) if layer.number("9") == 1 else made


def _depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int, padding: int
) -> Float[Array, "b oh ow c"]:
    """Return the sum of shifted images: XLA:CPU's own takes 8 times as long (2 cores)."""
    if kernel.shape[2:] != (1, x.shape[3]):
        raise ValueError(f"a kernel {kernel.shape} for {x.shape[3]} channels is not depthwise")
    side = kernel.shape[0]
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((length - side) // stride + 1 for length in x.shape[1:3])
    total = jnp.zeros((len(x), height, width, x.shape[3]))
    for row in range(side):
        for column in range(side):
            ends = (len(x), row + stride * (height - 1) + 1, column + stride * (width - 1) + 1)
            some = lax.slice(x, (0, row, column, 0), (*ends, x.shape[3]), (1, stride, stride, 1))
            total = total + some * kernel[row : row + 1, column, None]
    return total


def _interpolated(layer: Layer, x: Float[Array, "b h w c"]) -> Float[Array, "b oh ow c"]:
    """Enlarge: pixels repeated, or bilinear with corner pixels on corner pixels."""
    if layer.number("0") == 1:
        factor = layer.number("1")
        return jnp.repeat(jnp.repeat(x, factor, 1), factor, 2)

    def shares(old: int, new: int) -> np.ndarray:
        places = np.linspace(0, old - 1, new)
        return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old))).astype(np.float32)

    rows = shares(x.shape[1], layer.number("3"))
    columns = shares(x.shape[2], layer.number("4"))
    return jnp.einsum("oh,bhwc,pw->bopc", rows, x, columns)


def _reshaped(layer: Layer, x: Array) -> Array:
    """[b h w c] -> [b h w groups c/groups] and back: what shuffles of channels are made of."""
    if x.ndim == 5:
        return x.reshape(*x.shape[:3], -1)
    batch, height, width, channels = x.shape
    if layer.number("0") != height * width:
        raise ValueError(
            f"{layer.name} wants {layer.number('0')} pixels and {height} x {width} came: the "
            "graph is for one size of input; set model.input_height and input_width to it"
        )
    groups = layer.number("2")
    return x.reshape(batch, height, width, groups, channels // groups)


_PLAIN: dict[str, Callable[[Layer, Values], Any]] = {
    "Split": lambda layer, came: came * len(layer.outputs),
    "Slice": lambda layer, came: jnp.split(came[0], len(layer.outputs), -1),
    "Concat": lambda layer, came: [jnp.concatenate(came, -1)],
    "BinaryOp": lambda layer, came: [came[0] + came[1]],
    "ReLU": lambda layer, came: [jax.nn.relu(came[0])],
    "Permute": lambda layer, came: [jnp.swapaxes(came[0], -1, -2)],
    "Reshape": lambda layer, came: [_reshaped(layer, came[0])],
    "Interp": lambda layer, came: [_interpolated(layer, came[0])],
}
