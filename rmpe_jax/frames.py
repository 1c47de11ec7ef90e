"""Pictures one after the other, from files, a video, a camera or a program: frames.

A picture that cannot be read is a frame with the reason and without an image, and the next one
follows. Only the picture at hand is in memory.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import count as numbers
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from rmpe_jax import canvas
from rmpe_jax.data import image_headers, images

MAX_PIXELS = 50_000_000  # 150 MB decoded
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".gif")
COUNTED = (".mp4", ".m4v", ".mov", ".avi")  # their heads count frames; others tell a duration
GIVE_UP = 100  # reads in a row that fail


class Frame(NamedTuple):
    """One picture of a source: RGB, or None with the problem that it has.

    `number` counts from 0 within the source; `name` is unique within it. `place` is that of its
    file or video in the list of those that were named.
    """

    name: str
    number: int
    image: UInt8[np.ndarray, "height width 3"] | None
    problem: str | None
    place: int = 0


class Facts(NamedTuple):
    """What the head of a video says: frames (None: unknown), frames per second, size."""

    count: int | None
    fps: float
    height: int
    width: int


def of_files(
    paths: Sequence[Path], names: Sequence[str] | None = None, *, max_pixels: int = MAX_PIXELS
) -> Generator[Frame, None, None]:
    """Yield a frame for each image file, turned upright by EXIF, in the order of the paths.

    Names (default: `unique_names`) are one for each path. More than `max_pixels` pixels are a
    problem of the frame; JPEG and PNG files are not decoded then.
    """
    told = unique_names(paths) if names is None else names
    for number, (path, name) in enumerate(zip(paths, told, strict=True)):
        try:
            yield Frame(name, number, read(path, max_pixels=max_pixels), None)
        except images.ImageError as error:
            yield Frame(name, number, None, str(error))


def of_video(
    path: Path, name: str | None = None, *, max_pixels: int = MAX_PIXELS
) -> Generator[Frame, None, None]:
    """Yield the frames of a video, named by its name (default: the file's stem) and their number.

    A frame that cannot be decoded has a problem, and so has a last one where the video ends before
    it should. Raises ValueError if the file is no video.
    """
    capture, facts = _opened(path)
    try:
        _check_pixels(facts.height, facts.width, str(path), max_pixels)
        names = (f"{name or path.stem}_{number:06d}" for number in numbers())
        yield from _captured(capture.read, names, _due(path, facts), str(path))
    finally:
        capture.release()


def of_camera(camera: int, *, max_pixels: int = MAX_PIXELS) -> Generator[Frame, None, None]:
    """Open a camera and yield what it sees until it says nothing.

    Raises ValueError at once if there is no such camera.
    """
    capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        raise ValueError(
            f"--webcam {camera}: no camera of that number opens; they count from 0 (on Linux "
            f"/dev/video{camera} must exist and be readable)"
        )
    return _of_open_camera(capture, camera, max_pixels)


def of_images(pictures: Iterable[Any], first: int = 0) -> Generator[Frame, None, None]:
    """Yield a frame for each array, RGB uint8 [height width 3] or grey, named by its number.

    What is no such image is a problem of its frame.
    """
    for number, picture in enumerate(pictures, first):
        name, image, problem = f"{number:06d}", None, None
        try:
            image = canvas.checked_image(picture)
        except ValueError as error:
            problem = f"{name}: {error}"
        yield Frame(name, number, image, problem)


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "height width 3"]:
    """Return a user's photograph, turned upright; ImageError if that cannot or must not be."""
    if path.suffix.lower() not in IMAGE_SUFFIXES and path.exists():
        raise images.ImageError(
            f"{path}: the suffix {path.suffix!r} is none of a picture ({' '.join(IMAGE_SUFFIXES)}) "
            f"or of a video ({' '.join(VIDEO_SUFFIXES)})"
        )
    encoded = images.read_bytes(path)
    told = image_headers.size(encoded)
    if told is not None:
        _check_pixels(*told, str(path), max_pixels)
    image = images.decode(encoded, str(path), size=None)
    height, width, _ = image.shape
    _check_pixels(height, width, str(path), max_pixels)
    return image


def facts(path: Path) -> Facts:
    """Return what the head of a video says; ValueError if it is none."""
    capture, known = _opened(path)
    capture.release()
    return known


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return names of files; paths where the names alone would not tell them apart."""
    shared = Counter(path.name for path in paths)
    names = [path.name if shared[path.name] == 1 else path.as_posix() for path in paths]
    return distinct(names, "{}#{}")  # a path that was given twice


def distinct(names: Sequence[str], pattern: str) -> list[str]:
    """Return the names, the second, third ... of the same by the pattern of name and number."""
    taken: list[str] = []
    seen: Counter[str] = Counter()
    used = set(names)
    for name in names:
        seen[name] += 1
        own = name
        while seen[name] > 1 and own in used:
            own = pattern.format(name, seen[name])
            seen[name] += own in used
        used.add(own)
        taken.append(own)
    return taken


def _of_open_camera(capture: Any, camera: int, max_pixels: int) -> Generator[Frame, None, None]:
    try:
        names = (f"webcam{camera}_{number:06d}" for number in numbers())
        for frame in _captured(capture.read, names, None, f"camera {camera}"):
            if frame.image is not None:
                height, width, _ = frame.image.shape
                _check_pixels(height, width, f"camera {camera}", max_pixels)
            yield frame
    finally:
        capture.release()


def _captured(
    read: Callable[[], tuple[bool, Any]], names: Iterator[str], due: int | None, source: str
) -> Generator[Frame, None, None]:
    """Yield what a video or camera gives; `due` frames, if that is known.

    OpenCV tells a damaged frame from the end only by what comes next, so that failures wait.
    """
    number = failures = 0
    while failures < GIVE_UP and (due is None or failures == 0 or number + failures < due):
        done, picture = read()
        if not done or picture is None:
            failures += 1
            continue
        for _ in range(failures):
            problem = f"{source}: frame {number} is damaged, it cannot be decoded"
            yield Frame(next(names), number, None, problem)
            number += 1
        failures = 0
        yield Frame(next(names), number, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), None)
        number += 1
    if due is not None and number < due:
        problem = (
            f"{source}: it ends after {number} of {due} frames; it is cut off or damaged: copy or "
            "download it again"
        )
        yield Frame(next(names), number, None, problem)


def _opened(path: Path) -> tuple[cv2.VideoCapture, Facts]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a video was expected")
    capture = cv2.VideoCapture(str(path))
    height, width = (
        int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    )
    if not capture.isOpened() or height < 1 or width < 1:
        capture.release()
        raise ValueError(
            f"{path}: {path.stat().st_size} bytes that are no video that OpenCV can read (an .mp4 "
            f"that was cut off has lost its index and cannot be read); expected "
            f"{' '.join(VIDEO_SUFFIXES)}"
        )
    count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    known = Facts(
        int(count) if 0 < count < 1e9 else None, fps if 0 < fps < 1e3 else 25.0, height, width
    )
    return capture, known


def _due(path: Path, known: Facts) -> int | None:
    """Return how many frames must come: 1 % fewer where a duration tells it only about."""
    if known.count is None or path.suffix.lower() in COUNTED:
        return known.count
    return known.count - 1 - known.count // 100


def _check_pixels(height: int, width: int, name: str, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise images.ImageError(
            f"{name}: {width} x {height} are {height * width:,} pixels, more than {max_pixels:,}; "
            f"--max-pixels {height * width} (max_pixels=) lets it in, with the memory it needs"
        )
