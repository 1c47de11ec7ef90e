"""Weights of others: reading their files, and their names and layouts to ours and back.

PyTorch keeps kernels as [out in height width], dense ones as [out in] and transposed ones as
[in out height width]; ours are [height width in out] and [in out]. A naming is a function from the
path of a leaf of ours, without its collection, to PyTorch's key, or None where PyTorch has none.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rmpe_jax.models.torch_file import read_torch
from rmpe_jax.records import Variables

Naming = Callable[[tuple[str, ...]], str | None]

LEAVES = {
    "kernel": "weight",
    "deconv_kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
COUNTER = "num_batches_tracked"
# The authors' hourglass wraps each convolution in a module of its own, and merges twice.
WRAPPED = (
    (re.compile(r"\.(conv[123]|skip_layer)\.(?=(weight|bias)$)"), r".\1.conv."),
    (re.compile(r"^(outs\.\d+)\."), r"\1.conv."),
    (re.compile(r"^(merge_(features|preds)\.\d+)\."), r"\1.conv.conv."),
)


class LoadReport(NamedTuple):
    """What became of the weights of a file. Names are those of the file."""

    loaded: tuple[str, ...]
    left_out: dict[str, str]
    """Name in the file, and why its weight was not used."""
    missing: tuple[str, ...]
    """Weights of the network that the file does not give; they stay as they were."""

    def __str__(self) -> str:
        """Return the report for a person to read."""
        lines = [f"loaded {len(self.loaded)} weights"]
        lines += [f"left out {name}: {reason}" for name, reason in self.left_out.items()]
        lines += [f"not in the file, kept as it was: {name}" for name in self.missing]
        return "\n".join(lines)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz, .safetensors, .pth or .pt file, floats as float32.

    Weights only: no code of the file is run, and PyTorch is not needed.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    readers |= {".pth": read_torch, ".pt": read_torch}
    if path.suffix not in readers:
        raise ValueError(
            f"{path} ends in {path.suffix!r}; weights are read from {', '.join(readers)} files"
        )
    if not path.is_file():
        raise ValueError(
            f"there is no file {path}; give --model.trunk-weights the path of ImageNet weights "
            "(torchvision's resnet18 as .pth, .safetensors or .npz), or None to start from nothing"
        )
    return {name: _float32(array) for name, array in readers[path.suffix](path).items()}


def torchvision_name(path: tuple[str, ...]) -> str | None:
    """Return torchvision's key of a leaf of our `trunk`; other leaves have none."""
    return _dotted(path[1:]) if path[0] == "trunk" else None


def alphapose_name(path: tuple[str, ...]) -> str:
    """Return AlphaPose's key of a leaf of our FastPose or SimpleBaseline."""
    return _dotted(("preact", *path[1:]) if path[0] == "trunk" else path)


def hourglass_name(path: tuple[str, ...]) -> str:
    """Return the key of a leaf of our StackedHourglass in its authors' PyTorch version."""
    key = _dotted(path)
    for pattern, wrapped in WRAPPED:
        key = pattern.sub(wrapped, key)
    return key


def from_torch(
    named: Mapping[str, np.ndarray], variables: Variables, names: Naming
) -> tuple[Variables, LoadReport]:
    """Return `variables` with every weight that `named` has for it, and what became of each."""
    leaves: dict[tuple[str, ...], Any] = dict(flatten_dict(variables))
    used, misfits, missing = [], {}, []
    for path, leaf in leaves.items():
        name = names(path[1:])
        if name is None or name not in named:
            missing += [] if name is None else [name]
            continue
        array = _to_ours(path[-1], np.asarray(named[name]))
        if array.shape == leaf.shape:
            leaves[path] = jnp.asarray(array, leaf.dtype)
            used.append(name)
        else:
            theirs, wanted = np.shape(named[name]), _to_torch(path[-1], np.empty(leaf.shape)).shape
            misfits[name] = f"its shape is {theirs}, the network's {wanted}"
            missing.append(name)
    left_out = {name: misfits.get(name, _reason(name)) for name in named if name not in set(used)}
    return unflatten_dict(leaves), LoadReport(tuple(used), left_out, tuple(missing))


def to_torch(variables: Variables, names: Naming) -> dict[str, np.ndarray]:
    """Return the weights under PyTorch's keys and in its layouts: the inverse of `from_torch`."""
    found = {names(path[1:]): (path[-1], leaf) for path, leaf in flatten_dict(variables).items()}
    return {
        name: np.ascontiguousarray(_to_torch(kind, np.asarray(leaf)))
        for name, (kind, leaf) in found.items()
        if name is not None
    }


def load_trunk(variables: Variables, path: str | Path) -> tuple[Variables, LoadReport]:
    """Return `variables` with the ResNet weights of a file under torchvision's names.

    Only what fits in name and shape is taken; the report says what was not. A common prefix, such
    as "module." or "preact.", is seen through.
    """
    if "trunk" not in variables["params"]:
        raise ValueError(
            "this network has no ResNet trunk to load weights into; leave model.trunk_weights "
            "unset, or choose the family simple_baseline, fastpose or pyramid"
        )
    named = read(path)
    prefix = _trunk_prefix(named)
    inside = {name.removeprefix(prefix): array for name, array in named.items()}
    loaded, report = from_torch(inside, variables, torchvision_name)
    if not report.loaded:
        known = ", ".join(sorted(named)[:3])
        raise ValueError(
            f"{path} holds no weight of this trunk: it has {known}, ...; a ResNet file in "
            "torchvision's names has conv1.weight, bn1.weight, layer1.0.conv1.weight, ..."
        )
    return loaded, report


def _dotted(path: tuple[str, ...]) -> str:
    """Return the path as PyTorch writes it: layer1_0/conv1/kernel is layer1.0.conv1.weight."""
    modules = [re.sub(r"_(\d+)", r".\1", name) for name in path[:-1]]
    return ".".join([*modules, LEAVES[path[-1]]])


def _to_ours(kind: str, array: np.ndarray) -> np.ndarray:
    """Return PyTorch's array in the layout of our leaf of this kind."""
    if kind == "deconv_kernel" and array.ndim == 4:
        return array.transpose(2, 3, 0, 1)[::-1, ::-1]
    if kind == "kernel" and array.ndim in (2, 4):
        return array.T if array.ndim == 2 else array.transpose(2, 3, 1, 0)
    return array


def _to_torch(kind: str, array: np.ndarray) -> np.ndarray:
    """Return our array in PyTorch's layout."""
    if kind == "deconv_kernel":
        return array[::-1, ::-1].transpose(2, 3, 0, 1)
    if kind == "kernel":
        return array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
    return array


def _reason(name: str) -> str:
    """Return why a weight without a place was left out."""
    if name.endswith(COUNTER):
        return "a counter, not a weight"
    return "the network has no such layer"


def _trunk_prefix(named: Mapping[str, np.ndarray]) -> str:
    """Return what stands before the trunk's names: its stem alone has a 7x7 conv1."""
    stems = [key for key, array in named.items() if key.endswith("conv1.weight")]
    stems = [key for key in stems if named[key].shape[2:] == (7, 7)]
    return stems[0].removesuffix("conv1.weight") if len(stems) == 1 else ""


def _float32(array: np.ndarray) -> np.ndarray:
    """Return floats of any width as float32, other types as they are."""
    return array.astype(np.float32) if jnp.issubdtype(array.dtype, np.floating) else array


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a NumPy archive; objects, which could run code, are refused."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error}); save it again") from error
