"""What is wrong with a bilinear sampler: any function (image [h w c], points [n 2]) -> [n c].

Points are (x, y) in [-1, 1] with the image's outer edges at -1 and 1; outside it is zero. A
wrapper for another library is a few lines:

    def scipy_sampler(image, points):
        x, y = ((points + 1) * image.shape[1::-1] - 1).T / 2
        read = partial(ndimage.map_coordinates, order=1, mode="grid-constant")
        return np.stack([read(channel, [y, x]) for channel in np.moveaxis(image, -1, 0)], axis=-1)

    def torch_sampler(image, points):
        image, points = torch.as_tensor(image), torch.as_tensor(points)
        options = {"align_corners": False, "padding_mode": "zeros"}
        return grid_sample(image.permute(2, 0, 1)[None], points[None, None], **options)[0, :, 0].T
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax.inspection import sampler_variants as known
from rmpe_jax.inspection.sampler_variants import Variant

Sampler = Callable[[Any, Any], Any]  # (image [h w c], points [n 2]) -> values [n c]
# (image, points, upstream [n c]) -> (d image [h w c], d points [n 2]) of sum(upstream * values)
Gradients = Callable[[Any, Any, Any], tuple[Any, Any]]
# (image, theta [2 3], height, width) -> [height width c]
Pull = Callable[[Any, Any, int, int], Any]
Array = np.ndarray

OURS = Variant()
TOLERANCES = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-4}
TOLERANCE_OF_HALVES = 2e-2
MOVE_PX = 0.05  # of points, for differences: interpolation is linear on the way
MISSING_BORDER = "the border is neither 0 outside nor any other way that is known here"


class Row(NamedTuple):
    """One line of a report: how far off `what` is there, relative to the largest right entry."""

    what: str
    place: str
    error: float
    passed: bool


class SamplerReport(NamedTuple):
    """What came out; `findings` says what is wrong, one plain sentence each, empty if nothing is.

    `remarks` is what differs from ours and is not wrong, or was not looked at. Values are compared
    with ours, gradients with what the sampler's own values ask for.
    """

    passed: bool
    findings: tuple[str, ...]
    remarks: tuple[str, ...]
    rows: tuple[Row, ...]


def check_sampler(
    sampler: Sampler, *, gradients: Gradients | Literal["jax"] | None = "jax", seed: int = 0
) -> SamplerReport:
    """Return what is wrong with the values of a sampler and with its gradients.

    `gradients`: "jax" takes them by autodiff of a sampler in JAX, which is handed JAX arrays in
    float64. Of another framework they come from a function (image, points, upstream [n c]) ->
    (d image [h w c], d points [n 2]); None checks the values alone. Both are handed NumPy arrays.
    """
    if gradients == "jax":
        with jax.enable_x64(True):
            return _check(_in_jax(sampler), _gradients_in_jax(sampler), seed)
    return _check(sampler, gradients, seed)


def by_theta(pull: Pull) -> Sampler:
    """Return a sampler of points made of one of theta, (image, theta, height, width) -> image.

    Each point is a theta of its own, whose output is one pixel. How the function lays its grid of
    several pixels is not seen by this: compare that with `geometry.sampler.pull`.
    """

    def sampler(image: Any, points: Any) -> Any:
        xp = jnp if isinstance(points, jax.Array) else np
        nothing = xp.zeros((2, 2), dtype=points.dtype)
        thetas = [xp.concatenate([nothing, point[:, None]], axis=1) for point in points]
        return xp.stack([xp.asarray(pull(image, theta, 1, 1))[0, 0] for theta in thetas])

    return sampler


def _check(sampler: Sampler, gradients: Gradients | None, seed: int) -> SamplerReport:
    variant, findings, rows = _check_values(sampler, seed)
    remarks = []
    if gradients is None:
        remarks.append("gradients were not checked: give a function for them by gradients=")
    elif all(np.isfinite(row.error) for row in rows):
        wrong, remarks, more = _check_gradients(sampler, gradients, variant, seed + 1)
        findings, rows = findings + wrong, rows + more
    return SamplerReport(not findings, tuple(findings), tuple(remarks), tuple(rows))


def _check_values(sampler: Sampler, seed: int) -> tuple[Variant | None, list[str], list[Row]]:
    """Return the variant that gives the same values, if any, what is wrong with it, and rows."""
    generator = np.random.default_rng(seed)
    height, width = 8, 16
    image = generator.normal(size=(height, width, 3))
    places = _places(generator, OURS, height, width)
    together = _values(sampler, image, np.concatenate(list(places.values())))
    got = dict(zip(places, np.split(together, len(places)), strict=True))
    tolerance = _tolerance(together)

    def off(variant: Variant, place: str) -> float:
        return _off(got[place], known.read(variant, image, places[place]), np.abs(image).max())

    def known_as(candidates: list[Variant], chosen: list[str]) -> Variant | None:
        fits = (v for v in candidates if all(off(v, place) <= tolerance for place in chosen))
        return next(fits, None)

    rows = [Row("values", p, off(OURS, p), off(OURS, p) <= tolerance) for p in places]
    if broken := [row.place for row in rows if not np.isfinite(row.error)]:
        return None, [f"returns NaN or infinity: {', '.join(broken)}"], rows
    candidates = known.variants()
    if variant := known_as(candidates, list(places)):
        return variant, known.mistakes(variant), rows
    fading = [variant for variant in candidates if variant.border == "fade"]
    if inner := known_as(fading, ["inside"]):
        centres = known_as(fading, ["inside", "pixel centres"])
        said = MISSING_BORDER if centres else "values at pixel centres are not the pixels"
        return None, [*known.mistakes(centres or inner), said], rows
    worst = max(rows, key=lambda row: row.error)
    said = (
        f"values are neither those of bilinear interpolation (off by {worst.error:.2g} of the "
        f"largest pixel, {worst.place}) nor those of a mistake that is known here"
    )
    return None, [said], rows


class _Seen(NamedTuple):
    """The points' gradient at one place, and what the values ask for to either side of them."""

    d_points: Array
    right: Array
    left: Array
    literal: Array


