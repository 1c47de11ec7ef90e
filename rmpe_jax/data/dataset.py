"""Photographs prepared once on disk, and opened for random access from then on.

What is prepared lies in a folder named after where it came from, so a changed source is prepared
anew and an unchanged one never twice. A preparation that was killed goes on after its last
finished shard. Pixels are as annotated.
"""

import contextlib
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rmpe_jax import skeletons
from rmpe_jax.config import DataConfig
from rmpe_jax.data import categories, index, listing, releases, shards
from rmpe_jax.data.listing import Split
from rmpe_jax.data.mixture import Mixture
from rmpe_jax.records import Annotation, Photograph
from rmpe_jax.skeletons import Skeleton

LAYOUT = 4  # raise it when the prepared files change
SUMMARY, INDEX, CONTACT_SHEET = "summary.json", "index.npz", "contact_sheet.png"


class PhotographSource:
    """Prepared photographs: a sequence of `Photograph`, and their annotations without pixels.

    `fingerprint` is a hash of all pictures and annotations, and `person_index` has a row
    (photograph, person) for every person to train on: no crowd, at least one labelled joint, a box
    with an area. `skipped` counts images that could not be read. `skeleton` names the joints.
    """

    def __init__(
        self,
        folder: Path,
        records: Sequence[Any],
        skeleton: Skeleton | None = None,
        rows: Int[np.ndarray, " n"] | None = None,
    ) -> None:
        """Open what `prepare` has written to `folder`, with the joints of `skeleton` if given.

        `rows` are the photographs to take, if not all.
        """
        self.summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text())
        self.folder = folder
        self.fingerprint: str = self.summary["fingerprint"]
        self.data_set: str = self.summary["set"]
        self.split: str = self.summary["split"]
        self.skipped = len(self.summary["skipped"])
        own = skeletons.from_dict(self.summary["skeleton"])
        self.skeleton = skeleton or own
        self._order = skeletons.mapping(own, self.skeleton)
        self._joints = len(own.joints)
        self._records, self._rows = records, rows
        with (folder / INDEX).open("rb") as file, np.load(file) as arrays:
            self._index = dict(arrays)
        if rows is not None:
            self._index = index.taken(self._index, rows)
            told = f"{self.fingerprint} {rows.tolist()}"
            self.fingerprint = hashlib.sha256(told.encode()).hexdigest()
        self._index["joints_px"] = self._mapped(self._index["joints_px"])
        self.person_index = index.trainable(self._index)

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self._records) if self._rows is None else len(self._rows)

    def __getitem__(self, row: int) -> Photograph:
        """Return photograph `row` as its reader yielded it."""
        # TFDS is imported where it is needed, here and below: it takes 0.6 s.
        from rmpe_jax.data import builder

        with _damage_named(self.folder):
            number = row if self._rows is None else int(self._rows[row])
            photograph = builder.photograph(self._records[number], self._joints)
        joints_px = self._mapped(photograph.persons.joints_px)
        return photograph._replace(persons=photograph.persons._replace(joints_px=joints_px))

    def __iter__(self) -> Iterator[Photograph]:
        """Yield the photographs in order."""
        return (self[row] for row in range(len(self)))

    def annotations(self) -> list[Annotation]:
        """Return image ids, sizes and persons of all photographs, in order, reading no image."""
        return index.annotations(self._index)

    def with_joints(self, skeleton: Skeleton) -> "PhotographSource":
        """Return the same photographs with the joints of another skeleton, found by name."""
        return PhotographSource(self.folder, self._records, skeleton, self._rows)

    def take(self, rows: Int[np.ndarray, " n"]) -> "PhotographSource":
        """Return these photographs alone; what they are is part of the fingerprint."""
        chosen = rows if self._rows is None else self._rows[rows]
        return PhotographSource(self.folder, self._records, self.skeleton, chosen)

    def _mapped(self, joints_px: np.ndarray) -> np.ndarray:
        """Return the joints in the order of `skeleton`; those that the set lacks are unlabelled."""
        if self._order == tuple(range(joints_px.shape[1])):
            return joints_px
        order = np.array(self._order)
        return np.where((order >= 0)[:, None], joints_px[:, order], 0.0)


def prepare(
    config: DataConfig, split: Split, *, beam_runner: str | None = None
) -> PhotographSource:
    """Return the photographs of a split, writing them below `config.prepared` the first time.

    A folder appears only when it is complete. Of two processes that prepare the same one at once
    the second waits for the first. `beam_runner` names an Apache Beam runner for large sets. With
    `config.folds` above 1 a part of the training photographs is missing: see `left_out`.
    """
    source = _prepared(config, split, beam_runner)
    if split == "train" and config.folds > 1:
        return source.take(np.flatnonzero(_folds(source, config) != config.left_out))
    return source


def left_out(config: DataConfig) -> PhotographSource:
    """Return the training photographs that `config.left_out` keeps from training."""
    source = _prepared(config, "train", None)
    return source.take(np.flatnonzero(_folds(source, config) == config.left_out))


def _folds(source: PhotographSource, config: DataConfig) -> Int[np.ndarray, " n"]:
    """Return the part that each photograph is in; they are dealt one after the other."""
    if not config.left_out < config.folds <= len(source):
        raise ValueError(
            f"data.folds is {config.folds} and data.left_out {config.left_out}; of "
            f"{len(source)} photographs 1 to {len(source)} parts can be made, which count from 0"
        )
    return np.arange(len(source)) % config.folds


