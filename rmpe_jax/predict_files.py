"""Poses of files, videos and cameras, written as JSON, pictures and videos. Boxes in pixels."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rmpe_jax import detection, drawing, nms_sets, pose_formats, window
from rmpe_jax.config import OnnxLayout
from rmpe_jax.data.poses_files import FRAMES, POSES
from rmpe_jax.frames import Frame
from rmpe_jax.interrupts import stop_requests
from rmpe_jax.json_list import json_list
from rmpe_jax.pipeline import overlapped
from rmpe_jax.predict import PoseModel
from rmpe_jax.shares import WHOLE, Share
from rmpe_jax.skeletons import Skeleton
from rmpe_jax.sources import Source
from rmpe_jax.stream import MOST, Result, stages
from rmpe_jax.video_files import video_file

FILM = "pictures_poses.mp4"  # that is made of pictures
PICTURES_FPS = 10.0
Drawn = tuple[Result, np.ndarray | None, Path | None]  # the picture on it, and where it was written


class Settings(NamedTuple):
    """How to predict and what to write.

    `nms` is a name or a file, see `nms_sets.chosen` (None: that of the model); boxes below
    `box_threshold` are left out, and `onnx_layout` says what an .onnx file puts out (see
    `detection.chosen`); `most` people a frame are kept; `pictures` are written of "files" (not of
    videos), of "all" frames, or of "none".
    """

    nms: str | None = None
    box_threshold: float | None = None
    onnx_layout: OnnxLayout = "auto"
    most: int = MOST
    layout: pose_formats.Format = "coco"
    pictures: Literal["files", "all", "none"] = "files"
    save_video: bool = False
    vis: bool = False


DEFAULTS = Settings()


def predict_files(
    model: PoseModel,
    found: Sequence[Source],
    boxes: str | None,
    out: Path,
    settings: Settings = DEFAULTS,
    *,
    share: Share = WHOLE,
) -> list[Path]:
    """Write poses.json, frames.json, pictures and videos below `out`; return what was written.

    Of several processes, which may have the same `out`, each writes parts, named by its `share`.
    `boxes` is what `detection.chosen` takes; with None the model's own `detect` finds people, if
    it has one. poses.json holds poses in the layout that is asked for, frames.json one record a
    frame, also of those that nobody is on or that could not be read.
    Such a frame is reported and skipped; if that is so for all, it is an error. Ctrl-C lets
    finish what is in flight, closes all files, and is raised then.
    """
    detect = _detector(model, boxes, settings)
    if settings.nms is not None:
        model = replace(model, nms=nms_sets.chosen(settings.nms))
    recorded = pose_formats.recorder(settings.layout, model.skeleton)
    work = stages(model, detect, most=settings.most)
    if settings.vis:
        window.check()
    results, frames = _room(out, share.file(POSES), share.file(FRAMES))
    if share != WHOLE:
        for earlier in (results, frames):  # would be read together with the others' new parts
            earlier.unlink(missing_ok=True)
    written: list[Path] = []
    told = Counter(frames=0, skipped=0, poses=0)
    began, closed = time.monotonic(), False
    with ExitStack() as opened:
        stopped = opened.enter_context(stop_requests())
        add_poses = opened.enter_context(json_list(results))
        add_frames = opened.enter_context(json_list(frames))
        progress = opened.enter_context(_progress(found))
        for source in found:
            draw = _drawer(model.skeleton, source, settings, out)
            through = overlapped(_until(source, stopped), *work, draw)
            film = out / (f"{source.name}_poses.mp4" if source.name else share.file(FILM))
            with _video(film, source, settings, written) as show, closing(through):
                for result, picture, target in through:
                    add_poses(recorded(result))
                    add_frames([pose_formats.frame_record(result)])
                    written += [] if target is None else [target]
                    told.update(frames=1, poses=len(result.poses.valid))
                    told.update(skipped=result.problem is not None)
                    progress(result)
                    closed = not show(picture)
                    if closed:
                        break
            if closed or stopped():
                break
    seconds = time.monotonic() - began
    counted = f"{told['poses']} poses in {told['frames']} frames, {told['skipped']} skipped"
    rate = f"{told['frames'] / seconds:.1f} frames a second"
    Console().print(f"{counted}, {rate}: {results}", highlight=False, soft_wrap=True, markup=False)
    if stopped():
        raise KeyboardInterrupt
    if 0 < told["frames"] == told["skipped"]:
        raise ValueError(f"none of the {told['frames']} files could be used, see above")
    return [*written, results, frames]


def _detector(model: PoseModel, boxes: str | None, settings: Settings) -> detection.Detect:
    """Return the function that finds the people: of the boxes that are named, or the model's."""
    if boxes is not None or model.detect is None:
        return detection.chosen(
            boxes, threshold=settings.box_threshold, onnx_layout=settings.onnx_layout
        )
    return detection.above(settings.box_threshold or 0.0, model.detect)