def _check_gradients(
    sampler: Sampler, gradients: Gradients, variant: Variant | None, seed: int
) -> tuple[list[str], list[str], list[Row]]:
    """Return what is wrong with the gradients, what is only different, and rows.

    They are compared with differences of the variant that has the sampler's values, or of the
    sampler itself, so that a mistake of the values is not told twice.
    """
    generator = np.random.default_rng(seed)
    meant = variant or OURS
    # Sides for which pixel centres are met to the last bit.
    height, width = (9, 17) if meant.corners == "centres" else (8, 16)
    image = generator.normal(size=(height, width, 3))
    places = _places(generator, meant, height, width, margin=1)
    if meant.kernel != "bilinear":
        places["pixel centres"] = places["inside"]  # the values jump there

    def values(image: Array, points: Array) -> Array:
        if variant is None:
            return _values(sampler, image, points)
        return known.read(variant, image, points)

    together = np.concatenate(list(places.values()))
    upstream = generator.normal(size=(len(together), image.shape[-1]))
    d_image, d_points = _gradients_at(gradients, image, together, upstream)
    tolerance = _tolerance(d_points)
    read = partial(values, image)
    right, left = (
        _differences(read, together, upstream, move, height, width) for move in (MOVE_PX, -MOVE_PX)
    )
    literal = (read(together) * upstream).sum(axis=1)[:, None] * _half(meant, height, width)
    by_place = (np.split(part, len(places)) for part in (d_points, right, left, literal))
    seen = dict(zip(places, map(_Seen, *by_place), strict=True))

    # The values are linear in the image: what random images give is what its gradient says.
    others = generator.normal(size=(8, *image.shape))
    asked = np.array([(values(other, together) * upstream).sum() for other in others])
    told = np.array([(other * d_image).sum() for other in others])
    error = _off(told, asked, np.abs(asked).max())
    rows = [Row("gradient of image", "all", error, error <= tolerance)]
    findings, remarks = [], []
    if not rows[0].passed:
        said = "the image's gradient is wrong" if d_image.any() else "no gradient reaches the image"
        findings.append(f"{said}: it is the weight that each pixel was read with (equation 6)")

    name, scaled = _scale(seen["inside"], meant, height, width, tolerance)
    findings += [name] if name else []
    for place, one in seen.items():
        error = _off(one.d_points, one.right, np.abs(one.right).max())
        passed = error <= tolerance
        if place == "pixel centres":
            said, fine = _side(one, scaled, tolerance)
            (remarks if fine else findings).extend([said] if said else [])
            passed = fine and not name
        elif place != "inside" and not _agree(one, scaled(one.right), tolerance):
            findings.append(f"the points' gradient is not that of the values ({place})")
        rows.append(Row("gradient of points", place, error, passed))
    return findings, remarks, rows


