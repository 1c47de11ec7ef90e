"""Checksums of arrays, computed where the arrays are and the same however they are cut up.

An element counts as a word w of 32 bits at its place i in the array (row by row). The checksum is
the sum of mix(w ^ i c) over all elements modulo 2^32; c is odd, and mix is a one-to-one map of
words that spreads every bit (`lowbias32` of C. Wellons' hash-prospector). So:

- A sum modulo 2^32 is exact in any order. One device or eight, replicated or cut along any axis, in
  one process or several: the number is the same, and no array is gathered or copied to the host.
- A change within one word always changes the sum, because the map is one-to-one.
- Any other change (elements that swap, a damaged block) goes unseen once in 2^32 times.

Bits count, not values: 0.0 and -0.0 differ, and so do two NaNs of different bits.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

PyTree = Any

PLACE = 0x9E3779B9  # c: 2^32 by the golden ratio, made odd
SIDE_BY_SIDE = 8  # XLA:CPU adds up long sums word by word, short ones in vectors: 8 times as fast
LONG = 1 << 14  # words; below this one sum is as fast


def checksums(tree: PyTree) -> list[int]:
    """Return one checksum for each leaf of a tree, in the order of `jax.tree.leaves`.

    Leaves are arrays of booleans, integers, floats or typed random keys, of any shape. An array
    that occurs twice is read once. Nothing of the tree is needed any more when this returns.
    """
    leaves = jax.tree.leaves(tree)
    # A program for each shape, not one for the tree: 32 for the 908 arrays of a ResNet-50 with
    # Adam and a running average, which compile in a third of the time and run as fast.
    different = {id(leaf): leaf for leaf in leaves}
    sums = jax.device_get({name: _checksum(leaf) for name, leaf in different.items()})
    return [int(sums[id(leaf)]) for leaf in leaves]


@jax.jit
def _checksum(leaf: Array) -> UInt32[Array, ""]:
    words = _words(leaf)
    mixed = _mix(words ^ _places(words.shape))
    if words.ndim and words.size >= LONG:
        # A barrier: without it XLA makes one long sum of the two again.
        mixed = jax.lax.optimization_barrier(_short_sums(mixed))
    return jnp.sum(mixed, dtype=jnp.uint32)


def _words(leaf: Array) -> UInt32[Array, "..."]:
    """Return the bits of each element as a word; of eight bytes as two, along a new last axis."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint32)
    unsigned = {1: jnp.uint8, 2: jnp.uint16}.get(leaf.dtype.itemsize, jnp.uint32)
    return jax.lax.bitcast_convert_type(leaf, unsigned).astype(jnp.uint32)


def _places(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Return i c modulo 2^32 of each element, from its place along each axis.

    The array is never flattened: a part of one that is cut up needs no other part.
    """
    places, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        along = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        places += along * np.uint32(stride * PLACE % 2**32)
        stride *= shape[axis]
    return places


def _mix(words: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    words = (words ^ (words >> 16)) * np.uint32(0x7FEB352D)
    words = (words ^ (words >> 15)) * np.uint32(0x846CA68B)
    return words ^ (words >> 16)


def _short_sums(words: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Return sums of 8 words along the last axis but one (of a vector: 8 sections of it)."""
    if words.ndim == 1:
        words = jnp.pad(words, (0, -len(words) % SIDE_BY_SIDE))
        return jnp.sum(words.reshape(SIDE_BY_SIDE, -1), axis=0, dtype=jnp.uint32)
    *before, rows, columns = words.shape
    words = jnp.pad(words, [(0, 0)] * len(before) + [(0, -rows % SIDE_BY_SIDE), (0, 0)])
    words = words.reshape(*before, -1, SIDE_BY_SIDE, columns)
    return jnp.sum(words, axis=-2, dtype=jnp.uint32)
