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


def deal(weights: tuple[float, ...], seed: int) -> tuple[Int[np.ndarray, " b"], ...]:
    """Return one block: (set of each sample, how many of that set came before, size of each set).

    Every set with a weight above 0 has at least one sample in a block.
    """
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
    return sets, before, counts


def place(block: tuple[Int[np.ndarray, " b"], ...], number: int) -> tuple[int, int]:
    """Return (set, its own sample number) of sample `number` of the run."""
    sets, before, counts = block
    round_, at = divmod(number, len(sets))
    chosen = int(sets[at])
    return chosen, round_ * int(counts[chosen]) + int(before[at])
