"""One person on the bench: theta is moved by hand, and all that follows from it is shown.

Functions return HTML in the marks of the report (`inspection.page`). The crop is cut out once, so
that pictures of any size use the same compiled programs.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmpe_jax.chain import CONFIDENT
from rmpe_jax.data.pairs import LEAST_IOU
from rmpe_jax.demo.people import Given
from rmpe_jax.geometry import affine, boxes
from rmpe_jax.inspection import (
    branch_section,
    crop_figures,
    gradient_table,
    motion,
    slider,
    step_section,
)
from rmpe_jax.inspection.branches import BranchGradients, Parallel, branch_gradients
from rmpe_jax.inspection.crop_figures import Window
from rmpe_jax.inspection.example import crop_of, example
from rmpe_jax.inspection.landscape import Loss
from rmpe_jax.inspection.scene import Place, Scene, place, scene
from rmpe_jax.markup import Markup, figure, joined, picture, table, tag
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Poses

DIFFERENCE = 0.01  # pixels, percent, degrees: how far the loss is looked at on both sides
UNITS = ("px", "px", "%", "°", "%", "%")

Theta = Float[np.ndarray, "2 3"]


class Bench(NamedTuple):
    """Who is looked at, of which poses, and in words whose joints are taken for true."""

    scene: Scene
    poses: Poses
    target: str


class Shown(NamedTuple):
    """What one theta shows, as HTML, and the loss and the gradient of each branch there."""

    pictures: Markup
    pulls: Markup
    found: BranchGradients


def bench(
    model: PoseModel, parallel: Parallel | None, given: Given, poses: Poses, row: int
) -> Bench:
    """Return the person of one row of the poses; `model` has a transformer.

    The target are the joints of the drawn person there, or else the network's own sure joints.
    """
    box_px = np.asarray(poses.boxes_px[row], np.float64)
    overlap = boxes.iou(given.annotated_px, box_px[None])[:, 0]
    if len(overlap) and overlap.max() > LEAST_IOU:
        drawn = int(overlap.argmax())
        joints_px, annotated_px = given.joints_px[drawn], given.annotated_px[drawn]
        target = "the joints of the drawn person"
    else:
        sure = 2.0 * (np.asarray(poses.confidence[row]) > CONFIDENT)
        joints_px = np.column_stack([poses.joints_px[row], sure]).astype(np.float64)
        annotated_px, target = None, "the pose that the network finds, as no other is known"
    person = example(model, given.image, box_px, joints_px, annotated_px)
    settings = model.config.model
    crop = crop_of(person.image, person.theta_crop, settings.input_height, settings.input_width)
    alone = person._replace(image=crop, theta_crop=jnp.asarray(affine.identity(), jnp.float32))
    return Bench(scene(model, alone, parallel), poses, target)


def shown(on: Bench, theta: Theta) -> Shown:
    """Return what there is to see at a theta (straight point -> crop point)."""
    found = slopes(on, theta)
    here = place(on.scene, "here", theta, (found.loss_main, found.loss_parallel))
    crop = here.view.crop
    return Shown(
        joined(_numbers(here, on), tag("div", *_figures(here, on), class_="figures five")),
        joined(
            tag("div", *branch_section.windows(found, crop), class_="figures four"),
            branch_section.words(found, crop),
            tag("div", branch_section.slopes(found, crop), class_="figures two"),
        ),
        found,
    )


def slopes(on: Bench, theta: Theta) -> BranchGradients:
    """Return the gradient of each branch, summed over stacks."""
    scene = on.scene
    return branch_gradients(scene.model, scene.person, scene.parallel, theta=theta, by_stack=False)


def stepped(on: Bench, found: BranchGradients, loss: Loss, length_px: float) -> Theta:
    """Return theta after a step against the gradient there that moves the window so far."""
    theta = np.asarray(found.theta, np.float64)
    stn, sdtn, by_parallel = found.by_branch
    down = {"total": found.total, "main": stn + sdtn, "parallel": by_parallel}[loss]
    far = float(motion.distance_px(down, *on.scene.size))
    if not np.isfinite(far) or far == 0:
        return theta
    return theta - down * (length_px / far)


def checked(on: Bench, theta: Theta) -> Markup:
    """Return how the gradient at a theta agrees with differences of the loss, and of the sampler.

    The first table asks the networks: float32, with a kink wherever a point crosses the centre of
    a pixel. The second is exact: float64, on a random image.
    """
    try:
        checks = gradient_table.check_table(theta)
    except ValueError as error:
        return tag("p", str(error), class_="notes")
    head = ["", "gradient", "autodiff − closed form", "autodiff − differences", "verdict"]
    rows = [
        [
            check.place,
            check.what,
            f"{check.error_autodiff:.1e}",
            f"{check.error_finite:.1e}",
            check.verdict,
        ]
        for check in checks
    ]
    exact = table(head, rows, "The samplers, by three ways, in float64: relative errors")
    return joined(_differences(on, theta), exact)


def _differences(on: Bench, theta: Theta) -> Markup:
    """Return the slope of the loss along each motion, by the gradient and by differences."""
    scene = on.scene
    by_gradient = motion.slopes(theta, slopes(on, theta).total, *scene.size)
    rows = []
    for name, unit, slope, one in zip(
        branch_section.MOTIONS,
        UNITS,
        by_gradient,
        motion.basis(theta, *scene.size),
        strict=True,
    ):
        ends = [_loss(scene, theta + sign * DIFFERENCE * one) for sign in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * DIFFERENCE)
        rows.append([f"{name}, per {unit}", f"{float(slope):+.3e}", f"{difference:+.3e}"])
    caption = (
        "Rise of the whole loss with each motion. The difference is between "
        f"{DIFFERENCE} to both sides, across kinks of the sampler and of the network's ReLUs."
    )
    return table(["motion", "by the gradient", "by differences"], rows, caption)


def _loss(scene: Scene, theta: Theta) -> float:
    main, parallel = scene.run.losses(jnp.asarray(theta, jnp.float32))
    return float(jnp.sum(main)) + float(jnp.sum(parallel))


def _figures(here: Place, on: Bench) -> list[Markup]:
    star = np.asarray(on.scene.person.theta_star, np.float64)
    marks = [Window(star, "star"), Window(here.theta, "now", grid=True)]
    alt = "The crop with the window of theta as a grid, and that of theta* dashed"
    window = crop_figures.windows(alt, here.view.crop, marks)
    drawn = slider.figures(here, on.scene.model.skeleton)
    return [
        figure(window, joined(tag("b", "Crop"), " orange: theta; dashed: theta*")),
        *(
            figure(
                picture(uri, step_section.FIGURES[name][0], id=f"demo-{name}"),
                joined(tag("b", step_section.FIGURES[name][0])),
            )
            for name, uri in drawn.items()
        ),
    ]


def _numbers(here: Place, on: Bench) -> Markup:
    lacking = () if on.scene.parallel is not None else ("loss-main", "loss-parallel")
    told = slider.texts(here)
    entries = (
        tag("div", tag("dt", name), tag("dd", told[key], id=f"demo-{key}"))
        for key, name in step_section.NUMBERS.items()
        if key not in lacking
    )
    return tag("dl", *entries, class_="numbers")
