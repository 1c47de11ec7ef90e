"""What `rmpe predict` wrote: poses.json, or a part of it from each of several processes."""

import re
from itertools import chain
from pathlib import Path
from typing import Any

from rmpe_jax.data import json_files
from rmpe_jax.shares import Share

POSES, FRAMES = "poses.json", "frames.json"
PART = re.compile(r"poses\.\d{5}-of-(\d{5})\.json")


def read(path: Path) -> list[Any]:
    """Return the records of a file of poses, or of the folder where `rmpe predict` wrote them.

    Parts come together as one process would have written them. Raises ValueError if parts are
    missing, or if there are those of several runs.
    """
    if not path.is_dir():
        return _records(path)
    counts = sorted(
        {int(part[1]) for file in path.iterdir() if (part := PART.fullmatch(file.name))}
    )
    is_whole = (path / POSES).exists()
    if is_whole + len(counts) > 1:
        there = [POSES] * is_whole + [f"poses.*-of-{count:05d}.json" for count in counts]
        raise ValueError(
            f"{path}: poses of several runs, {' and '.join(there)}; remove all but those of the "
            f"last, as by rm {path / there[0]}"
        )
    if counts:
        return _joined(path, counts[0])
    if not is_whole:
        raise ValueError(
            f"{path}: neither {POSES} nor parts of it; give the folder of rmpe predict --out"
        )
    return _records(path / POSES)


def _joined(folder: Path, count: int) -> list[Any]:
    """Return the records of all parts, in the order of the inputs that the frames' records tell."""
    shares = [Share(process, count) for process in range(count)]
    poses, frames = ([share.file(name) for share in shares] for name in (POSES, FRAMES))
    missing = [name for name in (*poses, *frames) if not (folder / name).exists()]
    if missing:
        raise ValueError(
            f"{folder}: of the parts of {count} processes {', '.join(missing)} are missing; copy "
            "them here from where they were written, or start rmpe predict --distributed again on "
            "all"
        )
    told = chain.from_iterable(_records(folder / name) for name in frames)
    place = {frame["image_id"]: frame["place"] for frame in told}
    found = chain.from_iterable(_records(folder / name) for name in poses)
    try:
        return sorted(found, key=lambda record: place[record["image_id"]])
    except KeyError as error:
        raise ValueError(
            f"{folder}: the parts are of different runs, those of {FRAMES} have no {error}; start "
            "rmpe predict --distributed again on all"
        ) from error


def _records(path: Path) -> list[Any]:
    records = json_files.load(path)
    if not isinstance(records, list):
        raise ValueError(f"{path}: COCO results are a list, this is no list")
    return records
