"""The section about d loss / d theta of each branch: which way each of them pulls theta."""

import numpy as np

from rmpe_jax.inspection import charts, crop_figures, motion
from rmpe_jax.inspection.branches import BranchGradients, cosine
from rmpe_jax.inspection.charts import Series
from rmpe_jax.inspection.crop_figures import Move, Window
from rmpe_jax.inspection.findings import Findings
from rmpe_jax.inspection.slider import matrix, number
from rmpe_jax.markup import Markup, figure, joined, table, tag
from rmpe_jax.records import Array

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
    found, crop = findings.gradients, findings.path[0].view.crop
    return tag(
        "section",
        tag("h2", "Who pulls which way"),
        tag(
            "p",
            "d loss / d theta of each branch, at the theta that was found. The cosine toward "
            "theta* is that of the step against the gradient: 1 leads straight there, −1 away.",
        ),
        words(found, crop),
        tag(
            "p",
            "Below in orange the window of theta, dashed in white that of theta*, and in the "
            f"colour of its branch where a step of {SHOWN_STEP:.0%} of the crop's side would take "
            "it.",
        ),
        tag("div", *windows(found, crop), class_="figures four"),
        tag("div", slopes(found, crop), _matrices(_parts(found)), class_="figures two"),
        tag("details", tag("summary", "By stack of the networks"), _stacks(findings)),
    )


def _parts(found: BranchGradients) -> dict[str, np.ndarray]:
    """Return the gradients of theta [2 3] by branch, and their sum; none of a branch that lacks."""
    parts = dict(zip(NAMES, (*found.by_branch, found.total), strict=True))
    if not len(found.parallel):
        del parts["parallel"]
    return parts


def words(found: BranchGradients, crop: Array) -> Markup:
    """Return a table of what each branch wants of theta."""
    parts, (theta, star) = _parts(found), _thetas(found)
    rows = []
    for name, part in parts.items():
        step = motion.descent(theta, part, *crop.shape[:2])
        against = float(cosine(part, parts["total"]))
        toward = float(cosine(-part, star - theta))
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


def windows(found: BranchGradients, crop: Array) -> list[Markup]:
    """Return the crop with the window as it is, and where each branch would move it."""
    theta, star = _thetas(found)
    size, drawn = crop.shape[:2], []
    for name, part in _parts(found).items():
        far = float(motion.distance_px(part, *size))
        if not np.isfinite(far):
            continue
        moved = theta - part * (SHOWN_STEP * max(size) / far if far > 0 else 0.0)
        shown = [Window(star, "star"), Window(theta, "now"), Window(moved, name)]
        alt = f"The window of theta, and where {NAMES[name][1]}, would move it"
        drawing = crop_figures.windows(alt, crop, shown, [Move(theta, moved, name)])
        drawn.append(figure(drawing, tag("b", NAMES[name][0])))
    return drawn


def slopes(found: BranchGradients, crop: Array) -> Markup:
    """Return a chart of how much the loss rises with each motion, by branch."""
    theta, _ = _thetas(found)
    series = [
        Series(NAMES[name][0], name, np.array(motion.slopes(theta, part, *crop.shape[:2])))
        for name, part in _parts(found).items()
    ]
    alt = "Rise of the loss with each of six motions, by branch"
    caption = joined(
        tag("b", "Rise of the loss"),
        " with one pixel of shift, one percent of zoom, shear or stretch, one degree of turn. Bars "
        "on both sides of zero: the branches disagree.",
        charts.legend(series),
    )
    return figure(charts.bars(alt, MOTIONS, series), caption)


def _thetas(found: BranchGradients) -> tuple[np.ndarray, np.ndarray]:
    """Return theta and theta*."""
    return np.asarray(found.theta, np.float64), np.asarray(found.theta_star, np.float64)


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
