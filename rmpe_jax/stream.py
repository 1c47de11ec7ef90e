"""From frames to poses, one result a frame, in order, with few frames in memory.

Reading, detection and pose estimation overlap, each in a thread of its own (`rmpe_jax.pipeline`).
A frame that cannot be read, or whose boxes cannot be used, is a result with the reason.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from rmpe_jax import canvas
from rmpe_jax.frames import Frame
from rmpe_jax.pipeline import overlapped
from rmpe_jax.records import Detections, Poses

MOST = 100  # people a frame


Model = Callable[..., Poses]
"""From an image, boxes and their scores to a pose for each: `rmpe_jax.predict.PoseModel`."""


class Result(NamedTuple):
    """The poses of one frame, NumPy arrays without padding, and perhaps none.

    `problem` says why a frame has no poses, if it could not be read or its boxes could not be
    used. `left_out` counts people beyond the `most` with the best boxes. A list of the results of
    a long video holds all of its images: take `result._replace(image=None)` where they are kept.
    `place` is that of the file or video in the list of those that were named.
    """

    name: str
    number: int
    poses: Poses
    problem: str | None
    left_out: int
    image: np.ndarray | None
    place: int = 0


def stream(
    model: Model,
    frames: Iterable[Frame],
    detect: Callable[[Frame], Detections],
    *,
    most: int = MOST,
) -> Iterator[Result]:
    """Yield a result for each frame, in order.

    `detect` gives the people of a frame that has an image. What it raises ends the stream and is
    raised here, as is what `frames` and `model` raise. See `pipeline.overlapped` for how it ends
    otherwise; Ctrl-C yields what is in flight and is raised then.
    """
    return overlapped(frames, *stages(model, detect, most=most))


def stages(
    model: Model,
    detect: Callable[[Frame], Detections],
    *,
    most: int = MOST,
) -> tuple[Callable[[Any], Any], ...]:
    """Return the functions that, one behind the other, make results of frames."""
    if most < 1:
        raise ValueError(f"--most (most=) is {most}; at least 1 person a frame is allowed")
    nobody = model(np.zeros((1, 1, 3), np.uint8), [])

    def detected(frame: Frame) -> tuple[Frame, Detections | None]:
        return frame, None if frame.image is None else detect(frame)

    def posed(pair: tuple[Frame, Detections | None]) -> Result:
        frame, found = pair
        name, number, image, problem, place = frame
        result = Result(name, number, nobody, problem, 0, image, place)
        if frame.image is None or found is None:
            return result
        best, left_out = _best(found, most)
        try:
            given = canvas.proposed(frame.image, best.boxes_px, best.score)
        except ValueError as error:
            return result._replace(problem=f"{frame.name}: {error}")
        return result._replace(poses=model(*given), left_out=left_out)

    return detected, posed


def _best(found: Detections, most: int) -> tuple[Detections, int]:
    """Return the valid rows with the best scores, in their order, and how many others there are."""
    rows = np.flatnonzero(found.valid)
    score = np.asarray(found.score)[rows]
    kept = rows[np.sort(np.argsort(-score, kind="stable")[:most])]
    best = Detections(*(np.asarray(field)[kept] for field in found))
    return best, len(rows) - len(kept)
