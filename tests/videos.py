"""Small videos of real frames, and what may befall them."""

from pathlib import Path

import cv2
import numpy as np


def pictures(folder: Path, height: int = 90, width: int = 160) -> list[np.ndarray]:
    """Return the pictures of a folder in that size, BGR."""
    paths = sorted(folder.glob("*.jpg"))
    assert paths, folder
    return [cv2.resize(cv2.imread(str(path)), (width, height)) for path in paths]


def drawn(count: int, height: int = 90, width: int = 160) -> list[np.ndarray]:
    """Return that many plain pictures, BGR, each of another grey: 16 times its number."""
    return [np.full((height, width, 3), 16 * number % 250, np.uint8) for number in range(count)]


def write(path: Path, frames: list[np.ndarray], codec: str = "mp4v", fps: float = 25.0) -> Path:
    """Write the pictures as a video."""
    height, width, _ = frames[0].shape
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    assert film.isOpened()
    for frame in frames:
        film.write(frame)
    film.release()
    return path


def cut(path: Path, share: float) -> Path:
    """Leave that share of the file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def damage(path: Path, number: int) -> Path:
    """Overwrite a JPEG in a Motion JPEG .avi, all of it."""
    content = bytearray(path.read_bytes())
    start = -1
    for _ in range(number + 1):
        start = content.index(b"\xff\xd8\xff", start + 1)
    end = content.index(b"\xff\xd9", start) + 2
    content[start:end] = b"\x55" * (end - start)
    path.write_bytes(content)
    return path
