"""The section with the slider: theta on its way down the loss, and what each theta shows."""

import numpy as np

from rmpe_jax.inspection import charts, crop_figures, slider
from rmpe_jax.inspection.crop_figures import Window
from rmpe_jax.inspection.findings import Findings
from rmpe_jax.inspection.slider import number
from rmpe_jax.markup import Markup, figure, joined, picture, tag

NUMBERS = {
    "loss-total": "loss",
    "loss-main": "main",
    "loss-parallel": "parallel, weighted",
    "error": "|theta − theta*|",
    "determinant": "det theta",
    "moved": "moved from the start",
    "theta": "theta (straight → crop)",
}
FIGURES = {
    "straight": ("Straight image", "what the pose network sees, with the pose it finds"),
    "heatmap-straight": ("Main heat-maps, straight", "of all joints, before the SDTN"),
    "heatmap-crop": ("Main heat-maps, pulled back", "into the crop by the SDTN: the main loss"),
    "heatmap-parallel": ("Parallel heat-maps", "of the frozen network: the parallel loss"),
}


def steps(findings: Findings) -> Markup:
    """Return theta on its way down the loss: a slider, and all that it changes."""
    label = findings.path[0].label
    return tag(
        "section",
        tag("h2", "Step by step down the loss"),
        tag(
            "p",
            "Gradient descent on theta alone, the network as it is. Move the slider, or put theta "
            "where nothing is moved (identity) and where it should be (theta*).",
        ),
        tag("noscript", tag("p", "The sliders need JavaScript; all else is here without it.")),
        _controls(len(findings.path) - 1),
        tag("p", f"Shown: theta {label}", id="place-now", aria_live="polite"),
        tag("div", *_figures(findings), class_="figures five"),
        _numbers(findings),
        tag("div", _descent(findings), _landscape(findings), class_="figures charts"),
    )


def _controls(last: int) -> Markup:
    """Return the slider over the path, and the buttons of the two places behind it."""
    return tag(
        "div",
        tag("label", "Gradient step ", tag("output", 0, id="step-now"), f" of {last}", for_="step"),
        tag("input", type="range", id="step", min=0, max=last, value=0, step=1),
        tag("button", "identity", type="button", data_place=last + 1, aria_pressed="false"),
        tag("button", "theta*", type="button", data_place=last + 2, aria_pressed="false"),
        class_="controls",
    )


def _figures(findings: Findings) -> list[Markup]:
    start = findings.path[0]
    window = crop_figures.windows(
        "The crop with the window of theta as a grid, and that of theta* dashed",
        start.view.crop,
        [
            Window(findings.star.theta, "star"),
            Window(start.theta, "now", identifier="window", grid=True),
        ],
    )
    shown = slider.figures(start, findings.skeleton)
    return [
        figure(window, joined(tag("b", "Crop"), " the window of theta; dashed: theta*")),
        *(_changing(name, uri, start.label) for name, uri in shown.items()),
    ]


def _numbers(findings: Findings) -> Markup:
    lacking = () if findings.has_parallel else ("loss-main", "loss-parallel")
    shown = slider.texts(findings.path[0])
    entries = (
        tag("div", tag("dt", name), tag("dd", shown[key], id=key))
        for key, name in NUMBERS.items()
        if key not in lacking
    )
    return tag("dl", *entries, class_="numbers")


def _changing(name: str, uri: str, label: str) -> Markup:
    """Return a picture that the slider changes."""
    title, caption = FIGURES[name]
    shown = picture(uri, f"{title} {label}", id=name, data_alt=title)
    return figure(shown, joined(tag("b", title), f" {caption}"))


def _descent(findings: Findings) -> Markup:
    lines = slider.series(findings)
    if findings.descent is None:
        return tag("p", f"No descent: {findings.missing['descent']}", class_="notes")
    first, last = lines[0].values[0], lines[0].values[-1]
    alt = f"Loss over the steps of descent, from {first:.4g} to {last:.4g}"
    chart = charts.lines(alt, slider.steps(findings), lines, "gradient step", marker="loss-marker")
    legend = charts.legend(lines) if len(lines) > 1 else None
    return figure(chart, joined(tag("b", "Loss over the steps"), legend))


def _landscape(findings: Findings) -> Markup:
    shown, path = findings.landscape, findings.descent
    if shown is None or path is None:
        return tag("p", f"No landscape: {findings.missing['landscape']}", class_="notes")
    chart = charts.landscape(
        "Loss over shift and zoom of the window, bright is low, with the path of the descent",
        shown,
        path,
        marker="landscape-marker",
    )
    losses = shown.main + shown.parallel
    caption = (
        f" of the window, from {number(np.nanmin(losses))} (bright) to {number(np.nanmax(losses))} "
        "(dark), with the descent's path and theta* (★). The path goes its way in all six numbers "
        "of theta, of which two are seen here."
    )
    return figure(chart, joined(tag("b", "Loss over shift and zoom"), caption))
