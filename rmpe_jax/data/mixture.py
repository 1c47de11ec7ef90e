"""Several data sets in one run, by weights: which set gives sample number n, and which of its own.

The samples are dealt in blocks: each block has of every set its share, in an order drawn once from
the seed. So where sample n comes from is a closed form of n, and a run resumes anywhere.
"""

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Int

if TYPE_CHECKING:
    from rmpe_jax.data.dataset import PhotographSource

BLOCK = 1000  # samples; weights are kept to this precision


class Mixture(NamedTuple):
    """Prepared sets with the same joints, and the weight of each."""

    sources: "tuple[PhotographSource, ...]"
    weights: tuple[float, ...]

    @property
    def fingerprint(self) -> str:
        """Return a hash of all sets and their weights; of one set, its own."""
        if len(self.sources) == 1:
            return self.sources[0].fingerprint
        parts = [source.fingerprint for source in self.sources]
        return hashlib.sha256(repr((parts, self.weights)).encode()).hexdigest()


class Block(NamedTuple):
    """The set of each of b samples, how many of that set came before, and how many each has."""

    sets: Int[np.ndarray, " b"]
    before: Int[np.ndarray, " b"]
    counts: Int[np.ndarray, " s"]


def deal(weights: tuple[float, ...], seed: int) -> Block:
    """Return how a block is dealt; a set with a weight above 0 has at least one sample of it."""
    if min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(
            f"the weights of the data sets are {weights}; 0 or more are allowed, one above 0: set "
            "data.weight and the weight of each set in data.also"
        )
    shares = np.array(weights) / sum(weights)
    counts = np.maximum(np.round(shares * BLOCK), shares > 0).astype(np.int64)
    sets = np.repeat(np.arange(len(weights)), counts)
    sets = np.random.default_rng([seed, len(weights)]).permutation(sets)
    before = np.empty_like(sets)
    for chosen, count in enumerate(counts):
        before[sets == chosen] = np.arange(count)
    return Block(sets, before, counts)


def place(block: Block, number: int) -> tuple[int, int]:
    """Return (set, its own sample number) of sample `number` of the run."""
    round_, at = divmod(number, len(block.sets))
    chosen = int(block.sets[at])
    return chosen, round_ * int(block.counts[chosen]) + int(block.before[at])
