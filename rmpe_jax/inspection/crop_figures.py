"""SVG of the crop with windows on it, and of single pixels; positions in pixels of the crop.

A window is what theta cuts out: the square [-1, 1] under theta. Its upper edge is marked, so that
turns and mirror images show.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rmpe_jax.geometry import affine
from rmpe_jax.inspection import pictures
from rmpe_jax.inspection.findings import AROUND, Pixel
from rmpe_jax.inspection.slider import transform
from rmpe_jax.markup import Markup, drawing, tag
from rmpe_jax.records import Array

MARGIN = 0.16  # around the crop, as a share of its sides: windows may reach outside
LINES = 8  # cells of a window's grid along each side
ARROWS = 4  # along each side of a window that moves
HEAD = 0.035  # of an arrow: length as a share of the crop's longer side


class Window(NamedTuple):
    """A theta to draw: `kind` is its class in marks.css, `identifier` the id of its element."""

    theta: np.ndarray
    kind: str
    identifier: str | None = None
    grid: bool = False


class Move(NamedTuple):
    """A window that goes from one theta to another, as arrows; `kind` is their class."""

    before: np.ndarray
    after: np.ndarray
    kind: str


def windows(alt: str, crop: Array, shown: list[Window], moves: Sequence[Move] = ()) -> Markup:
    """Return the crop with windows on it, and arrows along which they move."""
    height, width, _ = crop.shape
    left, top = MARGIN * width, MARGIN * height
    image = tag("image", href=pictures.data_uri(pictures.shown(crop)), width=width, height=height)
    to_pixels = f"translate({width / 2:g} {height / 2:g}) scale({width / 2:g} {height / 2:g})"
    marks = tag("g", *map(_window, shown), transform=to_pixels)
    view = (-left, -top, width + 2 * left, height + 2 * top)
    arrows = [_arrows(move, height, width) for move in moves]
    return drawing(view, alt, image, marks, *arrows, class_="windows")


def picker(alt: str, straight: Array, pixels: tuple[Pixel, ...]) -> Markup:
    """Return the straight image with a dot on each pixel that can be chosen."""
    height, width, _ = straight.shape
    uri = pictures.data_uri(pictures.shown(straight))
    dots = (
        tag("circle", cx=one.column + 0.5, cy=one.row + 0.5, r=width / 150, class_="choice")
        for one in pixels
    )
    marker = tag("circle", r=width / 45, class_="marker", id="pixel-marker")
    image = tag("image", href=uri, width=width, height=height)
    return drawing((0, 0, width, height), alt, image, *dots, marker, id="picker")


def neighbourhood(alt: str) -> Markup:
    """Return the pixels about the four corners, without their colours."""
    side = 2 * AROUND
    cells = (
        tag("rect", x=at % side, y=at // side, width=1, height=1, class_="cell")
        for at in range(side * side)
    )
    first = AROUND - 1
    corners = (
        tag("rect", x=first + at % 2, y=first + at // 2, width=1, height=1, class_="corner")
        for at in range(4)
    )
    point = tag("circle", r=0.16, class_="marker", id="point-marker")
    return drawing((0, 0, side, side), alt, *cells, *corners, point, id="neighbourhood")


def _arrows(move: Move, height: int, width: int) -> Markup:
    """Return arrows from points of the window before to the same points of it after."""
    side = np.linspace(-1, 1, ARROWS)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    starts_px, ends_px = (
        affine.to_pixels(affine.apply(theta, points), height, width)
        for theta in (move.before, move.after)
    )
    along = ends_px - starts_px
    if not np.isfinite(along).all():
        return tag("g")
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    head = along * np.minimum(HEAD * max(height, width) / length, 0.5)
    across = np.stack([-head[:, 1], head[:, 0]], axis=1) / 2
    path = "".join(
        f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}"
        f"M{c[0]:.1f} {c[1]:.1f}L{b[0]:.1f} {b[1]:.1f}L{d[0]:.1f} {d[1]:.1f}"
        for a, b, c, d in zip(
            starts_px, ends_px, ends_px - head + across, ends_px - head - across, strict=True
        )
    )
    strokes = (tag("path", d=path, class_="rim"), tag("path", d=path))
    return tag("g", *strokes, class_=f"window {move.kind}")


def _window(window: Window) -> Markup:
    edges = "M-1-1H1V1H-1Z"
    parts = [tag("path", d=edges, class_="rim"), tag("path", d=edges)]
    parts.append(tag("path", d="M-1-1H1", class_="top"))
    if window.grid:
        inner = np.linspace(-1, 1, LINES + 1)[1:-1]
        lines = "".join(f"M{at:g}-1V1M-1 {at:g}H1" for at in inner)
        parts.insert(0, tag("path", d=lines, class_="mesh"))
    return tag(
        "g",
        *parts,
        transform=transform(window.theta),
        class_=f"window {window.kind}",
        id=window.identifier,
    )
