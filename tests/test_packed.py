import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from rmpe_jax import packed
from rmpe_jax.packed import PackedError


def variables() -> dict:
    generator = np.random.default_rng(0)
    return {
        "params": {"conv": {"kernel": generator.normal(size=(3, 3, 2, 4)).astype(np.float32)}},
        "batch_stats": {"bn": {"var": np.array([1e-7, 2.0, 3e5], np.float32)}},
    }


def test_a_network_comes_back_with_its_settings(tmp_path):
    path = tmp_path / "a" / "net.safetensors"
    packed.write(path, variables(), {"config": {"depth": 18}})
    back, meta = packed.read(path)
    kernel = variables()["params"]["conv"]["kernel"]
    assert meta == {"config": {"depth": 18}}
    assert back["params"]["conv"]["kernel"].dtype == np.float32
    np.testing.assert_allclose(back["params"]["conv"]["kernel"], kernel, rtol=5e-4)
    # Statistics of batch norm can be too small or too large for half precision.
    np.testing.assert_array_equal(
        back["batch_stats"]["bn"]["var"], variables()["batch_stats"]["bn"]["var"]
    )
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_kernels_take_two_bytes_a_number(tmp_path):
    packed.write(tmp_path / "net.safetensors", {"kernel": np.ones((100, 100))}, {})
    assert (tmp_path / "net.safetensors").stat().st_size < 20_300


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="kernel has values"):
        packed.write(tmp_path / "net.safetensors", {"kernel": np.full((1, 1), 1e5)}, {})
    assert not list(tmp_path.iterdir())


def test_a_changed_byte_is_found(tmp_path):
    path = tmp_path / "net.safetensors"
    packed.write(path, variables(), {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PackedError, match="checksum"):
        packed.read(path)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", bytes(100)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(PackedError, match="cannot be read.*rmpe pack"):
        packed.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PackedError, match="cannot be read"):
        packed.read(tmp_path / "net.safetensors")


@pytest.mark.parametrize("told", [{}, {"format": "2", "meta": json.dumps({})}])
def test_arrays_of_somebody_else_are_refused(tmp_path, told):
    path = tmp_path / "net.safetensors"
    path.write_bytes(save({"a": np.ones(2)}, told))
    assert load(path.read_bytes())["a"].shape == (2,)
    with pytest.raises(PackedError, match="not what network"):
        packed.read(path)
