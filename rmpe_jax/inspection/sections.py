"""The report as HTML, section by section; the larger ones have files of their own."""

from collections.abc import Callable

import numpy as np

from rmpe_jax import drawing
from rmpe_jax.geometry import affine
from rmpe_jax.inspection import branch_section, charts, pictures, place_sections, step_section
from rmpe_jax.inspection.branches import NO_PARALLEL
from rmpe_jax.inspection.charts import Series
from rmpe_jax.inspection.curves import Curves
from rmpe_jax.inspection.findings import Findings
from rmpe_jax.markup import Markup, figure, joined, picture, table, tag


def body(findings: Findings) -> Markup:
    """Return all that the page shows."""
    parts: tuple[Callable[[Findings], Markup], ...] = (
        _head,
        _person,
        step_section.steps,
        branch_section.branches,
        place_sections.where,
        place_sections.pixels,
        _checks,
        _curves,
        _foot,
    )
    return joined(*(part(findings) for part in parts))


def _head(findings: Findings) -> Markup:
    subject = findings.subject
    facts = {
        "network": findings.checkpoint,
        "photograph": subject.name,
        "person": f"{subject.number} of {len(subject.boxes_px)}",
        "target": subject.target,
    }
    terms = (joined(tag("dt", name), tag("dd", value)) for name, value in facts.items())
    said = [
        findings.missing[part] for part in ("transformer", "parallel") if part in findings.missing
    ]
    told = NO_PARALLEL if "parallel" in findings.missing else None  # and with the reason
    notes = [note for note in findings.gradients.notes if note != told]
    said += [f"{note[0].upper()}{note[1:]}." for note in notes]
    if subject.annotated_box_px is None:
        said.append(
            "No annotated joints were given: the pose that the network itself finds is taken for "
            "true, and theta* leads to its extent. Losses and gradients say how theta would "
            "sharpen that pose, not whether it is right. Give annotations with --joints FILE."
        )
    return tag(
        "header",
        tag("h1", "How the loss reaches theta"),
        tag("dl", *terms, class_="facts"),
        tag("ul", *(tag("li", one) for one in said), class_="notes") if said else None,
    )


def _person(findings: Findings) -> Markup:
    subject, seen = findings.subject, findings.path[0].view
    share = pictures.PHOTOGRAPH_SIDE / max(subject.image.shape[:2])
    labels = [str(number) for number in range(1, len(subject.boxes_px) + 1)]
    photograph = pictures.shown(subject.image, pictures.PHOTOGRAPH_SIDE)
    boxed = drawing.boxes(photograph, subject.boxes_px * share, labels)
    joints_px = affine.to_pixels(np.asarray(seen.joints_image, np.float64), *photograph.shape[:2])
    posed = drawing.poses(
        boxed, joints_px[None], np.asarray(seen.confidence)[None], findings.skeleton
    )
    target = pictures.pose(
        seen.crop, findings.person.joints_crop, findings.person.weight, findings.skeleton
    )
    found = pictures.pose(seen.crop, seen.joints_crop, seen.confidence, findings.skeleton)
    return tag(
        "section",
        tag("h2", "The person"),
        tag(
            "div",
            figure(
                picture(
                    pictures.data_uri(posed),
                    f"The photograph with {len(labels)} numbered boxes and the pose of person "
                    f"{subject.number}",
                ),
                "The photograph, its boxes, and the pose that was found, taken back by theta and "
                "by the box",
                class_="wide",
            ),
            figure(
                picture(pictures.data_uri(target), "The crop with the joints of the target"),
                f"The crop with the target: {subject.target}",
            ),
            figure(
                picture(pictures.data_uri(found), "The crop with the pose that was found"),
                "The crop with the pose that was found",
            ),
            class_="figures person",
        ),
    )


def _checks(findings: Findings) -> Markup:
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


def _curves(findings: Findings) -> Markup:
    found = findings.curves
    title = tag("h2", "Over the run")
    if found is None:
        return tag("section", title, tag("p", findings.missing["curves"], class_="notes"))
    return tag(
        "section",
        title,
        tag("p", "From metrics.jsonl: means over the batches of training."),
        tag("div", *_run_charts(found), class_="figures charts"),
    )


def _run_charts(found: Curves) -> list[Markup]:
    """Return a chart of each thing that a run writes about theta; none of what it did not write."""
    shown = {
        "Loss": [
            Series("main", "main", found.loss_main),
            Series("parallel, unweighted", "parallel", found.loss_parallel),
        ],
        "Size of a person's d loss / d theta": [
            Series("main", "main", found.gradient_main),
            Series("parallel", "parallel", found.gradient_parallel),
        ],
        "Cosines (1: the same way, −1: against each other)": [
            Series("main and parallel", "total", found.cosine),
            Series("main toward theta*", "main", found.main_toward_star),
            Series("parallel toward theta*", "parallel", found.parallel_toward_star),
        ],
        "Distance |theta − theta*|": [
            Series("theta", "total", found.theta_error),
            Series("identity", "faint", found.theta_error_identity),
        ],
        "Determinant of theta": [Series("det theta", "total", found.determinant)],
        "Thetas of a batch that are all but singular": [Series("clamped", "total", found.clamped)],
    }
    drawn = []
    for title, lines in shown.items():
        kept = [line for line in lines if np.isfinite(line.values).any()]
        if kept:
            chart = charts.lines(f"{title}, over the steps", found.step.astype(float), kept, "step")
            drawn.append(figure(chart, joined(tag("b", title), charts.legend(kept))))
    return drawn


def _foot(findings: Findings) -> Markup:
    height, width = findings.size
    return tag(
        "footer",
        tag("h2", "How to read it"),
        tag(
            "p",
            "theta maps points of the straight image to points of the crop; points are (x, y) in "
            f"[−1, 1], edge to edge. Pixels are those of the crop, {width} x {height}. theta* "
            "leads to the crop of the target's box. A step goes against the gradient.",
        ),
        tag(
            "p",
            "STN and SDTN: Fang et al., RMPE (ICCV 2017), equations 1 to 6; Jaderberg et al., "
            "Spatial Transformer Networks (2015), equations 5 to 7.",
        ),
    )
