"""Read the tensors of a PyTorch file without PyTorch and without running anything in it.

The file is a zip (PyTorch 1.6 and later): a pickle, and one raw little-endian file per storage.
The pickle may name only the few things that a dictionary of tensors is made of; any other name is
refused, so nothing of the file is executed.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

STORAGES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
# Where training scripts put the weights when they save more than the weights.
NESTED = ("state_dict", "model_state_dict", "model")


class Tensor(NamedTuple):
    """A view of a storage, as the pickle describes it; strides count elements."""

    storage: np.ndarray
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """Return the elements; a view that leaves its storage is refused."""
        span = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        numbers = (self.offset, *self.shape, *self.strides)
        if min(numbers) < 0 or self.offset + span >= self.storage.size:
            if 0 in self.shape and min(numbers) >= 0:
                return np.zeros(self.shape, self.storage.dtype)
            raise ValueError(
                f"a tensor of shape {self.shape} reaches beyond its {self.storage.size} stored "
                "numbers; the file is damaged, fetch it again"
            )
        size = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage[self.offset :], self.shape, [step * size for step in self.strides]
        )
        return view.copy()


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a saved state_dict, or of the one inside a saved checkpoint."""
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is not in PyTorch's zip format (1.6 and later); load it in PyTorch and save "
            "it again with torch.save(model.state_dict(), path)"
        )
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError(
                f"{path} is a zip with {len(pickles)} data.pkl files, where PyTorch writes one; "
                "save the weights with torch.save(model.state_dict(), path)"
            )
        content = _Unpickler(archive, pickles[0], path).load()
    for name in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} holds a {type(content).__name__}, not a dictionary of tensors; save the "
            "weights with torch.save(model.state_dict(), path)"
        )
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return {str(name): tensor.array() for name, tensor in tensors.items()}


def _tensor(storage: np.ndarray, offset: int, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Return what torch._utils._rebuild_tensor_v2 describes."""
    return Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(tensor: Tensor, *_: Any) -> Tensor:
    """Return the tensor of a parameter."""
    return tensor


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
} | {("torch", name): name for name in STORAGES}


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows tensors and dictionaries, and nothing else."""

    def __init__(self, archive: zipfile.ZipFile, name: str, path: Path) -> None:
        super().__init__(io.BytesIO(archive.read(name)), encoding="utf-8")
        self._archive, self._folder, self._path = archive, name.removesuffix("data.pkl"), path

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed thing, or refuse the file."""
        if (module, name) not in ALLOWED:
            raise ValueError(
                f"{self._path} asks for {module}.{name}, which is no part of a dictionary of "
                "tensors and might run code; it is refused. Save only the weights, with "
                "torch.save(model.state_dict(), path)"
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Return the numbers of one storage: ("storage", type, key, device, count)."""
        _, kind, key, _, _ = pid
        return np.frombuffer(self._archive.read(f"{self._folder}data/{key}"), STORAGES[kind])
