"""The folder of a run: one writer at a time, files that are whole or absent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Hold the folder, made if need be; a ValueError if another process trains in it."""
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("w") as file:
        try:
            import fcntl  # not on Windows, where nothing is locked
        except ImportError:
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(
                f"another process is training in {workdir}; wait for it, or give another --workdir"
            ) from None
        yield


def write_json(path: Path, value: Any) -> None:
    """Write a file in one go: a kill leaves the earlier one."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(value, indent=2))
    unfinished.replace(path)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the settings that differ between two nested dictionaries, as sentences."""
    found = []
    for name in sorted(set(old) | set(new)):
        before, after = _plain(old.get(name)), _plain(new.get(name))
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            found.append(f"{prefix}{name} was {before!r}, is {after!r}")
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value  # JSON knows no tuples
