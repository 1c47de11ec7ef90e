"""The gradients of our samplers by three independent ways, in float64, where it is easy and not.

Autodiff of the program; the papers' equations (`closed_form`); finite differences. Where a point
lies on a pixel centre, as all do at the identity, interpolation has a kink: there the differences
are one-sided, of each point to the right (down), and carried to theta by the equations that lead
from theta to the point. theta itself has no derivative there: as it changes, some points move to
the left and some to the right.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmpe_jax.geometry import affine, sampler
from rmpe_jax.inspection import closed_form
from rmpe_jax.records import Array

HEIGHT, WIDTH, CHANNELS = 8, 16, 3  # powers of two: pixel centres are met to the last bit
STEP = 1e-6  # of theta's entries, for central differences
NEAR_PX = 1e-3  # differences of theta would cross pixel centres that are nearer
TOLERANCE = 1e-6
Way = Literal["stn", "sdtn"]


class ThetaGradients(NamedTuple):
    """theta's gradients of a linear loss, by three ways; `literal` uses eq. 7 as printed.

    `finite` is of theta itself, and one-sided by way of the points where `distance_px`, from the
    nearest pixel centre's row or column to a point, is less than NEAR_PX.
    """

    autodiff: Float[np.ndarray, "n 2 3"]
    closed_form: Float[np.ndarray, "n 2 3"]
    finite: Float[np.ndarray, "n 2 3"]
    literal: Float[np.ndarray, "n 2 3"]
    distance_px: Float[np.ndarray, " n"]


class Check(NamedTuple):
    """One line of the table. Errors are relative to the largest entry of the closed form.

    `size` is that entry; `error_literal` is that of eq. 7 as printed (NaN: it is not used).
    """

    place: str
    what: str
    size: float
    error_autodiff: float
    error_finite: float
    error_literal: float
    passed: bool
    verdict: str


def check_table(theta: Float[Array, "2 3"], *, seed: int = 0) -> tuple[Check, ...]:
    """Return how the ways agree at theta, the identity, whole pixels, the border, and outside.

    On a random image of 8 x 16 pixels. theta must be finite, with a determinant that `affine.gamma`
    does not clamp.
    """
    theta = np.asarray(theta, np.float64)
    if not np.isfinite(theta).all() or affine.is_clamped(theta):
        raise ValueError(
            f"theta is {theta.tolist()}, which is not finite or all but singular: gamma is then "
            "clamped and no inverse, and equations 3 to 6 do not hold. Give another theta"
        )
    places = {
        "theta": theta,
        "identity": affine.identity(),
        "whole pixels": np.array([[1, 0, 2 * 3 / WIDTH], [0, 1, -2 * 2 / HEIGHT]]),
        "border": np.array([[1.08, 0.03, 0], [-0.02, 1.06, 0.01]]),
        "outside": np.array([[1.0, 0.1, 5], [0, 1, 5]]),
    }
    generator = np.random.default_rng(seed)
    image, upstream = generator.normal(size=(2, HEIGHT, WIDTH, CHANNELS))
    thetas = np.stack(list(places.values()))
    found = {way: theta_gradients(thetas, image, upstream, way=way) for way in ("stn", "sdtn")}
    checks = []
    for row, place in enumerate(places):
        stn = ThetaGradients(*(part[row] for part in found["stn"]))
        sdtn = ThetaGradients(*(part[row] for part in found["sdtn"]))
        kink = bool(stn.distance_px < NEAR_PX)
        points = affine.apply(thetas[row], _centres())
        of_image, of_points = _read_checks(image, points, upstream)
        checks += [
            _check(place, "d image (STN 6)", *of_image),
            _check(place, "d points (STN 7)", *of_points),
            _check(place, "d theta, STN (STN 7, RMPE 1)", *stn[:4], at_kink=kink),
            _check(place, "d theta of gamma (RMPE 5, 6)", *_gamma_check(thetas[row], seed)),
            _check(
                place,
                "d theta, SDTN (STN 7, RMPE 5, 6)",
                *sdtn[:4],
                at_kink=bool(sdtn.distance_px < NEAR_PX),
            ),
        ]
    return tuple(checks)


def to_markdown(checks: Sequence[Check]) -> str:
    """Return the table for people."""
    lines = [
        "| place | gradient | largest | autodiff - closed form | autodiff - finite differences | "
        "equation 7 as printed | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for check in checks:
        literal = "" if np.isnan(check.error_literal) else f"{check.error_literal:.1e}"
        lines.append(
            f"| {check.place} | {check.what} | {check.size:.3g} | {check.error_autodiff:.1e} | "
            f"{check.error_finite:.1e} | {literal} | {check.verdict} |"
        )
    return "\n".join(lines)


def theta_gradients(
    thetas: Float[np.ndarray, "n 2 3"],
    image: Float[np.ndarray, "h w c"],
    upstream: Float[np.ndarray, "oh ow c"],
    *,
    way: Way,
) -> ThetaGradients:
    """Return d sum(upstream * pulled) / d theta, of the image pulled by theta or by gamma."""
    height, width, _ = upstream.shape
    flat, given = _centres(height, width), np.asarray(thetas, np.float64)
    maps = given if way == "stn" else closed_form.gamma(given)
    points = np.stack([affine.apply(one, flat) for one in maps])
    seen = upstream.reshape(-1, upstream.shape[-1])[None].repeat(len(given), axis=0)

    def carried(d_points: Float[np.ndarray, "n p 2"]) -> Float[np.ndarray, "n 2 3"]:
        d_map = closed_form.gradient_of_theta(d_points, flat)
        return d_map if way == "stn" else closed_form.gradient_through_gamma(given, d_map)

    moves = STEP * np.eye(6).reshape(6, 2, 3)
    with jax.enable_x64(True):
        autodiff = np.asarray(_theta_gradients(given, image, upstream, way=way))
        ends = [
            np.asarray(_theta_losses(given[:, None] + sign * moves, image, upstream, way=way))
            for sign in (1, -1)
        ]
    direct = ((ends[0] - ends[1]) / (2 * STEP)).reshape(-1, 2, 3)
    distance_px = _distance_px(points, image.shape)
    one_sided = carried(_right_hand_differences(image, points, seen))
    return ThetaGradients(
        autodiff,
        carried(closed_form.gradient_of_points(image, points, seen)),
        np.where((distance_px < NEAR_PX)[:, None, None], one_sided, direct),
        carried(closed_form.gradient_of_points(image, points, seen, literal=True)),
        distance_px,
    )


def _loss(theta: Array, image: Array, upstream: Array, *, way: Way) -> Array:
    height, width, _ = upstream.shape
    pull_map = theta if way == "stn" else affine.gamma(theta)
    return jnp.sum(upstream * sampler.pull(image, pull_map, height, width))


@partial(jax.jit, static_argnames="way")
def _theta_gradients(thetas: Array, image: Array, upstream: Array, *, way: Way) -> Array:
    return jax.vmap(lambda theta: jax.grad(_loss)(theta, image, upstream, way=way))(thetas)


@partial(jax.jit, static_argnames="way")
def _theta_losses(thetas: Array, image: Array, upstream: Array, *, way: Way) -> Array:
    """Return the losses at thetas [n m 2 3]."""
    flat = thetas.reshape(-1, 2, 3)
    losses = jax.vmap(lambda theta: _loss(theta, image, upstream, way=way))(flat)
    return losses.reshape(thetas.shape[:2])


@jax.jit
def _read(image: Array, points: Array) -> Array:
    return sampler.sample(image, points.reshape(1, -1, 2))[0]


@jax.jit
def _read_gradients(image: Array, points: Array, upstream: Array) -> tuple[Array, Array]:
    return jax.vjp(_read, image, points)[1](upstream)


@jax.jit
def _gamma_losses(thetas: Array, weights: Array) -> Array:
    return jnp.sum(weights[None] * jax.vmap(affine.gamma)(thetas), axis=(1, 2))


def _read_checks(image: Array, points: Array, upstream: Array) -> list[tuple[Array, ...]]:
    """Return (autodiff, closed form, finite differences) of the image, then of the points.

    Of the points also eq. 7 as printed.
    """
    seen = upstream.reshape(-1, upstream.shape[-1])
    with jax.enable_x64(True):
        d_image, d_points = map(np.asarray, _read_gradients(image, points, seen))
        # The values are linear in the image: a step of 1 in one pixel at a time is exact. All of
        # its pixels as channels, each a 1 somewhere else, make that one read.
        pixels = image.shape[0] * image.shape[1]
        weights = np.asarray(_read(np.eye(pixels).reshape(*image.shape[:2], pixels), points))
    finite = np.einsum("pi,pc->ic", weights, seen).reshape(image.shape)
    return [
        (d_image, closed_form.gradient_of_image(image, points, seen), finite),
        (
            d_points,
            closed_form.gradient_of_points(image, points, seen),
            _right_hand_differences(image, points, seen),
            closed_form.gradient_of_points(image, points, seen, literal=True),
        ),
    ]


def _gamma_check(theta: Array, seed: int) -> tuple[Array, ...]:
    """Return (autodiff, closed form, finite differences) of theta, of a random sum over gamma."""
    weights = np.random.default_rng(seed).normal(size=(2, 3))
    moves = STEP * np.eye(6).reshape(6, 2, 3)
    with jax.enable_x64(True):
        autodiff = np.asarray(
            jax.grad(lambda theta: _gamma_losses(theta[None], weights)[0])(jnp.asarray(theta))
        )
        ends = [np.asarray(_gamma_losses(theta + sign * moves, weights)) for sign in (1, -1)]
    finite = ((ends[0] - ends[1]) / (2 * STEP)).reshape(2, 3)
    return autodiff, closed_form.gradient_through_gamma(theta, weights), finite


def _right_hand_differences(
    image: Float[np.ndarray, "h w c"],
    points: Float[np.ndarray, "*n 2"],
    upstream: Float[np.ndarray, "*n c"],
) -> Float[np.ndarray, "*n 2"]:
    """Return what the loss gains as each point moves halfway to the next pixel centre's column.

    (Row, for y.) Interpolation is linear on the way there, so the step may be that large.
    """
    sides = np.array(image.shape[1::-1])
    position = (points + 1) * sides / 2 - 0.5
    steps = (np.floor(position) + 1 - position) / 2 * (2 / sides)
    with jax.enable_x64(True):
        here = np.asarray(_read(image, points)).reshape(upstream.shape)
        slopes = []
        for move in np.eye(2):
            moved = points + steps * move
            rise = np.asarray(_read(image, moved)).reshape(upstream.shape) - here
            slopes.append((rise * upstream).sum(axis=-1) / ((moved - points) @ move))
    return np.stack(slopes, axis=-1)


def _distance_px(
    points: Float[np.ndarray, "n p 2"], shape: tuple[int, ...]
) -> Float[np.ndarray, " n"]:
    position = (points + 1) * np.array(shape[1::-1]) / 2 - 0.5
    return np.abs(position - np.rint(position)).min(axis=(1, 2))


def _centres(height: int = HEIGHT, width: int = WIDTH) -> Float[np.ndarray, "p 2"]:
    x, y = (2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def relative_error(got: Array, expected: Array) -> float:
    """Return the largest difference over the largest expected entry; 0 for zeros that agree."""
    off, size = np.max(np.abs(got - expected)), np.max(np.abs(expected))
    return float(off / size) if size > 0 else float(np.inf if off > 0 else 0.0)


def _check(
    place: str,
    what: str,
    autodiff: Array,
    expected: Array,
    finite: Array,
    literal: Array | None = None,
    *,
    at_kink: bool = False,
) -> Check:
    error_autodiff = relative_error(autodiff, expected)
    error_finite = relative_error(autodiff, finite)
    error_literal = np.nan if literal is None else relative_error(literal, expected)
    passed = max(error_autodiff, error_finite) <= TOLERANCE
    size = float(np.max(np.abs(expected)))
    if not passed:
        other = "closed form" if error_autodiff > TOLERANCE else "finite differences"
        verdict = f"autodiff differs from the {other}"
    elif size == 0:
        verdict = "all are 0"
    elif error_literal > TOLERANCE:
        verdict = "right-hand derivative by all; equation 7 as printed is no derivative here"
        if at_kink:
            verdict += ", and theta has none: points that move left have another"
    else:
        verdict = "all agree"
    return Check(
        place, what, size, error_autodiff, error_finite, float(error_literal), passed, verdict
    )
