"""Charts as SVG that takes its colours from the page, so that they are right in light and dark.

Series are told apart by colour, dash and label: classes `stn`, `sdtn`, `parallel`, `total` and so
on of marks.css.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

from rmpe_jax.geometry.affine import Scalar
from rmpe_jax.inspection import pictures
from rmpe_jax.inspection.landscape import Descent, Landscape
from rmpe_jax.markup import Markup, drawing, tag

WIDTH, HEIGHT = 340, 200  # of a chart, in its own units: about pixels of a phone
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 34  # margins for the axes
CELL = 16  # pixels from one value of the landscape to the next


class Series(NamedTuple):
    """One line of a chart; its values may have gaps (NaN)."""

    label: str
    kind: str
    values: Float[np.ndarray, " n"]


class Axes(NamedTuple):
    """Where values lie in a chart."""

    x: tuple[Scalar, Scalar]
    y: tuple[Scalar, Scalar]

    def at(self, x: Scalar, y: Scalar) -> tuple[float, float]:
        """Return the place of a point, rounded to a tenth."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        place = (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )
        return round(place[0], 1), round(place[1], 1)


def axes(x: Float[np.ndarray, " n"], values: Sequence[Float[np.ndarray, " n"]]) -> Axes:
    """Return axes that hold all finite values, with some room above and below."""
    flat = np.concatenate([np.asarray(one, np.float64).ravel() for one in values])
    flat = flat[np.isfinite(flat)]
    low, high = (flat.min(), flat.max()) if len(flat) else (0.0, 1.0)
    room = 0.06 * (high - low) or max(abs(high), 1.0) / 2
    first, last = float(x[0]), float(x[-1])
    return Axes((first, last if last > first else first + 1), (low - room, high + room))


def lines(
    alt: str,
    x: Float[np.ndarray, " n"],
    series: Sequence[Series],
    x_label: str,
    *,
    marker: str | None = None,
) -> Markup:
    """Return a line chart; `marker` is the id of a disc on the first series' first point."""
    frame = axes(x, [one.values for one in series])
    parts = [_frame(frame, x_label)]
    for one in series:
        for run in _runs(x, one.values):
            points = " ".join(f"{left},{top}" for left, top in (frame.at(*at) for at in run))
            kind = f"line {one.kind}"
            parts.append(tag("polyline", points=points, class_=kind))
            if len(run) == 1:
                left, top = frame.at(*run[0])
                parts.append(tag("circle", cx=left, cy=top, r=2.5, class_=f"dot {one.kind}"))
    if marker is not None:
        left, top = frame.at(float(x[0]), float(series[0].values[0]))
        parts.append(tag("circle", cx=left, cy=top, r=5, class_="marker", id=marker))
    return drawing((0, 0, WIDTH, HEIGHT), alt, *parts, class_="chart")


def landscape_axes(shown: Landscape) -> Axes:
    """Return the axes of a landscape: shift to the right, and zoom."""
    ends = (shown.shift[0], shown.shift[-1]), (shown.zoom[0], shown.zoom[-1])
    return Axes(*((float(low), float(high)) for low, high in ends))


def landscape(alt: str, shown: Landscape, path: Descent, *, marker: str) -> Markup:
    """Return the training loss as colours over shift and zoom, with a path and theta* as a star.

    Bright is low. `marker` is the id of a disc on the start of the path.
    """
    frame = landscape_axes(shown)
    left, bottom = frame.at(frame.x[0], frame.y[0])
    right, top = frame.at(frame.x[1], frame.y[1])
    cells = tag(
        "image",
        href=pictures.data_uri(colours((shown.main + shown.parallel)[::-1])),
        x=left,
        y=top,
        width=round(right - left, 1),
        height=round(bottom - top, 1),
        preserveAspectRatio="none",
    )
    # Not those that leave the chart; about a theta that cannot be inverted all are NaN.
    way = zip(path.shift.tolist(), path.zoom.tolist(), strict=True)
    steps = [frame.at(*at) for at in way if inside(frame, at)]
    points = " ".join(f"{x},{y}" for x, y in steps)
    parts = [
        _frame(frame, "shift to the right, pixels of the crop", "zoom, %"),
        cells,
        tag("polyline", points=points, class_="path rim"),
        tag("polyline", points=points, class_="path"),
        *(tag("circle", cx=x, cy=y, r=1.8, class_="step") for x, y in steps),
    ]
    star = (float(shown.star[0]), float(shown.star[1]))
    if inside(frame, star):
        x, y = frame.at(*star)
        parts.append(tag("text", "★", x=x, y=y + 6, class_="star"))
    x, y = frame.at(0, 0)
    parts.append(tag("circle", cx=x, cy=y, r=5.5, class_="marker", id=marker))
    return drawing((0, 0, WIDTH, HEIGHT), alt, *parts, class_="chart")


