"""What the page's controls show: each theta and each pixel, ready to be put in its place.

All that a browser must do is to copy texts, picture addresses and positions; nothing is computed
there.
"""

from typing import Any

import numpy as np

from rmpe_jax.inspection import charts, motion, pictures
from rmpe_jax.inspection.charts import Axes, Series
from rmpe_jax.inspection.findings import Findings, Pixel
from rmpe_jax.inspection.scene import Place
from rmpe_jax.skeletons import Skeleton


def data(findings: Findings) -> dict[str, Any]:
    """Return the places (the path, the identity, theta*) and the pixels, as JSON."""
    places = (*findings.path, findings.identity, findings.star)
    return {
        "places": [_place(findings, number, one) for number, one in enumerate(places)],
        "pixels": [_pixel(one) for one in findings.pixels or ()],
    }


def texts(one: Place) -> dict[str, str]:
    """Return the numbers of a place as they are shown, by the ids of their elements."""
    return {
        "loss-main": number(one.loss_main),
        "loss-parallel": number(one.loss_parallel),
        "loss-total": number(one.loss_main + one.loss_parallel),
        "error": number(one.error),
        "determinant": number(one.determinant),
        "moved": motion.in_words(one.moved),
        "theta": matrix(one.theta),
    }


def figures(one: Place, skeleton: Skeleton) -> dict[str, str]:
    """Return the pictures of a place, by the ids of their elements."""
    seen = one.view
    drawn = pictures.pose(seen.straight, seen.joints_straight, seen.confidence, skeleton)
    shown = {
        "straight": pictures.data_uri(drawn),
        "heatmap-straight": pictures.heatmap(seen.straight, seen.heatmaps_straight),
        "heatmap-crop": pictures.heatmap(seen.crop, seen.heatmaps_crop),
    }
    if seen.heatmaps_parallel is not None:
        shown["heatmap-parallel"] = pictures.heatmap(seen.straight, seen.heatmaps_parallel)
    return shown


def series(findings: Findings) -> list[Series]:
    """Return the losses along the path; the first is what goes down."""
    main = np.array([one.loss_main for one in findings.path])
    parallel = np.array([one.loss_parallel for one in findings.path])
    parts = [Series("main", "main", main), Series("parallel", "parallel", parallel)]
    total = Series("total", "total", main + parallel)
    return [total, *parts] if findings.has_parallel else [total]


def steps(findings: Findings) -> np.ndarray:
    """Return the numbers of the path's steps."""
    return np.arange(len(findings.path), dtype=float)


def transform(theta: np.ndarray) -> str:
    """Return theta as SVG writes a map of points; one that is not finite shows nothing."""
    if not np.isfinite(theta).all():
        return "scale(0)"
    return f"matrix({' '.join(f'{value:.5g}' for value in np.asarray(theta).T.ravel())})"


def number(value: float) -> str:
    """Return a number with four digits, or a dash for none."""
    return f"{value:#.4g}".removesuffix(".") if np.isfinite(value) else "–"


def matrix(theta: np.ndarray) -> str:
    """Return theta in two lines, its columns one below the other."""
    return "\n".join(" ".join(f"{value:+8.3f}" for value in row) for row in np.asarray(theta))


def _place(findings: Findings, step: int, one: Place) -> dict[str, Any]:
    losses, on_path = series(findings), step < len(findings.path)
    frame = charts.axes(steps(findings), [line.values for line in losses])
    shown = findings.landscape
    return {
        "label": one.label,
        "texts": texts(one),
        "pictures": figures(one, findings.skeleton),
        "transform": transform(one.theta),
        "markers": {
            "loss-marker": _at(frame, step, one.loss_main + one.loss_parallel) if on_path else None,
            "landscape-marker": None
            if shown is None
            else _at(charts.landscape_axes(shown), one.moved.shift_x, one.moved.zoom),
        },
    }


def _at(frame: Axes, x: Any, y: Any) -> list[float] | None:
    """Return where a marker lies in a chart, None where it lies outside."""
    point = float(x), float(y)
    return list(frame.at(*point)) if charts.inside(frame, point) else None


def _pixel(one: Pixel) -> dict[str, Any]:
    read = one.read
    corners = [
        {
            "texts": [
                f"{read.row[at]}, {read.column[at]}",
                f"{read.weight[at]:.3f}",
                _colour_text(read.value[at]) if read.inside[at] else "outside: 0",
                f"{read.slope_x[at]:+.3f}",
                f"{read.slope_y[at]:+.3f}",
            ],
            "colour": _hex(np.round(255 * read.value[at])),
        }
        for at in range(4)
    ]
    value = (read.weight[:, None] * read.value).sum(axis=0)
    down, right = float(read.weight[2:].sum()), float(read.weight[1::2].sum())
    return {
        "row": one.row,
        "column": one.column,
        "corners": corners,
        "sum": _colour_text(value),
        "colour": _hex(np.round(255 * value)),
        "point": [round(right, 3), round(down, 3)],
        "around": [_hex(colour) for colour in one.around.reshape(-1, 3)],
        "slopes": {"d-main": _pair(one.d_main), "d-parallel": _pair(one.d_parallel)},
    }


def _pair(slope: np.ndarray) -> str:
    return f"{slope[0]:+.2e}, {slope[1]:+.2e}"


def _colour_text(value: np.ndarray) -> str:
    return " ".join(f"{part:.2f}" for part in value)


def _hex(colour: np.ndarray) -> str:
    red, green, blue = np.clip(np.nan_to_num(colour), 0, 255).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
