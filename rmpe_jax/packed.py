"""A network in one file: arrays in half precision and, beside them, all that describes them.

The file is a safetensors file, which can hold no code. Kernels are stored in float16, everything
else (biases, scales, statistics of batch norm) in float32; all come back as float32.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from rmpe_jax.records import Variables

SUFFIX = ".safetensors"
FORMAT = "1"
LARGEST = float(np.finfo(np.float16).max)


class PackedError(ValueError):
    """A file is no network that this package has packed, or is damaged."""


def write(path: Path, variables: Variables, meta: dict[str, Any]) -> None:
    """Write a network and what `meta` (JSON) says about it; the file is whole or not there."""
    arrays = {}
    for name, value in traverse_util.flatten_dict(variables, sep="/").items():
        full: np.ndarray = np.asarray(value, np.float32)
        if not (np.abs(full) <= (LARGEST if full.ndim > 1 else np.inf)).all():
            raise ValueError(f"{name} has values that are no numbers or too large for float16")
        arrays[name] = full.astype(np.float16) if full.ndim > 1 else full
    told = {"format": FORMAT, "meta": json.dumps(meta), "crc32": str(_checksum(arrays))}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_bytes(save(arrays, told))
    unfinished.replace(path)


def read(path: Path) -> tuple[Variables, dict[str, Any]]:
    """Return (variables, meta) of a file, or raise PackedError saying what is wrong with it."""
    try:
        with safe_open(path, "numpy") as file:
            told = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise PackedError(
            f"{path} cannot be read ({error}); give the work directory of a run, or a "
            f"{SUFFIX} file that `rmpe pack` wrote"
        ) from error
    if told.get("format") != FORMAT or "meta" not in told:
        raise PackedError(
            f"{path} holds arrays, but not what network they belong to; give the work directory of "
            f"a run, or a {SUFFIX} file that `rmpe pack` wrote"
        )
    if told.get("crc32") != str(_checksum(arrays)):
        raise PackedError(f"{path} is damaged: its checksum is wrong; copy it again")
    full = {name: array.astype(np.float32) for name, array in arrays.items()}
    return traverse_util.unflatten_dict(full, sep="/"), json.loads(told["meta"])


def _checksum(arrays: dict[str, np.ndarray]) -> int:
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), total)
    return total
