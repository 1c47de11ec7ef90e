"""What people name, files, folders, patterns, lists, videos and cameras, as sources of frames.

What is named wrongly is an error at once; what cannot be read becomes a frame that says so.
"""

import glob
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from rmpe_jax import frames
from rmpe_jax.frames import IMAGE_SUFFIXES, MAX_PIXELS, VIDEO_SUFFIXES, Frame

CAMERA_FPS = 25.0


class Input(NamedTuple):
    """A file that was named, and what the whole list makes of it, so that a share may run alone.

    `place` is that in the list, `number` that of an image file among those it follows directly.
    `name` is that of the records, and pictures are called by `stem`.
    """

    path: Path
    is_video: bool
    place: int
    number: int
    name: str
    stem: str


class Source(NamedTuple):
    """Frames that belong together, how many (None: unknown), and the speed of a video.

    `name` is that of a video's or camera's results; image files, None, have names of their own.
    `stems` are what pictures of image files are called, by those names.
    """

    frames: Generator[Frame, None, None]
    count: int | None = None
    fps: float | None = None
    name: str | None = None
    stems: Mapping[str, str] = MappingProxyType({})


def named(given: Sequence[str | Path], *, max_pixels: int = MAX_PIXELS) -> list[Source]:
    """Return the sources that files, folders, patterns and videos name, in that order.

    Raises ValueError for a folder or pattern without pictures and for a file that should be a video
    and is none.
    """
    return opened(inputs(given), max_pixels=max_pixels)


def inputs(given: Sequence[str | Path], *, videos: Sequence[Path] = ()) -> list[Input]:
    """Return the files that are named, in that order, and then `videos`, of whatever suffix.

    Raises ValueError for a folder or pattern without pictures. No file is opened.
    """
    paths = [path for name in given for path in expanded(name)]
    kinds = [_is_video(path) for path in paths] + [True] * len(videos)
    paths += videos
    stems = {kind: iter(_stems(paths, kinds, kind)) for kind in (False, True)}
    found: list[Input] = []
    for path, is_video, name in zip(paths, kinds, frames.unique_names(paths), strict=True):
        follows = bool(found) and not is_video and not found[-1].is_video
        number = found[-1].number + 1 if follows else 0
        stem = next(stems[is_video])
        own = stem if is_video else name
        found.append(Input(path, is_video, len(found), number, own, stem))
    return found


def opened(chosen: Sequence[Input], *, max_pixels: int = MAX_PIXELS) -> list[Source]:
    """Return the sources of inputs: image files that follow each other are one, each video is one.

    Raises ValueError for a file that should be a video and is none.
    """
    found: list[Source] = []
    for is_video, group in groupby(chosen, lambda given: given.is_video):
        if is_video:
            found += [_video(given, max_pixels) for given in group]
        else:
            found.append(_pictures(list(group), max_pixels))
    return found


def camera(number: int, *, place: int = 0, max_pixels: int = MAX_PIXELS) -> Source:
    """Return a camera as a source without an end."""
    content = _placed(frames.of_camera(number, max_pixels=max_pixels), place)
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


def _stems(paths: Sequence[Path], kinds: Sequence[bool], kind: bool) -> list[str]:
    """Return the stems of the paths of a kind, each another one."""
    alike = [path.stem for path, own in zip(paths, kinds, strict=True) if own is kind]
    return frames.distinct(alike, "{}_{}")


def _video(given: Input, max_pixels: int) -> Source:
    known = frames.facts(given.path)
    content = frames.of_video(given.path, given.name, max_pixels=max_pixels)
    return Source(_placed(content, given.place), known.count, known.fps, given.name)


def _pictures(chosen: Sequence[Input], max_pixels: int) -> Source:
    paths, names = [given.path for given in chosen], [given.name for given in chosen]
    read = frames.of_files(paths, names, max_pixels=max_pixels)
    content = (
        frame._replace(number=given.number, place=given.place)
        for frame, given in zip(read, chosen, strict=True)
    )
    return Source(content, len(chosen), stems={given.name: given.stem for given in chosen})


def _placed(content: Generator[Frame, None, None], place: int) -> Generator[Frame, None, None]:
    with closing(content):
        for frame in content:
            yield frame._replace(place=place)


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
            yield frame._replace(number=number, place=number)
        else:
            (frame,) = frames.of_images([thing], number)
            yield frame._replace(place=number)