def _scale(
    inside: _Seen, meant: Variant, height: int, width: int, tolerance: float
) -> tuple[str, Callable[[Array], Array]]:
    """Return what is wrong with the gradient between pixel centres, "" if nothing, and the map.

    The map makes a wrong gradient of a right one.
    """
    half = _half(meant, height, width)
    corners = "edges" if meant.corners == "centres" else "centres"
    other = _half(meant._replace(corners=corners), height, width)
    guesses: dict[str, Callable[[Array], Array]] = {
        "": lambda right: right,
        "no gradient reaches the points": lambda right: right * 0,
        "gradient of the points misses the factor (W/2), (H/2): it is per pixel, and points are in "
        "[-1, 1]": lambda right: right / half,
        "gradient of the points has the factors (W/2) and (H/2) exchanged": lambda right: (
            right / half * half[::-1]
        ),
        "align_corners differs between values and gradient of the points: (W - 1)/2 for W/2, or "
        "the other way": lambda right: right / half * other,
        "gradient of the points has x and y swapped": lambda right: right[:, ::-1],
        "gradient of the points has the wrong sign": lambda right: -right,
        "gradient of the points is twice what it should be: W for (W/2)": lambda right: 2 * right,
    }
    for name, guess in guesses.items():
        if _agree(inside, guess(inside.right), tolerance):
            return name, guess
    return "the points' gradient is not that of the values (inside)", lambda right: right


def _half(variant: Variant, height: int, width: int) -> Array:
    """Return the pixels that a unit of each coordinate is."""
    half = (np.array([width, height]) - (variant.corners == "centres")) / 2
    return half if variant.order == "xy" else half[::-1]


def _side(one: _Seen, scaled: Callable[[Array], Array], tolerance: float) -> tuple[str, bool]:
    """Return what the points' gradient is at pixel centres, "" if ours, and whether it may be."""
    if _agree(one, scaled(one.right), tolerance):
        return "", True
    fair = {
        "at pixel centres the points' gradient is the left-hand derivative; ours is the right-hand "
        "one": one.left,
        "at pixel centres the points' gradient is the mean of the derivatives to the left and to "
        "the right; ours is the right-hand one": (one.left + one.right) / 2,
    }
    wrong = {
        "zero gradient at pixel centres, where the identity puts every point: corners by ceil(x)? "
        "Take floor(x) + 1": one.right * 0,
        "at pixel centres the points' gradient is U[m]: equation 7 read literally, which is no "
        "derivative there": one.literal,
        "at pixel centres the points' gradient is -U[m]: one pixel alone is weighed, as by "
        "autodiff of max(0, 1 - |x - m|)": -one.literal,
    }
    for said, guess in (fair | wrong).items():
        if _agree(one, scaled(guess), tolerance):
            return said, said in fair
    return "at pixel centres the points' gradient is that of neither side", False


