"""The sections about gradients: of theta by branch, of the image and its points, of one pixel."""

import numpy as np

from rmpe_jax.inspection import charts, crop_figures, motion, pictures
from rmpe_jax.inspection.branches import cosine
from rmpe_jax.inspection.charts import Series
from rmpe_jax.inspection.crop_figures import Window
from rmpe_jax.inspection.findings import COLUMNS, ROWS, Findings
from rmpe_jax.inspection.markup import Markup, figure, joined, picture, table, tag
from rmpe_jax.inspection.slider import matrix, number

BRANCHES = {
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


def where(findings: Findings) -> Markup:
    """Return where the loss acts: on brightness, and on the points that the samplers read."""
    images, points, seen = findings.images, findings.points, findings.path[0].view
    side = pictures.SIDE
    maps = [
        (
            pictures.gradient_map(findings.person.image, images.image, pictures.PHOTOGRAPH_SIDE),
            "photograph",
        ),
        (pictures.gradient_map(seen.crop, images.crop, side), "crop"),
        (
            pictures.gradient_map(seen.crop, images.crop_theta_held, side),
            "crop, through the sampler alone (theta held)",
        ),
    ]
    arrows = [(pictures.arrows(seen.crop, points.stn_points, points.main), "STN: main loss")]
    if findings.has_parallel:
        shown = pictures.arrows(seen.crop, points.stn_points, points.parallel)
        arrows.append((shown, "STN: parallel loss"))
    shown = pictures.arrows(seen.straight, points.sdtn_points, points.sdtn)
    arrows.append((shown, "SDTN: main loss, points of the straight heat-maps"))
    return tag(
        "section",
        tag("h2", "Where the loss acts"),
        tag("h3", "d loss / d image"),
        tag(
            "p",
            tag("span", "vermilion", class_="key-costs"),
            ": more light there raises the loss; ",
            tag("span", "blue", class_="key-helps"),
            ": it lowers the loss. By the square root of the size.",
        ),
        tag(
            "div",
            *(figure(picture(uri, f"d loss / d {name}"), name) for uri, name in maps),
            class_="figures gradients",
        ),
        tag("h3", "d loss / d sampling point"),
        tag(
            "p",
            "Arrows go down the loss: where the points that a sampler reads would go if each were "
            "free. Lengths are in proportion within a picture; theta can follow only what they "
            "have in common.",
        ),
        tag(
            "div",
            *(figure(picture(uri, f"Arrows down the loss, {name}"), name) for uri, name in arrows),
            class_="figures three",
        ),
    )


def pixels(findings: Findings) -> Markup:
    """Return what one pixel of the straight image is made of, with the controls to choose it."""
    title = tag("h2", "One pixel, four corners")
    if findings.pixels is None:
        return tag("section", title, tag("p", findings.missing["pixels"], class_="notes"))
    straight = findings.path[0].view.straight
    head = ["corner", "row, column", "weight", "value (R G B)", "d weight / d x", "d weight / d y"]
    names = ("upper left", "upper right", "lower left", "lower right")
    rows = [[name, *[""] * 5] for name in names] + [["sum", "", "", "", "", ""]]
    slopes = {"d-main": "main", "d-parallel": "parallel"}
    if not findings.has_parallel:
        del slopes["d-parallel"]
    return tag(
        "section",
        title,
        tag(
            "p",
            "Each pixel of the straight image is read between four pixels of the crop (Jaderberg "
            "et al., equation 5). Its value moves with the point because the weights do: their "
            "slopes are the right-hand ones. Choose a pixel by the sliders or on the picture.",
        ),
        tag(
            "div",
            _range("pixel-row", "Row", ROWS),
            _range("pixel-column", "Column", COLUMNS),
            class_="controls",
        ),
        tag(
            "div",
            figure(
                crop_figures.picker(
                    "The straight image with the pixels to choose from", straight, findings.pixels
                ),
                joined("Straight image, pixel ", tag("output", "", id="pixel-now")),
            ),
            figure(
                crop_figures.neighbourhood("The pixels of the crop around the point that is read"),
                "The crop around the point, its four corners outlined",
            ),
            class_="figures pixel",
        ),
        tag("div", table(head, rows, "The four corners"), id="corners"),
        tag(
            "dl",
            *(
                tag(
                    "div",
                    tag("dt", f"d loss / d point, {name}: x, y"),
                    tag("dd", "", id=identifier),
                )
                for identifier, name in slopes.items()
            ),
            class_="numbers",
        ),
        tag("p", "Slopes of the loss are per pixel of the crop.", class_="small"),
    )


def checks(findings: Findings) -> Markup:
    """Return how autodiff, the papers' equations and finite differences agree."""
    title = tag("h2", "Is the derivative right?")
    if findings.checks is None:
        return tag("section", title, tag("p", findings.missing["checks"], class_="notes"))
    head = [
        "",
        "gradient",
        "autodiff − closed form",
        "autodiff − differences",
        "equation 7",
        "verdict",
    ]
    rows = [
        [
            check.place,
            check.what,
            _error(check.error_autodiff),
            _error(check.error_finite),
            _error(check.error_literal),
            tag("span", ("✓ " if check.passed else "✗ ") + check.verdict, class_="verdict"),
        ]
        for check in findings.checks
    ]
    good = sum(check.passed for check in findings.checks)
    return tag(
        "section",
        title,
        tag(
            "p",
            f"{good} of {len(rows)} gradients of the samplers agree to 1e-6, in float64 on a "
            "random image of 8 x 16 pixels: autodiff, the papers' equations written out, and "
            "finite differences, one-sided at pixel centres. Errors are relative to the largest "
            "entry. Equation 7 as printed is no derivative at pixel centres.",
        ),
        table(head, rows, "Three ways to the same gradients"),
    )


def _error(error: float) -> str:
    """Return an error by its size; nothing where there is none to tell."""
    return "" if np.isnan(error) else "0" if error == 0 else f"{error:.0e}"


def _parts(findings: Findings) -> dict[str, np.ndarray]:
    """Return the gradients of theta [2 3] by branch, and their sum; none of a branch that lacks."""
    found = findings.gradients
    parts = dict(zip(BRANCHES, (*found.by_branch, found.total), strict=True))
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
                joined(tag("b", BRANCHES[name][0]), tag("span", BRANCHES[name][1], class_="small")),
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
        alt = f"The window of theta, and where {BRANCHES[name][1]}, would move it"
        drawn.append(figure(crop_figures.windows(alt, crop, shown), tag("b", BRANCHES[name][0])))
    return drawn


def _slopes(findings: Findings, parts: dict[str, np.ndarray]) -> Markup:
    slopes = [
        Series(
            BRANCHES[name][0],
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
        [BRANCHES[name][0], tag("pre", matrix(part)), *_row(part, parts)]
        for name, part in parts.items()
    ]
    head = ["", "d loss / d theta", *(BRANCHES[name][0] for name in parts)]
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


def _range(identifier: str, label: str, count: int) -> Markup:
    return joined(
        tag("label", label, for_=identifier),
        tag("input", type="range", id=identifier, min=0, max=count - 1, value=count // 2, step=1),
    )
