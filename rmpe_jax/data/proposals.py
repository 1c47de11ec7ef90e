"""The box that stands for a person in training: annotated, jittered, or drawn by PGPG.

What depends on the person alone (the atom, the detected box) is found once, when the loader
starts; a draw takes some microseconds. Boxes are in pixels of the photograph, never empty and
never outside it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from rmpe_jax.config import AugmentConfig
from rmpe_jax.data import densities, pairs, pgpg
from rmpe_jax.data.densities import Sampler
from rmpe_jax.data.jitter import inside, jittered, moved
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

# (generator, box_px, image_height, image_width) -> box_px
Propose = Callable[[np.random.Generator, np.ndarray, int, int], np.ndarray]

# The paper's random jitter names no numbers. Shifts up to a quarter of the sides and aspect ratios
# up to 1.5 times the detected one reach IoU 0.5 at their corners; 86 % of the draws about the
# annotated box are kept, and ten draws fail all but never unless the detected box lies far off.
SHIFT, STRETCH, TRIES = 0.25, 1.5, 10
# The authors' patches, util/pose.lua: of three boxes in ten, as long as 0.7 to 1 of the person.
PATCH_ABOVE, PATCH_EXTEND = 0.7, 0.3


def of_people(
    config: AugmentConfig,
    photographs: Sequence[Annotation],
    person_index: Int[np.ndarray, "n 2"],
    skeleton: Skeleton,
) -> Callable[[int], Propose]:
    """Return how the box of each person, by row of `person_index`, is proposed.

    none: the annotated box, moved by `config.jitter` times the published Gaussian. jitter: moved
    and stretched at random (the paper's baseline). pgpg: by the fitted file, or without one by
    the published Gaussian. Raises ValueError for files that do not fit the data.
    """
    if config.proposals == "jitter":
        offsets = _detected(config.detections, photographs, person_index)
        return lambda index: partial(shaken, detected=offsets[index])
    if config.proposals == "pgpg" and config.pgpg is not None:
        fitted = pgpg.read(Path(config.pgpg).expanduser(), skeleton)
        kind = config.pgpg_density
        ready = [densities.sampler(fitted.density(row, kind)) for row in range(len(fitted.own))]
        joints = [photographs[row].persons.joints_px[person] for row, person in person_index]
        draws = [ready[row] for row in fitted.assign(np.array(joints))]
        return lambda index: partial(drawn, ready=draws[index])
    amount = config.jitter
    if config.proposals == "pgpg":
        amount = amount or 1.0
    same = partial(jittered, amount=amount)
    return lambda index: same


def drawn(
    generator: np.random.Generator,
    box_px: Float[np.ndarray, " 4"],
    image_height: int,
    image_width: int,
    ready: Sampler,
) -> Float[np.ndarray, " 4"]:
    """Return the box with an offset drawn from P(delta B | atom) added (RMPE, section 3.3)."""
    return moved(box_px, densities.sample(generator, ready), image_height, image_width)


def shaken(
    generator: np.random.Generator,
    box_px: Float[np.ndarray, " 4"],
    image_height: int,
    image_width: int,
    detected: Float[np.ndarray, " 4"],
) -> Float[np.ndarray, " 4"]:
    """Return the detected box shifted and stretched at random, of IoU above 0.5 with `box_px`.

    RMPE, section 5.5 (Table 3b): random jittering of location and aspect ratio. `detected` is the
    offset of the detected box in sides of the annotated one. Shifts are uniform in sides, the
    logarithm of the stretch is uniform, the area stays. When no draw is near enough it is
    `box_px`, cut to the image.
    """
    x_min, y_min, x_max, y_max = box_px.tolist()
    sides = np.array((x_max - x_min, y_max - y_min) * 2)
    left, top, right, bottom = (box_px + detected * sides).tolist()
    width, height = right - left, bottom - top
    # All draws at once: their number must not depend on which is kept.
    for shift_x, shift_y, shape in generator.uniform(-1, 1, (TRIES, 3)).tolist():
        stretch = STRETCH ** (shape / 2)
        centre_x = (left + right) / 2 + SHIFT * shift_x * width
        centre_y = (top + bottom) / 2 + SHIFT * shift_y * height
        half_x, half_y = width * stretch / 2, height / stretch / 2
        tried = np.array(
            (centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y)
        )
        tried = inside(tried, image_height, image_width)
        if _iou(tried.tolist(), (x_min, y_min, x_max, y_max)) > pairs.LEAST_IOU:
            return tried
    return inside(box_px, image_height, image_width)


def patch(
    generator: np.random.Generator,
    box_px: Float[np.ndarray, " 4"],
    image_height: int,
    image_width: int,
) -> Float[np.ndarray, " 4"] | None:
    """Return three times in ten a part of the person, of 0.7 to 1 of the sides; else None.

    It lies anywhere in the box extended by 0.3 and cut to the image. Departure from the authors'
    code (util/pose.lua), which puts it within the upper left of that box: as far right and down as
    the sides of the box that is not extended allow.
    """
    size, right, down = generator.random(3).tolist()
    if size <= PATCH_ABOVE:
        return None
    x_min, y_min, x_max, y_max = box_px.tolist()
    width, height = x_max - x_min, y_max - y_min
    more_x, more_y = width * PATCH_EXTEND / 2, height * PATCH_EXTEND / 2
    x_min, y_min = max(x_min - more_x, 0.0), max(y_min - more_y, 0.0)
    x_max, y_max = min(x_max + more_x, image_width), min(y_max + more_y, image_height)
    x_min += right * max(x_max - x_min - size * width, 0.0)
    y_min += down * max(y_max - y_min - size * height, 0.0)
    part = np.array((x_min, y_min, x_min + size * width, y_min + size * height))
    return inside(part, image_height, image_width)


def _detected(
    path: str | None, photographs: Sequence[Annotation], person_index: Int[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 4"]:
    """Return the offset of each person's detected box; 0 where none matches or none are given."""
    offsets = np.zeros((len(person_index), 4))
    if path is None:
        return offsets
    image, person, offset = pairs.of_file(Path(path).expanduser(), photographs)
    row_of = {place: row for row, place in enumerate(map(tuple, person_index.tolist()))}
    for place, one in zip(zip(image.tolist(), person.tolist(), strict=True), offset, strict=True):
        if place in row_of:
            offsets[row_of[place]] = one
    return offsets


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return intersection over union of two boxes; `boxes.iou` takes longer for two alone."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0