def _places(
    generator: np.random.Generator, variant: Variant, height: int, width: int, *, margin: int = 0
) -> dict[str, Array]:
    """Return as many points for each place, none where differences would meet a kink or a jump.

    `margin` leaves the outer pixel centres out.
    """
    sides = np.array([width, height])

    def between(count: int) -> Array:
        """Positions between the outer centres, off the centres and off halfway to the next."""
        share = generator.uniform(0.1, 0.4, (count, 2)) + generator.choice([0, 0.5], (count, 2))
        return generator.integers(0, sides - 1, (count, 2)) + share

    def beyond(count: int, least: float, most: float) -> Array:
        """Positions that far beyond the outer centres, in x, in y, or in both."""
        inner = between(count)
        far = generator.uniform(least, most, (count, 2))
        outer = np.where(generator.random((count, 2)) < 0.5, -far, sides - 1 + far)
        which = np.arange(count)[:, None] % 3
        return np.where((which == 2) | (which == np.arange(2)), outer, inner)

    x, y = np.meshgrid(*(np.arange(margin, side - margin, dtype=float) for side in sides))
    count = height * width
    third = count // 3
    positions = {
        "inside": between(count),
        "pixel centres": np.resize(np.stack([x, y], axis=-1).reshape(-1, 2), (count, 2)),
        "border": np.concatenate([beyond(third, 0.1, 0.4), beyond(count - third, 0.6, 0.9)]),
        "outside": np.concatenate([beyond(third, 50.1, 50.4), beyond(count - third, 1.1, 1.4)]),
    }
    out = {}
    for place, position in positions.items():
        point = [
            known.coordinate(variant, position[:, axis], int(side))
            for axis, side in enumerate(sides)
        ]
        out[place] = np.stack(point if variant.order == "xy" else point[::-1], axis=-1)
    return out


def _differences(
    read: Callable[[Array], Array],
    points: Array,
    upstream: Array,
    move_px: float,
    height: int,
    width: int,
) -> Array:
    """Return what the sum of upstream x values gains a unit as each point moves that far."""
    here, out = read(points), []
    for axis, side in enumerate((width, height)):
        moved = points.copy()
        moved[:, axis] += move_px * 2 / side
        rise = ((read(moved) - here) * upstream).sum(axis=1)
        out.append(rise / (moved - points)[:, axis])
    return np.stack(out, axis=-1)


def _values(sampler: Sampler, image: Array, points: Array) -> Array:
    """Return a sampler's values, or raise ValueError if they have the wrong shape."""
    values = np.asarray(sampler(image, points))
    wanted = (len(points), image.shape[-1])
    if values.shape != wanted:
        raise ValueError(
            f"the sampler returned shape {values.shape} for an image [h w c] = {image.shape} and "
            f"{len(points)} points; due is [n c] = {wanted}: one row for each point"
        )
    return values


def _gradients_at(
    gradients: Gradients, image: Array, points: Array, upstream: Array
) -> tuple[Array, Array]:
    """Return the gradients of image and points, or raise ValueError for a wrong shape."""
    d_image, d_points = (np.asarray(part) for part in gradients(image, points, upstream))
    if (d_image.shape, d_points.shape) != (image.shape, points.shape):
        raise ValueError(
            f"the gradients have shapes {d_image.shape} and {d_points.shape}; due are those of "
            f"image and points, {image.shape} and {points.shape}"
        )
    return d_image, d_points


def _in_jax(sampler: Sampler) -> Sampler:
    """Return a sampler in JAX as one that takes NumPy arrays, and says so if it is none."""
    hint = (
        "check_sampler hands JAX arrays to a sampler. For one of another framework type "
        "gradients=None (values alone), or gradients=function(image, points, upstream)"
    )

    def read(image: Any, points: Any) -> Any:
        try:
            values = sampler(jnp.asarray(image), jnp.asarray(points))
        except Exception as error:
            error.add_note(hint)
            raise
        if not isinstance(values, jax.Array):
            raise TypeError(f"the sampler returned a {type(values).__name__}. {hint}")
        return values

    return read


def _gradients_in_jax(sampler: Sampler) -> Gradients:
    def gradients(image: Any, points: Any, upstream: Any) -> tuple[Any, Any]:
        values, back = jax.vjp(sampler, jnp.asarray(image), jnp.asarray(points))
        return back(jnp.asarray(upstream, values.dtype))

    return gradients


def _tolerance(values: Array) -> float:
    return TOLERANCES.get(values.dtype, TOLERANCE_OF_HALVES)


def _agree(one: _Seen, wanted: Array, tolerance: float) -> bool:
    return _off(one.d_points, wanted, np.abs(one.right).max()) <= tolerance


def _off(got: Array, wanted: Array, size: float) -> float:
    """Return the largest difference as a part of `size`; as it is where that is 0."""
    return float(np.max(np.abs(got.astype(np.float64) - wanted)) / (size or 1.0))
