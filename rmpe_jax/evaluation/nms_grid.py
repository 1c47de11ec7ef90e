"""A figure at every point of a grid of pose NMS parameters, in one compiled call.

Poses are those of i photographs, padded to p. The similarity terms K_sim and H_sim are computed
once for each sigma and reused: a point of the grid adds them, eliminates, merges and measures.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax import pose_nms
from rmpe_jax.pose_nms import NmsOptions, NmsParameters, Number
from rmpe_jax.records import Array, Poses

# Memory grows with the points of a grid in one call, and with the photographs in any case.
POINTS_AT_ONCE, IMAGES_AT_ONCE = 4, 16

# Of (truth, poses [i p ...] after NMS) the figure to be maximised: pure, and hashable.
Measure = Callable[[Any, Poses], Float[Array, ""]]


class Terms(NamedTuple):
    """K_sim for each sigma1, H_sim for each sigma2, and who eliminates whom at any similarity."""

    confidence: Float[Array, "a i p p"]
    distance: Float[Array, "b i p p"]
    always: Bool[Array, "i p p"]


def figures(
    poses: Poses,
    truth: Any,
    parameters: NmsParameters,
    axes: dict[str, np.ndarray],
    *,
    options: NmsOptions,
    measure: Measure,
) -> Float[np.ndarray, "x y"]:
    """Return the figure for each pair of values of two axes, with the other parameters fixed.

    `axes` has two of sigma1, sigma2, lambda_ and eta, each with its values.
    """
    values = {name: np.atleast_1d(value) for name, value in parameters._asdict().items()} | axes
    first, second = axes
    shape = (len(axes[first]), len(axes[second]))
    count = shape[0] * shape[1]
    # Groups of points of one size, so that grids of any size share programs.
    room = -(-count // POINTS_AT_ONCE) * POINTS_AT_ONCE
    number = {name: np.zeros(room, int) for name in values}
    x, y = np.indices(shape)
    number[first][:count], number[second][:count] = x.ravel(), y.ravel()
    terms = similarity_terms(
        poses, values["sigma1"], values["sigma2"], parameters.fraction, options
    )
    points = (
        number["sigma1"],
        number["sigma2"],
        values["lambda_"][number["lambda_"]],
        values["eta"][number["eta"]],
    )
    found = []
    for start in range(0, room, POINTS_AT_ONCE):
        some = tuple(values[start : start + POINTS_AT_ONCE] for values in points)
        found.append(
            _figures(
                poses, truth, terms, some, parameters.fraction, options=options, measure=measure
            )
        )
    return np.concatenate([np.asarray(part) for part in found])[:count].reshape(shape)


@partial(jax.jit, static_argnames="options")
def similarity_terms(
    poses: Poses,
    sigma1: Float[Array, " a"],
    sigma2: Float[Array, " b"],
    fraction: Number,
    options: NmsOptions,
) -> Terms:
    """Return the terms of all photographs."""

    def of_image(poses: Poses) -> Terms:
        def terms(sigma1: Number, sigma2: Number) -> pose_nms.Terms:
            return pose_nms.similarity_terms(poses, sigma1, sigma2, fraction, options)

        return Terms(
            jax.vmap(lambda sigma1: terms(sigma1, sigma2[0]).confidence)(sigma1),
            jax.vmap(lambda sigma2: terms(sigma1[0], sigma2).distance)(sigma2),
            pose_nms.same_by_count(poses, fraction, options),
        )

    terms = jax.lax.map(of_image, poses, batch_size=IMAGES_AT_ONCE)
    by_sigma = partial(jnp.moveaxis, source=1, destination=0)
    return Terms(by_sigma(terms.confidence), by_sigma(terms.distance), terms.always)


@partial(jax.jit, static_argnames=("options", "measure"))
def _figures(
    poses: Poses,
    truth: Any,
    terms: Terms,
    points: tuple[Int[Array, " n"], Int[Array, " n"], Float[Array, " n"], Float[Array, " n"]],
    fraction: Number,
    *,
    options: NmsOptions,
    measure: Measure,
) -> Float[Array, " n"]:
    """Return the figure at points (number of sigma1, number of sigma2, lambda, eta)."""

    def at(sigma1: Array, sigma2: Array, lambda_: Array, eta: Array) -> Float[Array, ""]:
        similarity = terms.confidence[sigma1] + lambda_ * terms.distance[sigma2]
        eliminates = (similarity >= eta) | terms.always
        suppress = partial(pose_nms.suppress, fraction=fraction, options=options)
        return measure(truth, jax.vmap(suppress)(poses, eliminates))

    return jax.vmap(at)(*points)
