"""The sections about places: where the loss acts on the image, and what one pixel reads."""

from rmpe_jax.inspection import crop_figures, pictures
from rmpe_jax.inspection.findings import COLUMNS, ROWS, Findings
from rmpe_jax.markup import Markup, figure, joined, picture, table, tag


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


def _range(identifier: str, label: str, count: int) -> Markup:
    return joined(
        tag("label", label, for_=identifier),
        tag("input", type="range", id=identifier, min=0, max=count - 1, value=count // 2, step=1),
    )
