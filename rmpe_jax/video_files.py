"""Pictures to an .mp4 file (MPEG-4 part 2, which OpenCV brings on every platform)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

CODEC = "mp4v"


@contextmanager
def video_file(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that adds an RGB picture; the file is closed valid however the work ends.

    The first picture tells the size (the codec leaves out an odd last row or column); others are
    fitted into it. Without a picture there is no file. Raises OSError if it cannot be written,
    and if what was written cannot be read back whole, as on a full disk.
    """
    writer: cv2.VideoWriter | None = None
    height = width = count = 0

    def add(picture: np.ndarray) -> None:
        nonlocal writer, height, width, count
        if writer is None:
            height, width = picture.shape[:2]
            writer = cv2.VideoWriter(
                str(path), cv2.VideoWriter.fourcc(*CODEC), fps, (width, height)
            )
            if not writer.isOpened():
                raise OSError(f"{path}: the video could not be opened; is the folder writable?")
        writer.write(fitted(picture, height, width)[:, :, ::-1])
        count += 1

    try:
        yield add
    finally:
        if writer is not None:
            writer.release()
    if writer is not None and _frames(path) != count:
        raise OSError(f"{path}: {_frames(path)} of {count} frames were written; is the disk full?")


def fitted(
    picture: UInt8[np.ndarray, "_ _ 3"], height: int, width: int
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Return the picture scaled to fit into that size, black beside it."""
    own_height, own_width = picture.shape[:2]
    if (own_height, own_width) == (height, width):
        return picture
    share = min(height / own_height, width / own_width)
    inner = max(1, round(own_width * share)), max(1, round(own_height * share))
    resized = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = resized
    return canvas


def _frames(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count
