import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rmpe_jax.checksums import LONG, checksums

MASK = 2**32 - 1


def by_hand(array: np.ndarray) -> int:
    """The definition, one element after another in Python's integers."""
    kind = {1: np.uint8, 2: np.uint16}.get(array.dtype.itemsize, np.uint32)
    total = 0
    for place, word in enumerate(np.ascontiguousarray(array).reshape(-1).view(kind).tolist()):
        x = word ^ (place * 0x9E3779B9 & MASK)
        x = (x ^ (x >> 16)) * 0x7FEB352D & MASK
        x = (x ^ (x >> 15)) * 0x846CA68B & MASK
        total += x ^ (x >> 16)
    return total & MASK


def random(dtype: type, *shape: int) -> np.ndarray:
    values = np.random.default_rng(len(shape)).normal(scale=99, size=shape)
    return (values > 0 if dtype is np.bool_ else values).astype(dtype)


DTYPES = (np.float32, ml_dtypes.bfloat16, np.int32, np.uint32, np.uint8, np.int8, np.bool_)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_as_by_hand(dtype):
    arrays = [random(dtype, *shape) for shape in ((), (0,), (3, 0), (1,), (7,), (2, 3, 5))]
    arrays = [np.abs(array) if dtype in (np.uint8, np.uint32) else array for array in arrays]
    assert checksums(arrays) == [by_hand(array) for array in arrays]


def test_eight_bytes_are_two_words(float64):
    array = random(np.float64, 3, 5)
    assert checksums(array) == [by_hand(array)]


@pytest.mark.parametrize("shape", [(LONG + 3,), (131, 128), (3, 3, 41, 64), (2, LONG // 2)])
def test_what_is_added_up_in_two_goes_is_as_by_hand(shape):
    array = random(np.float32, *shape)
    assert checksums(array) == [by_hand(array)]


def test_a_typed_key_counts_as_its_data():
    key = jax.random.key(7)
    assert checksums(key) == [by_hand(np.asarray(jax.random.key_data(key)))]
    assert checksums(jax.random.key(8)) != checksums(key)


SPECIFICATIONS = [
    PartitionSpec(*axes)
    for axes in itertools.permutations(("data", "model", None, None), 3)
    if axes.count(None) < 3
]


def test_however_an_array_is_cut_up_its_checksum_is_the_same():
    small, large = random(np.float32, 8, 12, 4), random(np.float32, 8, 64, 64)
    expected = [by_hand(small), by_hand(large)]
    for shape in ((1, 1), (2, 1), (4, 1), (2, 2), (1, 4)):
        devices = jax.devices()[: shape[0] * shape[1]]
        auto = (AxisType.Auto, AxisType.Auto)
        mesh = jax.make_mesh(shape, ("data", "model"), axis_types=auto, devices=devices)
        for specification in (PartitionSpec(), *SPECIFICATIONS):
            placed = jax.device_put((small, large), NamedSharding(mesh, specification))
            assert checksums(placed) == expected, (shape, specification)


EIGHT = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from rmpe_jax.checksums import checksums
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
array = np.arange(64 * 512, dtype=np.float32).reshape(64, 512)
for specification in (PartitionSpec(), PartitionSpec("data"), PartitionSpec(None, "data")):
    print(*checksums(jax.device_put(array, NamedSharding(mesh, specification))))
"""


def test_eight_devices_agree_with_one():
    array = np.arange(64 * 512, dtype=np.float32).reshape(64, 512)
    flag = "--xla_force_host_platform_device_count=8"
    process = subprocess.run(
        [sys.executable, "-c", f"import os; os.environ['XLA_FLAGS'] = '{flag}'\n{EIGHT}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert process.stdout.split() == [str(by_hand(array))] * 3 == [str(*checksums(array))] * 3


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, MASK), min_size=12, max_size=12),
    st.integers(0, 11),
    st.integers(0, 31),
)
def test_every_flipped_bit_is_seen(words, place, bit):
    array = np.array(words, np.uint32).reshape(3, 4)
    other = array.copy()
    other.flat[place] ^= np.uint32(1 << bit)
    assert checksums(array.view(np.float32)) != checksums(other.view(np.float32))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, MASK), min_size=12, max_size=12),
    st.integers(0, 11),
    st.integers(0, 11),
)
def test_swapped_elements_are_seen(words, first, second):
    array = np.array(words, np.uint32).reshape(3, 4)
    other = array.copy()
    other.flat[[first, second]] = array.flat[[second, first]]
    same = bool((array == other).all())
    assert (checksums(array) == checksums(other)) is same


def test_the_highest_bits_of_two_elements_do_not_cancel():
    array = random(np.float32, 3, 4)
    for first, second in itertools.combinations(range(12), 2):
        other = array.copy()
        other.flat[[first, second]] *= -1
        assert checksums(array) != checksums(other)


def test_values_that_compare_equal_differ_by_their_bits():
    assert checksums(np.float32(0.0)) != checksums(np.float32(-0.0))
    plain, payload = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    assert checksums(plain) != checksums(payload)
    assert checksums(np.zeros((2, 3), np.float32)) != checksums(np.zeros((2, 4), np.float32))


def test_leaves_are_in_the_order_of_the_tree_and_one_may_occur_twice():
    a, b = jnp.arange(5.0), jnp.ones((2, 2), jnp.bfloat16)
    assert checksums({"b": b, "a": a, "c": (a, None)}) == [*checksums([a, b]), *checksums(a)]
    assert checksums({}) == []
