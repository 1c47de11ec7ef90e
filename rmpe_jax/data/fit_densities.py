"""How boxes lie about people of each atom: densities of their offsets, and how well these tell.

How well is measured on photographs that a density was not fitted to.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from rich.console import Console
from rich.progress import track

from rmpe_jax.data import densities, pgpg
from rmpe_jax.data.pgpg import Density, Pgpg

FOLDS = 5
LEAST_FITTED = 5 * max(densities.COMPONENTS)  # offsets of four numbers that a mixture needs


class Matched(NamedTuple):
    """Matched people: photograph, pose and offset of each."""

    image: Int[np.ndarray, " m"]
    joints_px: Float[np.ndarray, "m k 3"]
    offset: Float[np.ndarray, "m 4"]


def fit_densities(
    generator: np.random.Generator,
    offsets: Float[np.ndarray, "m 4"],
    assigned: Int[np.ndarray, " m"],
    enough: Bool[np.ndarray, " r"],
    prior: float,
) -> tuple[Density, tuple[Density | None, ...]]:
    """Return the density of everybody, and of each row that has `enough` people, else None."""
    everybody = Density(densities.gaussian(offsets), densities.mixture(generator, offsets))

    def of_row(row: int) -> Density | None:
        if not enough[row]:
            return None
        here = offsets[assigned == row]
        if prior:
            mixture = densities.adapt(everybody.mixture, here, prior)
        else:
            mixture = densities.mixture(generator, here)
        return Density(densities.gaussian(here), mixture)

    return everybody, tuple(of_row(row) for row in range(len(enough)))


def held_out(
    generator: np.random.Generator,
    matched: Matched,
    assigned: Int[np.ndarray, " m"],
    enough: Bool[np.ndarray, " r"],
    prior: float,
    *,
    console: Console | None = None,
) -> dict[str, Any]:
    """Return the mean log-likelihood of an offset under each kind of density, fitted to others.

    Five folds of photographs: densities come from four, the fifth is measured. The atoms stay.
    `gain` is over one Gaussian for everybody, with its standard error over photographs.
    People must be on as many photographs as there are folds, or more.
    """
    _, image = np.unique(matched.image, return_inverse=True)
    fold = (generator.permutation(image.max() + 1) % FOLDS)[image]
    names = ("published", "global", "gaussian", "global mixture", "mixture")
    found = {name: np.zeros(len(fold)) for name in names}
    published = pgpg.published().gaussian
    hidden = console is None or not console.is_terminal
    for number in track(range(FOLDS), "held out", console=console, disable=hidden):
        others = fold != number
        left = np.bincount(assigned[others], minlength=len(enough)) >= LEAST_FITTED
        everybody, own = fit_densities(
            generator, matched.offset[others], assigned[others], enough & left, prior
        )
        for row, mine in enumerate(own):
            here = ~others & (assigned == row)
            density = everybody if mine is None else mine
            told = (published, everybody.gaussian, density.gaussian)
            for name, one in zip(names, (*told, everybody.mixture, density.mixture), strict=True):
                found[name][here] = densities.log_density(one, matched.offset[here])
    return {
        name: {
            "log_likelihood": float(values.mean()),
            "gain": float((values - found["global"]).mean()),
            "standard_error": _standard_error(values - found["global"], image),
        }
        for name, values in found.items()
    } | {"mixture over global mixture": _gain(found["mixture"] - found["global mixture"], image)}


def bic(
    fitted: Pgpg, offsets: Float[np.ndarray, "m 4"], rows: Int[np.ndarray, " m"]
) -> dict[str, float]:
    """Return the sum of BIC over the groups that have a density, for each kind; lower is better."""
    own = [density is not None for density in fitted.own]
    group = np.where(np.array(own)[rows], rows, -1)  # the others share the density of everybody
    everybody = {
        "global": densities.bic(fitted.everybody.gaussian, offsets),
        "global mixture": densities.bic(fitted.everybody.mixture, offsets),
    }
    summed = {"gaussian": 0.0, "mixture": 0.0}
    for one in np.unique(group):
        density = fitted.everybody if one < 0 else fitted.own[one]
        assert density is not None
        for kind in summed:
            summed[kind] += densities.bic(getattr(density, kind), offsets[group == one])
    return everybody | summed


def _gain(difference: Float[np.ndarray, " m"], image: Int[np.ndarray, " m"]) -> dict[str, float]:
    error = _standard_error(difference, image)
    return {"gain": float(difference.mean()), "standard_error": error}


def _standard_error(values: Float[np.ndarray, " m"], image: Int[np.ndarray, " m"]) -> float:
    """Return that of the mean, with people of one photograph taken together."""
    sums = np.bincount(image, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))
