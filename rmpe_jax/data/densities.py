"""Densities of box offsets: Gaussian mixtures, fitted by expectation maximisation, and sampled.

An offset is four numbers, in widths and heights of the annotated box (`data.pairs`). A Gaussian is
a mixture of one component. Fitting needs NumPy only, and so does sampling.
"""

import bisect
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# Least standard deviation in any direction. Many offsets are exactly 0, where person and detection
# end at the image's edge: without a floor a component would shrink onto them. 1 % of a box is a
# pixel in a crop of 100.
FLOOR = 0.01
COMPONENTS = (1, 2, 3)
RESTARTS, ITERATIONS, ENOUGH = 4, 300, 1e-7  # ENOUGH: gain in log-likelihood of an offset
ADAPTED = 1e-6  # change of any number that ends an adaptation


class Mixture(NamedTuple):
    """A Gaussian mixture of c components over d numbers."""

    weights: Float[np.ndarray, " c"]
    means: Float[np.ndarray, "c d"]
    covariances: Float[np.ndarray, "c d d"]


class Sampler(NamedTuple):
    """A mixture made ready: sums of weights up to each component, means, Cholesky factors.

    Of four numbers, in lists: for one draw these are several times as quick as arrays. Row n of
    a factor has n + 1 numbers; the others are 0.
    """

    cumulative: list[float]
    means: list[list[float]]
    factors: list[list[list[float]]]


def gaussian(offsets: Float[np.ndarray, "n d"]) -> Mixture:
    """Return independent Gaussians for each number, as one component (the authors' code)."""
    deviation = np.maximum(offsets.std(axis=0), FLOOR)
    return from_deviation(offsets.mean(axis=0), deviation)


def from_deviation(mean: Float[np.ndarray, " d"], deviation: Float[np.ndarray, " d"]) -> Mixture:
    """Return one component without correlations."""
    return Mixture(np.ones(1), mean[None], np.diag(deviation**2)[None])


def mixture(
    generator: np.random.Generator,
    offsets: Float[np.ndarray, "n d"],
    components: tuple[int, ...] = COMPONENTS,
) -> Mixture:
    """Return the full-covariance mixture of the lowest BIC; a tie goes to fewer components."""
    fitted = [expectation_maximisation(generator, offsets, count) for count in components]
    return min(fitted, key=lambda one: bic(one, offsets))


def bic(one: Mixture, offsets: Float[np.ndarray, "n d"]) -> float:
    """Return the Bayesian information criterion, Schwarz (1978): lower is better."""
    count, size = one.means.shape
    free = count - 1 + count * size + count * size * (size + 1) // 2
    return float(free * np.log(len(offsets)) - 2 * log_density(one, offsets).sum())


