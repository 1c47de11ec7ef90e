"""What people name, files, folders, patterns, lists, videos and cameras, as sources of frames.

What is named wrongly is an error at once; what cannot be read becomes a frame that says so.
"""

import glob
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rmpe_jax import frames
from rmpe_jax.frames import IMAGE_SUFFIXES, MAX_PIXELS, VIDEO_SUFFIXES, Frame

CAMERA_FPS = 25.0


class Source(NamedTuple):
    """Frames that belong together, how many (None: unknown), and the speed of a video.

    `name` is that of a video's or camera's results; image files, None, have names of their own.
    """

    frames: Generator[Frame, None, None]
    count: int | None = None
    fps: float | None = None
    name: str | None = None


def named(given: Sequence[str | Path], *, max_pixels: int = MAX_PIXELS) -> list[Source]:
    """Return the sources that files, folders, patterns and videos name, in that order.

    Image files that follow each other are one source, each video is one. Raises ValueError for a
    folder or pattern without pictures and for a file that should be a video and is none.
    """
    paths = [path for name in given for path in expanded(name)]
    names = frames.unique_names(paths)
    stems = iter(frames.distinct([path.stem for path in paths if _is_video(path)], "{}_{}"))
    found: list[Source] = []
    for is_video, group in groupby(zip(paths, names, strict=True), lambda pair: _is_video(pair[0])):
        if is_video:
            found += [video(path, next(stems), max_pixels=max_pixels) for path, _ in group]
        else:
            pictures, own = zip(*group, strict=True)
            content = frames.of_files(pictures, own, max_pixels=max_pixels)
            found.append(Source(content, len(pictures)))
    return found


def video(path: Path, name: str | None = None, *, max_pixels: int = MAX_PIXELS) -> Source:
    """Return a video file as a source; ValueError if it is none."""
    known = frames.facts(path)
    content = frames.of_video(path, name, max_pixels=max_pixels)
    return Source(content, known.count, known.fps, name or path.stem)


def camera(number: int, *, max_pixels: int = MAX_PIXELS) -> Source:
    """Return a camera as a source without an end."""
    content = frames.of_camera(number, max_pixels=max_pixels)
    return Source(content, None, CAMERA_FPS, f"webcam{number}")


def of(source: Any, *, max_pixels: int = MAX_PIXELS) -> Iterator[Frame]:
    """Yield the frames of what a program names.

    A path (file, folder, pattern, video), a camera's number, one image, or any iterable of paths,
    images (RGB uint8 [height width 3]) or frames. Frames of several sources count on.
    """
    if isinstance(source, bool):
        raise ValueError(f"source is {source}; a path, a camera's number or images are allowed")
    if isinstance(source, int):
        yield from camera(source, max_pixels=max_pixels).frames
    elif isinstance(source, str | Path):
        yield from _counted(named([source], max_pixels=max_pixels))
    elif isinstance(source, np.ndarray | jax.Array) and source.ndim < 4:
        yield from frames.of_images([source])
    else:
        yield from _of_many(source, max_pixels)


def expanded(given: str | Path) -> list[Path]:
    """Return the files that a path or pattern names: a folder's pictures, sorted, or itself.

    A file that does not exist is returned: its frame will say so. Raises ValueError if a folder
    holds no picture or a pattern fits no file.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        return folder(path)
    if not path.exists() and glob.has_magic(str(path)):
        fitting = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
        chosen = [found for found in fitting if found.is_file()]
        if not chosen:
            raise ValueError(f"{given}: no file fits the pattern (from {Path.cwd()})")
        return chosen
    return [path]


def folder(path: Path) -> list[Path]:
    """Return the image files of a folder, sorted; ValueError saying what it holds if none."""
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder")
    files = sorted(found for found in path.iterdir() if found.is_file())
    pictures = [found for found in files if found.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        suffixes = sorted({found.suffix or "no suffix" for found in files})
        held = f"{len(files)} files ({', '.join(suffixes)})" if files else "no files"
        raise ValueError(
            f"{path}: no pictures, the folder holds {held}; pictures are {' '.join(IMAGE_SUFFIXES)}"
            " (videos are named one by one, folders below by a pattern such as 'DIR/**/*.jpg')"
        )
    return pictures


def listed(path: Path) -> list[Path]:
    """Return the files that a text file lists, one a line; blank lines and # are left out.

    A relative path is looked for from the working directory, then from the list's folder.
    Raises ValueError if there is no such list or nothing on it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"--list {path}: {error}; expected a text file, one path a line"
        ) from error
    kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not kept:
        raise ValueError(f"--list {path}: no path is on it; one a line is expected")
    paths = (Path(line).expanduser() for line in kept)
    return [found if found.exists() else path.parent / found for found in paths]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _counted(found: Iterable[Source]) -> Iterator[Frame]:
    number = 0
    for source in found:
        for frame in source.frames:
            yield frame._replace(number=number)
            number += 1


def _of_many(source: Iterable[Any], max_pixels: int) -> Iterator[Frame]:
    for number, thing in enumerate(source):
        if isinstance(thing, Frame):
            yield thing
        elif isinstance(thing, str | Path):
            (frame,) = frames.of_files([Path(thing)], max_pixels=max_pixels)
            yield frame._replace(number=number)
        else:
            yield from frames.of_images([thing], number)
