"""Photographs prepared once on disk, and opened for random access from then on.

What is prepared lies in a folder named by a fingerprint of where it came from, so a changed
source is prepared anew and an unchanged one never twice. Pixels are as annotated.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from rich.console import Console
from rich.progress import track

from rmpe_jax.config import DataConfig
from rmpe_jax.data import coco, synthetic
from rmpe_jax.data.images import ImageError
from rmpe_jax.records import Annotation, Persons, Photograph
from rmpe_jax.skeletons import COCO17

Split = Literal["train", "validation"]
LAYOUT = 2  # raise it when the prepared files change
SUMMARY, INDEX = "summary.json", "index.npz"
SPLIT_SEEDS = {"train": 0, "validation": 1}  # synthetic: seed of a split is 2 * config.seed + this


class PhotographSource:
    """Prepared photographs: a sequence of `Photograph`, and their annotations without pixels.

    `person_index` has a row (photograph, person) for every person to train on: no crowd, at
    least one labelled joint, a box with an area. `skipped` counts images that could not be read.
    """

    def __init__(self, folder: Path, records: Sequence[Any]) -> None:
        """Open what `prepare` has written to `folder`."""
        summary = json.loads((folder / SUMMARY).read_text())
        self.folder = folder
        self.fingerprint: str = summary["fingerprint"]
        self.skipped: int = summary["skipped"]
        self._records = records
        with np.load(folder / INDEX) as arrays:
            self._index = dict(arrays)
        self.person_index = _trainable(self._index)

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self._records)

    def __getitem__(self, row: int) -> Photograph:
        """Return photograph `row` as its reader yielded it."""
        # TFDS is imported where it is needed, here and below: it takes 0.6 s.
        from rmpe_jax.data import builder

        return builder.photograph(self._records[row])

    def __iter__(self) -> Iterator[Photograph]:
        """Yield the photographs in order."""
        return (self[row] for row in range(len(self)))

    def annotations(self) -> list[Annotation]:
        """Return image ids, sizes and persons of all photographs, in order, reading no image."""
        index = self._index
        ends = index["first_person"][1:]
        persons = [
            Persons(*parts)
            for parts in zip(
                *(np.split(index[field], ends[:-1]) for field in Persons._fields), strict=True
            )
        ]
        return [
            Annotation(int(image_id), str(name), int(height), int(width), people, json.loads(facts))
            for image_id, name, height, width, people, facts in zip(
                index["image_id"],
                index["file_name"],
                index["height"],
                index["width"],
                persons,
                index["facts"],
                strict=True,
            )
        ]


def prepare(config: DataConfig, split: Split) -> PhotographSource:
    """Return the photographs of a split, writing them below `config.prepared` the first time.

    A folder appears only when it is complete, so an interrupted preparation is done again, and
    of two processes that prepare the same one at once the second to finish uses the first's.
    """
    if config.source == "synthetic":
        description = _synthetic_description(config, split)
    else:
        description = _coco_description(config, split)
    text = json.dumps({"layout": LAYOUT, **description}, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    prepared = Path(config.prepared).expanduser()
    folder = prepared / f"{config.source}-{split}-{fingerprint[:16]}"
    if not folder.is_dir():
        prepared.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(prepared, folder.name)
        partial = tempfile.mkdtemp(prefix=f".{folder.name}.{_process()}.", dir=prepared)
        try:
            _write(config, split, Path(partial), fingerprint)
            _move_into_place(Path(partial), folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    from rmpe_jax.data import builder

    return PhotographSource(folder, builder.open_split(str(folder), split))


def _synthetic_description(config: DataConfig, split: Split) -> dict[str, Any]:
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


def _coco_description(config: DataConfig, split: Split) -> dict[str, Any]:
    annotations, images = coco_paths(config, split)
    with os.scandir(images) as entries:
        sizes = sorted((entry.name, entry.stat().st_size) for entry in entries)
    return {
        "source": "coco",
        "annotations": hashlib.sha256(annotations.read_bytes()).hexdigest(),
        "images": hashlib.sha256(json.dumps(sizes).encode()).hexdigest(),
    }


def coco_paths(config: DataConfig, split: Split) -> tuple[Path, Path]:
    """Return the annotation file and the image folder of a split, or say what is missing."""
    train = split == "train"
    root = Path(config.root).expanduser()
    annotations = root / (config.train_annotations if train else config.validation_annotations)
    name = config.train_images if train else config.validation_images
    folders = [root / name, root / "images" / name]
    images = next((folder for folder in folders if folder.is_dir()), None)
    if config.root and annotations.is_file() and images is not None:
        return annotations, images
    if not config.root:
        came = "no folder was given"
    elif not root.is_dir():
        came = f"{config.root} is no folder"
    else:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:10]) or "nothing"
        missing = annotations if not annotations.is_file() else f"{folders[0]} or {folders[1]}"
        came = f"{config.root} holds {there}, but there is no {missing}"
    raise ValueError(
        f"COCO data: {came}. Expected below it: {annotations.relative_to(root)} and the images in "
        f"{name}/ or images/{name}/. Type --data.root DIR (other names: --data.{split}-annotations "
        f"FILE --data.{split}-images FOLDER), or --data.source synthetic for drawn people"
    )


def _write(config: DataConfig, split: Split, folder: Path, fingerprint: str) -> None:
    """Write records, index and summary of a split into an empty folder."""
    from rmpe_jax.data import builder

    console = Console(stderr=True)
    skipped: list[ImageError] = []

    def on_skip(error: ImageError) -> None:
        skipped.append(error)
        console.print(f"skipped: {error}", highlight=False, markup=False, soft_wrap=True)

    photographs, total = _read(config, split, on_skip)
    rows: list[Annotation] = []

    def watched() -> Iterator[Photograph]:
        label = f"preparing {config.source} {split}"
        for photograph in track(
            photographs, label, total, console=console, disable=not console.is_terminal
        ):
            rows.append(photograph.annotation)
            yield photograph

    with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download there is not
        builder.write(str(folder), split, len(COCO17.joints), watched())
    if skipped:
        console.print(f"{len(skipped)} of {total} images could not be read and were skipped")
    np.savez(folder / INDEX, allow_pickle=False, **_index_arrays(rows))
    summary = {"fingerprint": fingerprint, "skipped": len(skipped)}
    (folder / SUMMARY).write_text(json.dumps(summary | {"reasons": [str(e) for e in skipped]}))


def _read(
    config: DataConfig, split: Split, on_skip: Callable[[ImageError], None]
) -> tuple[Iterator[Photograph], int]:
    """Return the photographs of a split and how many there should be."""
    if config.source == "coco":
        annotations, images = coco_paths(config, split)
        entries = coco.index(annotations)
        return coco.photographs(entries, images, on_skip=on_skip), len(entries)
    description = _synthetic_description(config, split)
    drawn = (
        synthetic.photograph(description["seed"], row, *description["size"])
        for row in range(description["count"])
    )
    return drawn, description["count"]


def _index_arrays(rows: list[Annotation]) -> dict[str, np.ndarray]:
    """Return all annotations as flat arrays; persons of image i start at first_person[i]."""
    counts = [len(row.persons.area) for row in rows]
    arrays = {
        field: np.array([getattr(row, field) for row in rows])
        for field in Annotation._fields
        if field not in ("persons", "facts")
    }
    arrays["facts"] = np.array([json.dumps(row.facts) for row in rows])
    for field in Persons._fields:
        arrays[field] = np.concatenate([getattr(row.persons, field) for row in rows])
    return arrays | {"first_person": np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])}


def _trainable(index: dict[str, np.ndarray]) -> Int[np.ndarray, "n 2"]:
    first = index["first_person"]
    photograph = np.repeat(np.arange(len(first) - 1), np.diff(first))
    person = np.arange(first[-1]) - first[photograph]
    x_min, y_min, x_max, y_max = index["boxes_px"].T
    wanted = (index["joints_px"][..., 2] > 0).any(1) & ~index["is_crowd"]
    wanted &= (x_max > x_min) & (y_max > y_min)
    return np.stack([photograph, person], axis=1)[wanted]


def _move_into_place(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker: use what it wrote
            raise


def _process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _remove_leftovers(prepared: Path, name: str) -> None:
    """Remove what processes of this machine that no longer run have left half done."""
    for path in prepared.glob(f".{name}.{socket.gethostname()}-*"):
        process = int(path.name.rsplit("-", 1)[1].split(".")[0])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:  # it runs, under another user
            continue
