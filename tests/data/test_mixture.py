import numpy as np
import pytest

from rmpe_jax.data import mixture


def test_each_set_gives_its_share_and_its_own_samples_in_order():
    block = mixture.deal((1.0, 3.0), seed=0)
    placed = [mixture.place(block, number) for number in range(4000)]
    of_first = [own for chosen, own in placed if chosen == 0]
    of_second = [own for chosen, own in placed if chosen == 1]
    assert of_first == list(range(1000)) and of_second == list(range(3000))


def test_the_sets_are_dealt_among_each_other():
    sets, _, _ = mixture.deal((1.0, 1.0), seed=0)
    shares = [np.mean(sets[start : start + 100]) for start in range(0, 1000, 100)]
    assert 0.3 < min(shares) and max(shares) < 0.7
    assert not np.array_equal(sets, mixture.deal((1.0, 1.0), seed=1)[0])


def test_a_small_weight_still_counts_and_none_does_not():
    _, _, counts = mixture.deal((1.0, 1e-6, 0.0), seed=0)
    assert counts.tolist() == [1000, 1, 0]


def test_of_one_set_every_sample_is_its_own():
    block = mixture.deal((2.0,), seed=5)
    for number in (0, 7, 12345):
        assert mixture.place(block, number) == (0, number)


class Source:
    def __init__(self, fingerprint):
        self.fingerprint = fingerprint


def test_the_fingerprint_of_a_mixture_names_all_sets_and_weights():
    one, two = Source("a"), Source("b")
    assert mixture.Mixture((one,), (3.0,)).fingerprint == "a"
    told = {
        mixture.Mixture(sources, weights).fingerprint
        for sources, weights in [
            ((one, two), (1.0, 1.0)),
            ((two, one), (1.0, 1.0)),
            ((one, two), (1.0, 2.0)),
        ]
    }
    assert len(told) == 3


@pytest.mark.parametrize("weights", [(0.0,), (0.0, 0.0), (-1.0, 2.0)])
def test_weights_that_deal_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights of the data sets are .* 0 or more"):
        mixture.deal(weights, seed=0)
