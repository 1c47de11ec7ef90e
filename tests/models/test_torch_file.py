import io
import pickle
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest

from rmpe_jax.models import torch_file
from rmpe_jax.models.torch_file import read_torch


class Named:
    """Pickles as a name that PyTorch would import."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    """Pickles as PyTorch's persistent reference to raw numbers."""

    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, key, count


class Call:
    """Pickles as a call of a named function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Writer(pickle._Pickler):
    """Writes pickles that name functions which are not installed here."""

    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return ("storage", Named("torch", thing.kind), thing.key, "cpu", thing.count)
        return None

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, Named):
            self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())
        elif isinstance(thing, Call):
            self.save(thing.function)
            self.save(thing.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(thing, save_persistent_id)


def write(path, content, **storages):
    """Write a file as torch.save does, each storage as the bytes of an array."""
    buffer = io.BytesIO()
    Writer(buffer, 2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", buffer.getvalue())
        for key, array in storages.items():
            archive.writestr(f"weights/data/{key}", array.tobytes())
    return path


def tensor(storage, offset, shape, strides):
    rebuild = Named("torch._utils", "_rebuild_tensor_v2")
    return Call(rebuild, storage, offset, shape, strides, False, OrderedDict())


def test_a_real_file_has_all_its_tensors(data_root):
    named = read_torch(data_root / "weights/movenet_mobilenetv3.pth")
    assert len(named) == 418
    assert all(np.isfinite(array).all() for array in named.values())


def test_views_and_types_are_those_written(tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    halves = np.arange(4).astype(ml_dtypes.bfloat16)
    path = write(
        tmp_path / "a.pth",
        {
            "turned": tensor(Storage("FloatStorage", "0", 12), 2, (3, 2), (1, 4)),
            "empty": tensor(Storage("FloatStorage", "0", 12), 12, (0, 3), (3, 1)),
            "count": tensor(Storage("LongStorage", "1", 1), 0, (), ()),
            "brief": tensor(Storage("BFloat16Storage", "2", 4), 0, (4,), (1,)),
        },
        **{"0": numbers, "1": np.asarray(7), "2": halves},
    )
    named = read_torch(path)
    np.testing.assert_array_equal(named["turned"], [[2, 6], [3, 7], [4, 8]])
    assert named["empty"].shape == (0, 3)
    assert named["count"] == 7 and named["count"].dtype == np.int64
    assert named["brief"].dtype == ml_dtypes.bfloat16 and named["brief"][3] == 3


def test_weights_inside_a_checkpoint_are_found(tmp_path):
    one = tensor(Storage("FloatStorage", "0", 2), 0, (2,), (1,))
    path = write(
        tmp_path / "a.pth", {"epoch": 3, "state_dict": {"w": one}}, **{"0": np.ones(2, np.float32)}
    )
    assert read_torch(path).keys() == {"w"}


@pytest.mark.parametrize(("offset", "shape", "strides"), [(0, (5,), (1,)), (3, (2,), (1,))])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_view_beyond_its_numbers_is_refused(tmp_path, offset, shape, strides, sign):
    strides = tuple(sign * step for step in strides)
    content = {"w": tensor(Storage("FloatStorage", "0", 4), offset, shape, strides)}
    path = write(tmp_path / "a.pth", content, **{"0": np.ones(4, np.float32)})
    with pytest.raises(ValueError, match="beyond its 4 stored numbers; the file is damaged"):
        read_torch(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch.nn.modules.linear", "Linear")],
)
def test_a_file_that_names_anything_else_is_refused_and_not_run(tmp_path, module, name):
    witness = tmp_path / "witness"
    path = write(tmp_path / "a.pth", {"w": Call(Named(module, name), f"touch {witness}")})
    with pytest.raises(ValueError, match=f"asks for {module}.{name}, .* refused"):
        read_torch(path)
    assert not witness.exists()


def test_only_tensors_and_dictionaries_are_allowed():
    assert len(torch_file.ALLOWED) == 13  # three functions and ten number types


def test_other_files_are_refused_with_the_remedy(tmp_path):
    old = tmp_path / "old.pth"
    old.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(ValueError, match="not in PyTorch's zip format .* torch.save"):
        read_torch(old)
    other = tmp_path / "other.pth"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="0 data.pkl files"):
        read_torch(other)
    with pytest.raises(ValueError, match="holds a list"):
        read_torch(write(tmp_path / "list.pth", [1, 2]))