def _prepared(config: DataConfig, split: Split, beam_runner: str | None) -> PhotographSource:
    about = {"layout": LAYOUT, **listing.description(config, split)}
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    prepared = Path(config.prepared).expanduser()
    folder = prepared / f"{config.source}-{split}-{name}"
    if not folder.is_dir():
        prepared.mkdir(parents=True, exist_ok=True)
        with _alone(prepared / f".{folder.name}.lock"):  # which stays: others may wait for it
            if not folder.is_dir():
                _write(config, split, folder, beam_runner)
    from rmpe_jax.data import builder

    skeleton = target(config)
    with _damage_named(folder):
        source = PhotographSource(folder, builder.open_split(folder, split), skeleton)
    if source.skipped and config.missing == "error":
        raise _unreadable(config, split, source.summary["skipped"], f"remove {folder}")
    return source


def prepare_mixture(config: DataConfig) -> Mixture:
    """Return the training photographs of the set and of those in `config.also`, with weights.

    All have the joints of `config.skeleton`, or of the first set.
    """
    first = prepare(config, "train")
    sources, weights = [first], [config.weight]
    for further in config.also:
        alone = replace(
            config,
            source=further.source,
            root=further.root,
            train_annotations=further.train_annotations,
            train_images=further.train_images,
            also=(),
        )
        sources.append(prepare(alone, "train").with_joints(first.skeleton))
        weights.append(further.weight)
    return Mixture(tuple(sources), tuple(map(float, weights)))


def target(config: DataConfig) -> Skeleton | None:
    """Return the joints that are wanted: a known skeleton, that of a file, or None: the set's."""
    if not config.skeleton:
        return None
    known = {skeleton.name: skeleton for skeleton in categories.KNOWN}
    if config.skeleton in known:
        return known[config.skeleton]
    path = Path(config.skeleton).expanduser()
    if path.suffix != ".json":
        raise ValueError(
            f"data.skeleton is {config.skeleton!r}; allowed are "
            f"{', '.join(known)}, or a JSON file with keypoints, skeleton and sigmas"
        )
    return categories.read_skeleton(path)


def expected_joints(config: DataConfig) -> Skeleton:
    """Return the joints that a run learns if its data is as published; nothing is read."""
    wanted = target(config)
    if wanted is not None or config.source == "synthetic":
        return wanted or skeletons.COCO17
    return releases.RELEASES[config.source].skeleton


def verify(source: PhotographSource) -> list[str]:
    """Return the prepared files of a set whose bytes are not those that were written."""
    return [
        f"{path}: its checksum is not that of {SUMMARY}"
        for name, checksum in source.summary["checksums"].items()
        if not (path := source.folder / name).is_file() or shards.sha256(path) != checksum
    ]


def _write(config: DataConfig, split: Split, folder: Path, beam_runner: str | None) -> None:
    """Write records, index and summary of a split; finished shards of an earlier try are used."""
    from rmpe_jax.data import builder

    console = Console(stderr=True)
    listed = listing.of_split(config, split)
    partial = folder.with_name(f".{folder.name}.partial")
    kept = partial / "shards"
    for leftover in partial.glob(f"{builder.Photographs.name}*"):
        shutil.rmtree(leftover)
    shards.forget_skips(kept)
    label = f"preparing {config.source} {split}"
    with _progress(console) as progress:
        bar = progress.add_task(label, total=listed.count)
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download there is not
            builder.write(
                partial,
                config,
                split,
                listed,
                kept,
                on_photograph=lambda: progress.advance(bar),
                beam_runner=beam_runner,
            )
    count = len(shards.of_listing(listed, None, None))
    arrays, digests, skipped, checksums = shards.gathered(kept, count)
    if len(skipped) == listed.count:
        raise ValueError(
            f"none of the {listed.count} annotated images of {config.source} {split} can be read: "
            f"{skipped[0]}; is it the right folder?"
        )
    if skipped and config.missing == "error":
        raise _unreadable(config, split, skipped, "type the same command again")
    for reason in skipped:
        told = f"skipped: {reason}"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    if skipped:
        told = (
            f"{len(skipped)} of {listed.count} images could not be read and were skipped; to try "
            f"them again remove {folder}"
        )
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    np.savez(partial / INDEX, allow_pickle=False, **arrays)
    files = sorted(path.relative_to(partial) for path in partial.rglob("*array_record-*"))
    skeleton = listed.skeleton._asdict()
    summary = {
        "set": config.source,
        "split": split,
        "fingerprint": _fingerprint(digests, skeleton),
        "skeleton": skeleton,
        "notes": listed.notes,
        "skipped": skipped,
        "checksums": {
            **dict(zip(map(str, files), checksums, strict=True)),
            INDEX: shards.sha256(partial / INDEX),
        },
    }
    (partial / SUMMARY).write_text(json.dumps(summary))
    shutil.rmtree(kept)
    partial.rename(folder)


def _fingerprint(digests: list[str], skeleton: dict[str, Any]) -> str:
    """Return a hash of what is prepared: pictures and annotations, in order, and joint names."""
    return hashlib.sha256(json.dumps([digests, skeleton["joints"]]).encode()).hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a file that only one process can; wait until another lets it go."""
    with path.open("w") as file:
        try:
            import fcntl  # not on Windows, where nothing is locked
        except ImportError:
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            Console(stderr=True).print("another process prepares this set: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _damage_named(folder: Path) -> Iterator[None]:
    """Turn what a reader of damaged files raises into an error that says what to do."""
    try:
        yield
    except (RuntimeError, TypeError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{folder} is damaged ({type(error).__name__}: {error}); remove it and type the same "
            "command again: it is then prepared anew"
        ) from error


def _unreadable(config: DataConfig, split: Split, skipped: list[str], then: str) -> ValueError:
    return ValueError(
        f"{len(skipped)} images of {config.source} {split} could not be read, the first: "
        f"{skipped[0]}; mend them and {then}, or take --missing skip (in a run --data.missing skip)"
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
