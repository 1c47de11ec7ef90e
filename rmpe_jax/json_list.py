"""A JSON list that is written as its items come, and is valid JSON after every one of them."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

END = b"\n]\n"


@contextmanager
def json_list(path: Path) -> Iterator[Callable[[Iterable[Any]], None]]:
    """Give a function that adds items to the list; the file has its name when it is complete.

    Until then it is `path` with `.part` behind, so that an interrupted run never leaves half a
    file under the name. Where an exception ends the work, Ctrl-C or a full disk, the file gets
    its name as well if it holds an item, and stays away if not. Raises OSError if the disk is
    full; items of earlier calls are kept then.
    """
    part = path.with_name(f"{path.name}.part")
    with FileIO(part, "w") as file:
        _write(file, b"[" + END, 0)
        end = first = 1  # where the next item goes

        def add(items: Iterable[Any]) -> None:
            nonlocal end
            lines = [json.dumps(item, allow_nan=False) for item in items]
            if not lines:
                return
            text = ("\n" if end == first else ",\n") + ",\n".join(lines)
            try:
                _write(file, text.encode() + END, end)
            except BaseException as error:
                file.truncate(end)
                _write(file, END, end)
                if isinstance(error, OSError):
                    raise OSError(error.errno, error.strerror, str(path)) from error
                raise
            end += len(text.encode())

        try:
            yield add
        except BaseException:
            if end == first:
                part.unlink()
            else:
                os.replace(part, path)
            raise
    os.replace(part, path)


def _write(file: FileIO, content: bytes, position: int) -> None:
    """Write all of it there, since a single call may write a part."""
    file.seek(position)
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