def bars(alt: str, groups: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return groups of bars from zero, one bar of each series; values that are NaN have none."""
    values = np.stack([np.nan_to_num(one.values) for one in series])
    reach = float(np.abs(values).max()) or 1.0
    frame = Axes((0, len(groups)), (-1.08 * reach, 1.08 * reach))
    wide = 0.8 / len(series)
    parts = [_frame(frame, "", bare=True)]
    for column, group in enumerate(groups):
        for row, one in enumerate(series):
            left, zero = frame.at(column + 0.1 + row * wide, 0)
            right, end = frame.at(column + 0.1 + (row + 1) * wide, float(values[row, column]))
            parts.append(
                tag(
                    "rect",
                    x=left,
                    y=min(zero, end),
                    width=round(right - left - 1, 1),
                    height=round(abs(end - zero), 1),
                    class_=f"bar {one.kind}",
                )
            )
        middle, _ = frame.at(column + 0.5, 0)
        parts.append(tag("text", group, x=middle, y=HEIGHT - 12, class_="tick middle"))
    left, zero = frame.at(0, 0)
    parts.append(tag("line", x1=left, x2=WIDTH - RIGHT, y1=zero, y2=zero, class_="axis"))
    return drawing((0, 0, WIDTH, HEIGHT), alt, *parts, class_="chart")


def legend(series: Sequence[Series]) -> Markup:
    """Return what the lines or bars of a chart are."""
    entries = []
    for one in series:
        line = tag("line", x1=0, x2=26, y1=6, y2=6, class_=f"line {one.kind}")
        key = tag("svg", line, viewBox="0 0 26 12", aria_hidden="true", class_="key")
        entries.append(tag("li", key, one.label))
    return tag("ul", *entries, class_="legend")


def inside(frame: Axes, point: tuple[float, float]) -> bool:
    """Return whether a point lies within the axes; NaN does not."""
    return all(
        ends[0] <= value <= ends[1] for value, ends in zip(point, (frame.x, frame.y), strict=True)
    )


def _frame(frame: Axes, x_label: str, y_label: str = "", *, bare: bool = False) -> Markup:
    """Return axes with ticks; `bare` leaves those of x out."""
    parts = []
    left, bottom = frame.at(frame.x[0], frame.y[0])
    right, top = frame.at(frame.x[1], frame.y[1])
    for value in _ticks(frame.y, 4):
        _, y = frame.at(frame.x[0], value)
        parts.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", f"{value:g}", x=left - 5, y=y + 4, class_="tick end"))
    for value in [] if bare else _ticks(frame.x, 5):
        x, _ = frame.at(value, frame.y[0])
        parts.append(tag("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(tag("text", f"{value:g}", x=x, y=bottom + 15, class_="tick middle"))
    parts.append(tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis"))
    middle = (left + right) / 2
    parts.append(tag("text", x_label, x=middle, y=HEIGHT - 4, class_="tick middle"))
    if y_label:
        turned = f"translate(11 {(top + bottom) / 2:g}) rotate(-90)"
        parts.append(tag("text", y_label, transform=turned, class_="tick middle"))
    return tag("g", *parts)


def _ticks(ends: tuple[Scalar, Scalar], most: int) -> list[float]:
    """Return round values between the ends."""
    values = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(*ends)
    return [float(round(value, 10)) for value in values if ends[0] <= value <= ends[1]]


def _runs(
    x: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> list[list[tuple[float, float]]]:
    """Return the points in pieces without gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(x, values, strict=True):
        if np.isfinite(value):
            runs[-1].append((float(at), float(value)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def colours(loss: Float[np.ndarray, "m n"]) -> pictures.Image:
    """Return the losses in cividis, which any colour vision reads, and linear between them."""
    finite = loss[np.isfinite(loss)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    share = np.nan_to_num((loss - low) / ((high - low) or 1.0), nan=1.0)
    # A square root: the basin is what is looked at, and the walls are many times as high.
    level = np.round(255 * (1 - np.sqrt(np.clip(share, 0, 1)))).astype(np.uint8)
    coarse = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB)
    fine = cv2.resize(coarse, None, fx=CELL, fy=CELL, interpolation=cv2.INTER_LINEAR)
    # Values belong to the middles of cells: the outer ones lie on the edges of the chart.
    return fine[CELL // 2 : -(CELL // 2), CELL // 2 : -(CELL // 2)]
