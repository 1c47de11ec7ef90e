"""The section about d loss / d theta of each branch: which way each of them pulls theta."""

import numpy as np

from rmpe_jax.inspection import charts, crop_figures, motion
from rmpe_jax.inspection.branches import cosine
from rmpe_jax.inspection.charts import Series
from rmpe_jax.inspection.crop_figures import Window
from rmpe_jax.inspection.findings import Findings
from rmpe_jax.inspection.markup import Markup, figure, joined, table, tag
from rmpe_jax.inspection.slider import matrix, number

NAMES = {
    "stn": ("STN", "main loss, through the STN's sampler"),
    "sdtn": ("SDTN", "main loss, through the SDTN's grid"),
    "parallel": ("parallel", "parallel loss, through the STN's sampler"),
    "total": ("sum", "together: what training takes"),
}
MOTIONS = ("shift x", "shift y", "zoom", "turn", "shear", "stretch")
SHOWN_STEP = 0.06  # of the crop's longer side: how far windows are moved to be seen


def branches(findings: Findings) -> Markup:
    """Return what each branch says about theta: in words, as windows, as slopes and as numbers."""
    parts = _parts(findings)
    return tag(
        "section",
        tag("h2", "Who pulls which way"),
        tag(
            "p",
            "d loss / d theta of each branch, at the theta that was found. The cosine toward "
            "theta* is that of the step against the gradient: 1 leads straight there, −1 away.",
        ),
        _words(findings, parts),
        tag(
            "p",
            "Below in orange the window of theta, dashed in white that of theta*, and in the "
            f"colour of its branch where a step of {SHOWN_STEP:.0%} of the crop's side would take "
            "it.",
        ),
        tag("div", *_windows(findings, parts), class_="figures four"),
        tag("div", _slopes(findings, parts), _matrices(parts), class_="figures two"),
        tag("details", tag("summary", "By stack of the networks"), _stacks(findings)),
    )


def _parts(findings: Findings) -> dict[str, np.ndarray]:
    """Return the gradients of theta [2 3] by branch, and their sum; none of a branch that lacks."""
    found = findings.gradients
    parts = dict(zip(NAMES, (*found.by_branch, found.total), strict=True))
    return (
        parts if findings.has_parallel else {key: parts[key] for key in parts if key != "parallel"}
    )


def _words(findings: Findings, parts: dict[str, np.ndarray]) -> Markup:
    star = findings.star.theta - findings.path[0].theta
    rows = []
    for name, part in parts.items():
        step = motion.descent(findings.path[0].theta, part, *findings.size)
        against = float(cosine(part, parts["total"]))
        toward = float(cosine(-part, star))
        rows.append(
            [
                joined(tag("b", NAMES[name][0]), tag("span", NAMES[name][1], class_="small")),
                number(float(np.linalg.norm(part))),
                tag("span", motion.in_words(step), class_="words"),
                number(against),
                number(toward),
            ]
        )
    head = ["branch", "size", "a step of one pixel is", "cosine with the sum", "cosine to theta*"]
    return table(head, rows, "What each branch wants")


def _windows(findings: Findings, parts: dict[str, np.ndarray]) -> list[Markup]:
    """Return the crop with the window as it is, and where each branch would move it."""
    theta, size, crop = findings.path[0].theta, findings.size, findings.path[0].view.crop
    drawn = []
    for name, part in parts.items():
        far = float(motion.distance_px(part, *size))
        if not np.isfinite(far):
            continue
        moved = theta - part * (SHOWN_STEP * max(size) / far if far > 0 else 0.0)
        shown = [
            Window(findings.star.theta, "star"),
            Window(theta, "now"),
            Window(moved, name),
        ]
        alt = f"The window of theta, and where {NAMES[name][1]}, would move it"
        drawn.append(figure(crop_figures.windows(alt, crop, shown), tag("b", NAMES[name][0])))
    return drawn


def _slopes(findings: Findings, parts: dict[str, np.ndarray]) -> Markup:
    slopes = [
        Series(
            NAMES[name][0],
            name,
            np.array(motion.slopes(findings.path[0].theta, part, *findings.size)),
        )
        for name, part in parts.items()
    ]
    alt = "Rise of the loss with each of six motions, by branch"
    caption = joined(
        tag("b", "Rise of the loss"),
        " with one pixel of shift, one percent of zoom, shear or stretch, one degree of turn. Bars "
        "on both sides of zero: the branches disagree.",
        charts.legend(slopes),
    )
    return figure(charts.bars(alt, MOTIONS, slopes), caption)


def _matrices(parts: dict[str, np.ndarray]) -> Markup:
    rows = [
        [NAMES[name][0], tag("pre", matrix(part)), *_row(part, parts)]
        for name, part in parts.items()
    ]
    head = ["", "d loss / d theta", *(NAMES[name][0] for name in parts)]
    return table(head, rows, "Gradients, and their cosines with each other")


def _row(part: np.ndarray, parts: dict[str, np.ndarray]) -> list[str]:
    return [number(float(cosine(part, other))) for other in parts.values()]


def _stacks(findings: Findings) -> Markup:
    """Return the losses and gradients of each stack of both networks."""
    found, cosines = findings.gradients, findings.cosines
    rows = []
    for stack in range(len(found.loss_main)):
        sizes = [float(np.linalg.norm(part[stack])) for part in (found.stn, found.sdtn)]
        toward = (cosines.stn_toward_star[stack], cosines.sdtn_toward_star[stack])
        told = [float(found.loss_main[stack]), *sizes, *map(float, toward)]
        rows.append([f"main {stack + 1}", *map(number, told)])
    for stack in range(len(found.loss_parallel)):
        told = [
            float(found.loss_parallel[stack]),
            float(np.linalg.norm(found.parallel[stack])),
            float(cosines.parallel_toward_star[stack]),
        ]
        rows.append(
            [f"parallel {stack + 1}", number(told[0]), number(told[1]), "", number(told[2]), ""]
        )
    head = ["stack", "loss", "size by STN", "by SDTN", "cosine to theta* by STN", "by SDTN"]
    return table(head, rows, "Losses and gradients by stack")