def _room(out: Path, *names: str) -> list[Path]:
    """Make the folder and return its files; OSError at once where one of them cannot be."""
    for above in (out, *out.parents):
        if above.is_file():
            raise OSError(f"{above} is a file; --out wants a folder: give another name")
    out.mkdir(parents=True, exist_ok=True)
    files = [out / name for name in names]
    for path in files:
        if path.is_dir():
            raise OSError(f"{path} is a folder where a file is to be written; give another --out")
        if path.exists() and not os.access(path, os.W_OK):
            raise OSError(f"{path} is read-only; make it writable or give another --out")
    return files


def picture_of(result: Result, skeleton: Skeleton) -> np.ndarray:
    """Return the image with boxes, ids from 1 with scores, and poses; it must have an image."""
    assert result.image is not None
    poses = result.poses
    labels = [f"{row + 1}: {score:.2f}" for row, score in enumerate(poses.score)]
    picture = drawing.boxes(result.image, poses.boxes_px, labels)
    return drawing.poses(picture, poses.joints_px, poses.confidence, skeleton)


def _until(source: Source, stopped: Callable[[], int]) -> Iterator[Frame]:
    """Yield the frames of a source until somebody wants to stop."""
    with closing(source.frames) as frames:
        for frame in frames:
            yield frame
            if stopped():
                return


def _drawer(
    skeleton: Skeleton, source: Source, settings: Settings, out: Path
) -> Callable[[Result], Drawn]:
    """Return the stage that draws a result and writes its picture, if either is wanted."""
    kept = settings.pictures == "all" or (settings.pictures == "files" and source.name is None)

    def draw(result: Result) -> Drawn:
        wanted = kept or settings.save_video or settings.vis
        if result.image is None or result.problem is not None or not wanted:
            return result, result.image if wanted else None, None
        picture = picture_of(result, skeleton)
        if not kept:
            return result, picture, None
        target = out / f"{source.stems.get(result.name, result.name)}_poses.png"
        drawing.write(target, picture)
        return result, picture, target

    return draw


@contextmanager
def _video(
    path: Path, source: Source, settings: Settings, written: list[Path]
) -> Iterator[Callable[[np.ndarray | None], bool]]:
    """Give a function that films and shows a picture, and says whether to go on.

    Where a frame could not be read, the film shows the one before it once more.
    """
    last: np.ndarray | None = None
    with ExitStack() as opened:
        add = None
        if settings.save_video:
            add = opened.enter_context(video_file(path, source.fps or PICTURES_FPS))

        def show(picture: np.ndarray | None) -> bool:
            nonlocal last
            last = last if picture is None else picture
            if last is None:
                return True
            if add is not None:
                add(last)
            return window.show(last) if settings.vis else True

        yield show
    if settings.save_video and last is not None:
        written.append(path)


@contextmanager
def _progress(found: Sequence[Source]) -> Iterator[Callable[[Result], None]]:
    """Give a function that counts frames, and tells what is special about one."""
    counts = [source.count for source in found]
    total = None if None in counts else sum(count for count in counts if count is not None)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    began = time.monotonic()
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task("frames", total=total, rate="")
        done, told = 0, []

        def say(text: str, style: str) -> None:
            progress.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

        def count(result: Result) -> None:
            nonlocal done
            done += 1
            rate = f"{done / (time.monotonic() - began):.1f} frames a second"
            progress.update(task, advance=1, rate=rate)
            if result.problem is not None:
                say(f"skipped {result.problem}", "red")
            if result.left_out and not told:
                told.append(result.name)
                people = f"{result.left_out} people of {result.name} with the lowest box scores"
                say(f"{people} are left out (frames.json tells of all); --most allows more", "")

        yield count
