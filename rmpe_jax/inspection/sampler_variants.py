"""Bilinear samplers as they are written elsewhere, right and wrong, as weights in NumPy.

A sampler that gives the same values as one of these is known by it, with all its mistakes. Points
are (x, y) in [-1, 1]; what differs is which pixel lies where, which coordinate comes first, what
is beyond the image, and how pixels are weighed. Float64.
"""

import itertools
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float


class Variant(NamedTuple):
    """One way to read an image; the defaults are ours, which is Jaderberg et al. (2015), eq. 5.

    `corners`: at -1 and 1 lie the outer "edges" of the image, or the "centres" of its outer pixels
    (align_corners=True); or -1 is the first centre and 1 one pixel beyond the last ("first").
    `order`: "xy", or "yx" where points are taken as (y, x).
    `border`: beyond the outer centres "fade" to zero within a pixel, "clamp" to the outer pixels,
    "cut" to zero at once, "wrap" around, or "python" (index -1 is the last pixel, and one too high
    is clamped, as in an array of JAX).
    `kernel`: "bilinear", "nearest", or "ceil": weights ceil(x) - x and x - floor(x), both of which
    are 0 at a pixel centre.
    """

    corners: Literal["edges", "centres", "first"] = "edges"
    order: Literal["xy", "yx"] = "xy"
    border: Literal["fade", "clamp", "cut", "wrap", "python"] = "fade"
    kernel: Literal["bilinear", "nearest", "ceil"] = "bilinear"


MISTAKES = {
    "centres": "align_corners differs: -1 and 1 are taken as the centres of the outer pixels, not "
    "as the image's edges (align_corners=True)",
    "first": "half a pixel off: positions are (x + 1) * W / 2, without the - 0.5 of pixel centres",
    "yx": "x and y swapped: points are (x, y), x to the right",
    "clamp": "border clamped: outside of the image it is 0, not the nearest pixel",
    "cut": "cut off at the outer pixel centres: values fade to 0 over one pixel there",
    "wrap": "wraps around the border: outside of the image it is 0, not the other side",
    "python": "no test of the bounds: index -1 reads the last column, and one too high is clamped",
    "nearest": "nearest pixel instead of bilinear",
    "ceil": "0 at pixel centres: weights by ceil(x) - x, which is 0 there as is x - floor(x); take "
    "floor(x) + 1 for ceil(x)",
}


def mistakes(variant: Variant) -> list[str]:
    """Return in words how a variant differs from ours."""
    return [MISTAKES[choice] for choice in variant if choice in MISTAKES]


def variants() -> list[Variant]:
    """Return all of them, ours first, those with few mistakes before those with many."""
    choices = itertools.product(
        ("edges", "centres", "first"),
        ("xy", "yx"),
        ("fade", "clamp", "cut", "wrap", "python"),
        ("bilinear", "nearest", "ceil"),
    )
    return sorted((Variant(*choice) for choice in choices), key=lambda one: len(mistakes(one)))


def read(
    variant: Variant, image: Float[np.ndarray, "h w c"], points: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n c"]:
    """Return the image as this variant reads it at the points."""
    height, width, _ = image.shape
    x, y = (points if variant.order == "xy" else points[:, ::-1]).T
    across = _weights(variant, position(variant, x, width), width)
    down = _weights(variant, position(variant, y, height), height)
    return np.einsum("nh,nw,hwc->nc", down, across, image, optimize=True)


def position(
    variant: Variant, coordinate: Float[np.ndarray, " n"], size: int
) -> Float[np.ndarray, " n"]:
    """Return the positions in pixels, 0 at the first one's centre."""
    if variant.corners == "centres":
        return (coordinate + 1) * (size - 1) / 2
    return (coordinate + 1) * size / 2 - (0.5 if variant.corners == "edges" else 0.0)


def coordinate(
    variant: Variant, position: Float[np.ndarray, " n"], size: int
) -> Float[np.ndarray, " n"]:
    """Return the coordinates in [-1, 1] of positions in pixels."""
    if variant.corners == "centres":
        return position * 2 / (size - 1) - 1
    return (position + (0.5 if variant.corners == "edges" else 0.0)) * 2 / size - 1


def _weights(
    variant: Variant, position: Float[np.ndarray, " n"], size: int
) -> Float[np.ndarray, "n size"]:
    """Return what each pixel of an axis weighs at the positions."""
    if variant.border == "clamp":
        position = np.clip(position, 0, size - 1)
    left = np.floor(position + 0.5) if variant.kernel == "nearest" else np.floor(position)
    share = np.zeros_like(position) if variant.kernel == "nearest" else position - left
    left_share = np.ceil(position) - position if variant.kernel == "ceil" else 1 - share
    out = np.zeros((len(position), size))
    for pixel, weight in ((left, left_share), (left + 1, share)):
        inside = (pixel >= 0) & (pixel < size)
        if variant.border == "cut":
            weight = np.where((position < 0) | (position > size - 1), 0, weight)
        elif variant.border == "wrap":
            pixel, inside = pixel % size, np.ones_like(inside)
        elif variant.border == "python":
            pixel = np.clip(np.where(pixel < 0, pixel + size, pixel), 0, size - 1)
            inside = np.ones_like(inside)
        at = np.where(inside, pixel, 0).astype(int)
        np.add.at(out, (np.arange(len(position)), at), np.where(inside, weight, 0))
    return out
