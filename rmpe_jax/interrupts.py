"""Ctrl-C and SIGTERM as a question that a loop asks when it can stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Turn Ctrl-C and SIGTERM into a question the loop can ask; a second one is obeyed at once.

    The answer is the signal's number, or 0. Only a main thread may install handlers; elsewhere the
    answer is always no.
    """
    asked: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, previous[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    except ValueError:
        previous = {}
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