def log_density(one: Mixture, offsets: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Return the natural logarithm of the density at each offset."""
    return np.logaddexp.reduce(_joint(one, offsets), axis=1)


def expectation_maximisation(
    generator: np.random.Generator, offsets: Float[np.ndarray, "n d"], count: int
) -> Mixture:
    """Return the likeliest mixture of `count` components among a few starts.

    Dempster, Laird and Rubin (1977). Every step keeps all deviations at `FLOOR` or above. Raises
    ValueError for fewer offsets than a component has numbers.
    """
    if len(offsets) < count * (offsets.shape[1] + 1):
        raise ValueError(
            f"{len(offsets)} offsets came for {count} components of {offsets.shape[1]} numbers; "
            f"at least {count * (offsets.shape[1] + 1)} are needed"
        )
    starts = RESTARTS if count > 1 else 1
    runs = [_climb(offsets, _first(generator, offsets, count)) for _ in range(starts)]
    return max(runs, key=lambda one: log_density(one, offsets).sum())


def adapt(everybody: Mixture, offsets: Float[np.ndarray, "n d"], prior: float) -> Mixture:
    """Return `everybody` adapted to some of the offsets: as likely as they and a prior make it.

    The prior counts as `prior` offsets that lie as `everybody` says, so that few offsets change
    little and many decide; none give `everybody` back. Expectation maximisation of the posterior:
    Gauvain and Lee (1994); Reynolds et al. (2000) adapt speaker models so.
    """
    one = everybody
    for _ in range(ITERATIONS):
        joint = _joint(one, offsets)
        shares = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
        before, one = one, _maximise(offsets, shares, everybody, prior)
        if max(np.abs(a - b).max() for a, b in zip(before, one, strict=True)) < ADAPTED:
            break
    return one


def sampler(one: Mixture) -> Sampler:
    """Return the mixture ready for `sample`."""
    cumulative = np.cumsum(one.weights / one.weights.sum())
    cumulative[-1] = 1.0  # rounding must not leave a gap above the last
    factors = [
        [row[: number + 1] for number, row in enumerate(factor)]
        for factor in np.linalg.cholesky(one.covariances).tolist()
    ]
    return Sampler(cumulative.tolist(), one.means.tolist(), factors)


def sample(generator: np.random.Generator, ready: Sampler) -> tuple[float, float, float, float]:
    """Return one offset. As many random numbers are drawn whatever the mixture is."""
    n0, n1, n2, n3 = generator.standard_normal(4).tolist()
    component = bisect.bisect_right(ready.cumulative, generator.random())
    m0, m1, m2, m3 = ready.means[component]
    (a,), (b, c), (d, e, f), (g, h, i, j) = ready.factors[component]  # mean + factor @ numbers
    return (
        m0 + a * n0,
        m1 + b * n0 + c * n1,
        m2 + d * n0 + e * n1 + f * n2,
        m3 + g * n0 + h * n1 + i * n2 + j * n3,
    )


def _first(
    generator: np.random.Generator, offsets: Float[np.ndarray, "n d"], count: int
) -> Float[np.ndarray, "n c"]:
    """Return first shares: each offset belongs to the nearest of some of them, chosen apart."""
    spread = offsets / np.maximum(offsets.std(axis=0), FLOOR)
    centres = [spread[generator.integers(len(spread))]]
    for _ in range(count - 1):
        least = np.min([((spread - one) ** 2).sum(axis=1) for one in centres], axis=0)
        share = least / least.sum() if least.sum() > 0 else None
        centres.append(spread[generator.choice(len(spread), p=share)])
    nearest = np.argmin([((spread - one) ** 2).sum(axis=1) for one in centres], axis=0)
    return np.eye(count)[nearest]


def _climb(offsets: Float[np.ndarray, "n d"], shares: Float[np.ndarray, "n c"]) -> Mixture:
    before = -np.inf
    for _ in range(ITERATIONS):
        one = _maximise(offsets, shares)
        joint = _joint(one, offsets)
        total = np.logaddexp.reduce(joint, axis=1)
        shares = np.exp(joint - total[:, None])
        gain, before = total.mean() - before, total.mean()
        if gain < ENOUGH:
            break
    return one


def _maximise(
    offsets: Float[np.ndarray, "n d"],
    shares: Float[np.ndarray, "n c"],
    everybody: Mixture | None = None,
    prior: float = 0.0,
) -> Mixture:
    """Return the likeliest mixture for given shares and, if given, `prior` offsets of everybody."""
    # A component that lost all its offsets keeps a trace of each, and is as wide as all of them.
    shares = shares + 1e-12
    total, sums = shares.sum(axis=0), shares.T @ offsets
    if everybody is not None:
        before = prior * everybody.weights
        total, sums = total + before, sums + before[:, None] * everybody.means
    means = sums / total[:, None]
    away = offsets[None] - means[:, None]
    squares = (away * shares.T[..., None]).transpose(0, 2, 1) @ away
    if everybody is not None:
        off = everybody.means - means
        wide = everybody.covariances + off[:, :, None] * off[:, None, :]
        squares = squares + before[:, None, None] * wide
    return Mixture(total / total.sum(), means, _floored(squares / total[:, None, None]))


def _floored(covariances: Float[np.ndarray, "c d d"]) -> Float[np.ndarray, "c d d"]:
    values, vectors = np.linalg.eigh(covariances)
    values = np.maximum(values, FLOOR**2)
    return (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)


def _joint(one: Mixture, offsets: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n c"]:
    """Return log(weight) + log density of each component."""
    factors = np.linalg.cholesky(one.covariances)
    away = (offsets[None] - one.means[:, None]).transpose(0, 2, 1)
    scaled = np.linalg.solve(factors, away)
    half_log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constant = 0.5 * offsets.shape[1] * np.log(2 * np.pi) + half_log_det - np.log(one.weights)
    return (-0.5 * (scaled**2).sum(axis=1) - constant[:, None]).T
