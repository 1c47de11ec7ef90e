"""The shards in which a set is written: each is kept when it is finished, for a run that is killed.

Beside shard number n lie its annotations (n.npz) and, written last, its checksum (n.json).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rmpe_jax.data import index
from rmpe_jax.data.images import ImageError
from rmpe_jax.data.listing import Listing
from rmpe_jax.records import Photograph

PHOTOGRAPHS = 128  # in one shard; TFDS holds one shard in memory


@dataclass(frozen=True)
class Shard:
    """A part of a set: photographs that are read one after the other."""

    number: int
    read: Callable[[Callable[[ImageError], None]], Iterator[Photograph]]
    joints: int
    folder: Path | None = None
    """Where it is kept when it is finished; None: nowhere."""
    on_photograph: Callable[[], None] | None = None

    @property
    def is_kept(self) -> bool:
        """Return whether an earlier run has finished it."""
        return self.folder is not None and is_kept(self.folder, self.number)

    def count_kept(self) -> int:
        """Return how many photographs the finished shard has."""
        assert self.folder is not None
        with np.load(_annotations(self.folder, self.number)) as arrays:
            count = len(arrays["people"])
        for _ in range(count):
            self._tell()
        return count

    def photographs(self) -> Iterator[Photograph]:
        """Yield its photographs; note what is annotated when all have been taken."""
        rows, digests = [], []
        skipped: list[str] = []
        for photograph in self.read(lambda error: skipped.append(str(error))):
            rows.append(photograph.annotation)
            digests.append(index.digest(photograph))
            yield photograph
            self._tell()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            arrays = index.arrays(rows, self.joints)
            np.savez(
                _annotations(self.folder, self.number),
                allow_pickle=False,
                digest=np.array(digests, str),
                skipped=np.array(skipped, str),
                **arrays,
            )

    def _tell(self) -> None:
        if self.on_photograph is not None:
            self.on_photograph()


def of_listing(
    listing: Listing, folder: Path | None, on_photograph: Callable[[], None] | None
) -> list[Shard]:
    """Return the shards of a set, in order."""
    joints = len(listing.skeleton.joints)
    starts = range(0, listing.count, PHOTOGRAPHS)
    return [
        Shard(number, listing.part(start, start + PHOTOGRAPHS), joints, folder, on_photograph)
        for number, start in enumerate(starts)
    ]


def forget_skips(folder: Path) -> None:
    """Let go of finished shards in which a picture could not be read: it may be there by now."""
    for checksum in folder.glob("*.json"):
        with np.load(_annotations(folder, int(checksum.stem))) as arrays:
            skipped = len(arrays["skipped"])
        if skipped:
            checksum.unlink()


def is_kept(folder: Path, number: int) -> bool:
    """Return whether shard `number` is finished."""
    return _checksum(folder, number).is_file()


def partial(folder: Path, number: int) -> Path:
    """Return where a shard is written that is not finished."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{number}.partial"


def keep(folder: Path, number: int) -> None:
    """Finish a shard: its checksum is written last."""
    partial(folder, number).replace(_records(folder, number))
    unfinished = folder / f"{number}.json.partial"
    unfinished.write_text(json.dumps({"sha256": sha256(_records(folder, number))}))
    unfinished.replace(_checksum(folder, number))


def place(folder: Path, number: int, path: Path) -> None:
    """Put a finished shard at `path` too, without copying it where the disk allows."""
    try:
        os.link(_records(folder, number), path)
    except OSError:
        shutil.copyfile(_records(folder, number), path)


def gathered(folder: Path, count: int) -> tuple[index.Arrays, list[str], list[str], list[str]]:
    """Return (annotations, digests, what was skipped, checksums) of `count` finished shards."""
    parts, checksums = [], []
    for number in range(count):
        with np.load(_annotations(folder, number)) as arrays:
            parts.append(dict(arrays))
        checksums.append(json.loads(_checksum(folder, number).read_text())["sha256"])
    digests = [str(told) for part in parts for told in part.pop("digest")]
    skipped = [str(told) for part in parts for told in part.pop("skipped")]
    return index.joined(parts), digests, skipped, checksums


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _records(folder: Path, number: int) -> Path:
    return folder / f"{number}.array_record"


def _annotations(folder: Path, number: int) -> Path:
    return folder / f"{number}.npz"


def _checksum(folder: Path, number: int) -> Path:
    return folder / f"{number}.json"
