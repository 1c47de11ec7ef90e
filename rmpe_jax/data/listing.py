"""What a split of a data set holds, before any picture is read: annotations, and how to read on."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rmpe_jax.config import DataConfig
from rmpe_jax.data import images as image_files
from rmpe_jax.data import releases, synthetic
from rmpe_jax.data.images import ImageError
from rmpe_jax.data.releases import Split
from rmpe_jax.records import Annotation, Photograph
from rmpe_jax.skeletons import COCO17, Skeleton

OnSkip = Callable[[ImageError], None]
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SPLIT_SEEDS = {"train": 0, "validation": 1}  # synthetic: seed of a split is 2 * config.seed + this


class Listing(NamedTuple):
    """A split: how many photographs, how to read some of them, and of what joints.

    `part(start, stop)` returns a function that yields the photographs of these rows and gives
    those that cannot be read to its argument. `notes` are what a user should know.
    """

    count: int
    part: Callable[[int, int], Callable[[OnSkip], Iterator[Photograph]]]
    skeleton: Skeleton
    notes: list[str]


def of_split(config: DataConfig, split: Split) -> Listing:
    """Read the annotations of a split; errors say what is missing or wrong and what to type."""
    if config.source == "synthetic":
        about = synthetic_description(config, split)
        seed, size = about["seed"], about["size"]
        return Listing(
            about["count"],
            lambda start, stop: partial(_drawn, seed, start, min(stop, about["count"]), size),
            COCO17,
            [],
        )
    annotations, images = places(config, split)
    read = releases.RELEASES[config.source].read(annotations, split)
    if not read.annotations:
        raise ValueError(f"{annotations}: no images for the {split} split are annotated there")
    return Listing(
        len(read.annotations),
        lambda start, stop: partial(photographs, read.annotations[start:stop], images),
        read.skeleton,
        read.notes,
    )


def photographs(entries: list[Annotation], images: Path, on_skip: OnSkip) -> Iterator[Photograph]:
    """Yield the photographs of annotations; one that cannot be read goes to `on_skip`.

    Every picture is decoded once, so that a broken one is found here and not in the middle of a
    run. One whose size is not annotated has that of its pixels as stored.
    """
    for entry in entries:
        name = Path(entry.file_name)
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"image {entry.image_id}: {name} is not a file below {images}")
        path = images / name
        try:
            encoded = image_files.read_bytes(path)
            size = (entry.height, entry.width)
            if size == (0, 0):
                size = image_files.stored_size(encoded, str(path))
            else:
                image_files.decode(encoded, str(path), size=size)
        except ImageError as error:
            on_skip(error)
            continue
        height, width = size
        yield Photograph(jpeg=encoded, **entry._replace(height=height, width=width)._asdict())


def description(config: DataConfig, split: Split) -> dict[str, Any]:
    """Return what the photographs of a split depend on, as plain values."""
    if config.source == "synthetic":
        return synthetic_description(config, split)
    annotations, images = places(config, split)
    return {
        "source": config.source,
        "annotations": [_hash(path) for path in releases.inputs(annotations)],
        "images": _state(images, Path(config.prepared).expanduser()),
    }


def published(config: DataConfig) -> list[Split]:
    """Return the splits that a set has as published, of which the folder holds annotations.

    All of them if it holds none, so that reading one says what is missing.
    """
    if config.source == "synthetic":
        return ["train", "validation"]
    release = releases.RELEASES[config.source].places
    root = Path(config.root).expanduser()
    return [name for name in release if (root / release[name][0]).exists()] or list(release)


def places(config: DataConfig, split: Split) -> tuple[Path, Path]:
    """Return the annotation file (or folder) and the image folder of a split.

    Raises ValueError saying what came, what is expected where, and what to type.
    """
    release = releases.RELEASES[config.source]
    given = {
        "train": (config.train_annotations, config.train_images),
        "validation": (config.validation_annotations, config.validation_images),
    }[split]
    published = release.places.get(split)
    if published is None and not all(given):
        raise ValueError(
            f"{config.source} has no {split} split as published; name one by --data.{split}-"
            f"annotations FILE --data.{split}-images FOLDER, or train on {config.source} beside "
            "another set, by `data.also` of a configuration"
        )
    annotations_name, images_name = (g or p for g, p in zip(given, published or given, strict=True))
    root = Path(config.root).expanduser()
    annotations = root / annotations_name
    folders = [root / images_name, root / "images" / images_name]
    images = next((folder for folder in folders if folder.is_dir()), None)
    if config.root and annotations.exists() and images is not None:
        return annotations, images
    if not config.root:
        came = "no folder was given"
    elif not root.is_dir():
        came = f"{config.root} is no folder"
    else:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:10]) or "nothing"
        missing = annotations if not annotations.exists() else f"{folders[0]} or {folders[1]}"
        came = f"{config.root} holds {there}, but there is no {missing}"
    raise ValueError(
        f"{config.source} data: {came}. Expected below it: {annotations.relative_to(root)} and the "
        f"images in {images_name}/ or images/{images_name}/. {release.obtain} In a run type "
        f"--data.root DIR (other names: --data.{split}-annotations FILE --data.{split}-images "
        "FOLDER); rmpe prepare and rmpe score take DIR after the name of the set, and other names "
        "by --annotations FILE --images FOLDER"
    )


def synthetic_description(config: DataConfig, split: Split) -> dict[str, Any]:
    """Return what drawn photographs depend on."""
    count = config.synthetic_train if split == "train" else config.synthetic_validation
    if count < 1 or config.synthetic_height < 32 or config.synthetic_width < 32:
        raise ValueError(
            f"synthetic {split}: {count} images of {config.synthetic_width} x "
            f"{config.synthetic_height} came; at least 1 image of 32 x 32 is allowed"
        )
    # People that are drawn otherwise are other data, under the same settings too.
    drawing = sorted(Path(synthetic.__file__).parent.glob("synthetic*.py"))
    return {
        "source": "synthetic",
        "drawn_by": hashlib.sha256(b"".join(path.read_bytes() for path in drawing)).hexdigest(),
        "seed": 2 * config.seed + SPLIT_SEEDS[split],
        "count": count,
        "size": [config.synthetic_height, config.synthetic_width],
    }


def _drawn(
    seed: int, start: int, stop: int, size: list[int], on_skip: OnSkip
) -> Iterator[Photograph]:
    height, width = size
    return (synthetic.photograph(seed, row, height, width) for row in range(start, stop))


def _state(images: Path, prepared: Path) -> str:
    """Return a hash of the names, sizes and times of the pictures in a folder and below it.

    Not of what is prepared, which may lie there too.
    """
    found, seen = [], set()
    for folder, inner, names in os.walk(images, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or real == os.path.realpath(prepared):
            inner.clear()  # a link that leads back, or our own files
            continue
        seen.add(real)
        for name in names:
            if Path(name).suffix.lower() in PICTURES:
                found.append((os.path.relpath(folder, images), name, *_stamp(folder, name)))
    return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()


def _stamp(folder: str, name: str) -> tuple[int, int]:
    try:
        state = os.stat(os.path.join(folder, name))
    except OSError:  # a link to nowhere: reading it will be told
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
