"""The report, section by section, as HTML: the person, the steps of theta, the run."""

from collections.abc import Callable

import numpy as np

from rmpe_jax import drawing
from rmpe_jax.geometry import affine
from rmpe_jax.inspection import charts, crop_figures, gradient_sections, pictures, slider
from rmpe_jax.inspection.branches import NO_PARALLEL
from rmpe_jax.inspection.charts import Series
from rmpe_jax.inspection.crop_figures import Window
from rmpe_jax.inspection.curves import Curves
from rmpe_jax.inspection.findings import Findings
from rmpe_jax.inspection.markup import Markup, figure, joined, picture, tag
from rmpe_jax.inspection.slider import number

NUMBERS = {
    "loss-total": "loss",
    "loss-main": "main",
    "loss-parallel": "parallel, weighted",
    "error": "|theta − theta*|",
    "determinant": "det theta",
    "moved": "moved since step 0",
    "theta": "theta (straight → crop)",
}
FIGURES = {
    "straight": ("Straight image", "what the pose network sees, with the pose it finds"),
    "heatmap-straight": ("Main heat-maps, straight", "of all joints, before the SDTN"),
    "heatmap-crop": ("Main heat-maps, pulled back", "into the crop by the SDTN: the main loss"),
    "heatmap-parallel": ("Parallel heat-maps", "of the frozen network: the parallel loss"),
}


def body(findings: Findings) -> Markup:
    """Return all that the page shows."""
    parts: tuple[Callable[[Findings], Markup], ...] = (
        _head,
        _person,
        _steps,
        gradient_sections.branches,
        gradient_sections.where,
        gradient_sections.pixels,
        gradient_sections.checks,
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


def _steps(findings: Findings) -> Markup:
    last = len(findings.path) - 1
    start = findings.path[0]
    controls = tag(
        "div",
        tag("label", "Gradient step ", tag("output", 0, id="step-now"), f" of {last}", for_="step"),
        tag("input", type="range", id="step", min=0, max=last, value=0, step=1),
        tag("button", "identity", type="button", data_place=last + 1, aria_pressed="false"),
        tag("button", "theta*", type="button", data_place=last + 2, aria_pressed="false"),
        class_="controls",
    )
    told = slider.texts(start)
    kept = [name for name in NUMBERS if findings.has_parallel or name[:5] != "loss-"]
    numbers = (
        tag("div", tag("dt", NUMBERS[name]), tag("dd", told[name], id=name))
        for name in (kept if findings.has_parallel else ["loss-total", *kept])
    )
    window = crop_figures.windows(
        "The crop with the window of theta as a grid, and that of theta* dashed",
        start.view.crop,
        [
            Window(findings.star.theta, "star"),
            Window(start.theta, "now", identifier="window", grid=True),
        ],
    )
    shown = slider.figures(findings, start)
    figures = [
        figure(window, joined(tag("b", "Crop"), " the window of theta; dashed: theta*")),
        *(_changing(name, uri, start.label) for name, uri in shown.items()),
    ]
    return tag(
        "section",
        tag("h2", "Step by step down the loss"),
        tag(
            "p",
            "Gradient descent on theta alone, the network as it is. Move the slider, or put theta "
            "where nothing is moved (identity) and where it should be (theta*).",
        ),
        tag("noscript", tag("p", "The slider needs JavaScript; all else is here without it.")),
        controls,
        tag("p", f"Shown: theta {start.label}", id="place-now", aria_live="polite"),
        tag("div", *figures, class_="figures five"),
        tag("dl", *numbers, class_="numbers"),
        tag("div", _descent(findings), _landscape(findings), class_="figures charts"),
    )


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
