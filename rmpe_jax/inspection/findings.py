"""All that a report tells of one person, as plain arrays: computed here, laid out elsewhere.

What cannot be computed is None, and `missing` says why; the rest is there all the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax.checkpoint import is_step
from rmpe_jax.geometry import affine
from rmpe_jax.inspection import branches, gradient_table, landscape, maps
from rmpe_jax.inspection.branches import BranchGradients, Cosines, Parallel
from rmpe_jax.inspection.curves import Curves, curves
from rmpe_jax.inspection.example import Example, example
from rmpe_jax.inspection.gradient_table import Check
from rmpe_jax.inspection.landscape import Descent, Landscape
from rmpe_jax.inspection.maps import ImageGradients, PixelRead, PointGradients
from rmpe_jax.inspection.scene import Place, place, scene
from rmpe_jax.inspection.stand_in import with_identity
from rmpe_jax.inspection.subject import Subject
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array
from rmpe_jax.skeletons import Skeleton

STEPS = 20  # of the descent on theta
SHIFTS, ZOOMS = 13, 11  # values of the landscape: each is a forward pass
ROWS, COLUMNS = 12, 9  # output pixels whose corners can be looked at
AROUND = 4  # pixels shown on each side of what such a pixel reads
Found = TypeVar("Found")


class Pixel(NamedTuple):
    """One pixel of the straight image: what it reads, and what the loss says about its point.

    `around` are the crop's pixels from AROUND - 1 before the upper left corner to AROUND after it,
    black outside. `d_main`, `d_parallel` are (x, y) in loss per pixel of the crop.
    """

    row: int
    column: int
    read: PixelRead
    around: UInt8[np.ndarray, "n n 3"]
    d_main: Float[np.ndarray, " 2"]
    d_parallel: Float[np.ndarray, " 2"]


class Findings(NamedTuple):
    """What is known of one person; `path` are the places of a gradient descent, the start first."""

    checkpoint: str
    form: str
    skeleton: Skeleton
    subject: Subject
    person: Example
    has_parallel: bool
    gradients: BranchGradients
    cosines: Cosines
    path: tuple[Place, ...]
    identity: Place
    star: Place
    images: ImageGradients
    points: PointGradients
    pixels: tuple[Pixel, ...] | None
    checks: tuple[Check, ...] | None
    landscape: Landscape | None
    descent: Descent | None
    curves: Curves | None
    missing: dict[str, str]

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the crop and of the straight image, in pixels."""
        height, width, _ = self.path[0].view.crop.shape
        return height, width


def look(
    model: PoseModel,
    chosen: Subject,
    parallel: Parallel | None = None,
    *,
    checkpoint: Path | None = None,
    steps: int = STEPS,
) -> Findings:
    """Return all of it for one person; `checkpoint` is where the model came from.

    A network without a transformer is looked at with the identity for theta (`stand_in`).
    """
    missing: dict[str, str] = {}
    form = model.config.model.stn.form
    if not isinstance(model.module, RMPE):
        missing["transformer"] = _no_transformer(form)
        model = with_identity(model)
    person = example(model, chosen.image, chosen.box_px, chosen.joints_px, chosen.annotated_box_px)
    gradients = branches.branch_gradients(model, person, parallel)
    seen = scene(model, person, parallel)
    theta = seen.start
    descent = _attempt(
        "descent", missing, lambda: landscape.descend(model, person, parallel, steps=steps)
    )
    thetas = theta[None] if descent is None else descent.thetas
    labels = ["before the first step" if "transformer" in missing else "as found"]
    labels += [f"after step {step}" for step in range(1, len(thetas))]
    path = tuple(place(seen, label, at) for label, at in zip(labels, thetas, strict=True))
    points = maps.point_gradients(model, person, parallel)
    return Findings(
        checkpoint="the network of the package" if checkpoint is None else str(checkpoint),
        form=form,
        skeleton=model.skeleton,
        subject=chosen,
        person=person,
        has_parallel=parallel is not None,
        gradients=gradients,
        cosines=branches.cosines(gradients),
        path=path,
        identity=place(seen, "at the identity", affine.identity()),
        star=place(seen, "at theta*", np.asarray(person.theta_star, np.float64)),
        images=maps.image_gradients(model, person, parallel),
        points=points,
        pixels=_attempt("pixels", missing, lambda: _pixels(path[0].view.crop, theta, points)),
        checks=_attempt("checks", missing, lambda: gradient_table.check_table(theta)),
        landscape=_attempt("landscape", missing, lambda: _landscape(model, person, parallel)),
        descent=descent,
        curves=_attempt("curves", missing, lambda: _curves(checkpoint)),
        missing=missing,
    )


def _attempt(what: str, missing: dict[str, str], found: Callable[[], Found]) -> Found | None:
    """Return what was found; where a theta forbids it None, and `missing` says why."""
    try:
        return found()
    except ValueError as error:
        missing[what] = str(error)
        return None


def _no_transformer(form: str) -> str:
    return (
        f"This network has no spatial transformer (its model.stn.form is {form!r}), so there is no "
        "theta that it found and nothing that theta learned. Shown is the identity in its place: "
        "the straight image is the crop, and the gradients are what a transformer put there would "
        "be told. Train one with configs/synthetic_rmpe.py, or with --model.stn.form affine."
    )


def _pixels(
    crop: Array, theta: Float[np.ndarray, "2 3"], points: PointGradients
) -> tuple[Pixel, ...]:
    """Return ROWS x COLUMNS pixels of the straight image, in rows, evenly spread."""
    crop = np.asarray(crop)
    height, width, _ = crop.shape
    per_pixel = np.array([2 / width, 2 / height])
    rows = ((np.arange(ROWS) + 0.5) * height / ROWS).astype(int)
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(int)
    found = []
    for row in rows.tolist():
        for column in columns.tolist():
            read = maps.pixel_read(crop, theta, row, column, height, width)
            d_main, d_parallel = (
                np.asarray(part[row, column], np.float64) * per_pixel
                for part in (points.main, points.parallel)
            )
            around = _around(crop, int(read.row[0]), int(read.column[0]))
            found.append(Pixel(row, column, read, around, d_main, d_parallel))
    return tuple(found)


def _around(crop: Float[np.ndarray, "h w 3"], row: int, column: int) -> UInt8[np.ndarray, "n n 3"]:
    """Return the pixels about an upper left corner, which may lie anywhere."""
    height, width, _ = crop.shape
    reach = np.arange(1 - AROUND, 1 + AROUND)
    rows, columns = row + reach, column + reach
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    read = crop[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
    return np.round(255 * np.where(inside[..., None], read, 0)).astype(np.uint8)


def _landscape(model: PoseModel, person: Example, parallel: Parallel | None) -> Landscape:
    width = model.config.model.input_width
    shifts, zooms = np.linspace(-width / 4, width / 4, SHIFTS), np.linspace(-40, 40, ZOOMS)
    return landscape.landscape(model, person, parallel, shift=shifts, zoom=zooms)


def _curves(checkpoint: Path | None) -> Curves:
    """Return the curves of the run that a checkpoint is from, or raise ValueError if unknown."""
    if checkpoint is None or not checkpoint.is_dir():
        raise ValueError(
            "A network in one file has no metrics.jsonl beside it: give the work directory of "
            "the run for its curves."
        )
    run = checkpoint.parent.parent if is_step(checkpoint) else checkpoint
    return curves(run)
