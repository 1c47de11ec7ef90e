"""A watch over processes that train together: a lost one is named, and nobody waits for ever.

JAX waits for messages of the other processes as long as it takes. So each process tells the others,
through JAX's own coordination service, that it is alive and how far it has come; when this one has
waited too long for a step, its watch says whom it has been waiting for, and ends it.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax

from rmpe_jax.checkpoint import SaveError
from rmpe_jax.processes import service

BEATS = 8  # a process speaks up as often within the time after which it counts as lost
MOST_BETWEEN = 5.0  # seconds between two beats at most
KEY = "rmpe_jax/alive/"
AGAIN = (
    "All processes end; start all of them again by the same command and they go on from the last "
    "checkpoint"
)


class Beat(NamedTuple):
    """What is known of a process: how often it has spoken, and the last step it has finished."""

    count: int
    step: int


class Watch:
    """Speaks up for this process, listens to the others, and ends this one when all stand still.

    `seconds` is how long a step may take; None of it runs in a run of one process.
    """

    def __init__(self, seconds: float, *, end: Callable[[str], None] | None = None) -> None:
        """Begin to watch; `end` is called with the message (None: it ends the process)."""
        self.seconds = seconds
        self._end = end or _exit
        self._progress = time.monotonic()
        self._step, self._count = 0, 0
        self._waits = False  # the first step is compiled, which takes its time
        self._heard: dict[int, tuple[Beat, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.alone = jax.process_count() == 1
        if not self.alone:
            self._thread.start()

    def done(self, step: int) -> None:
        """Say that a step is finished, and that the next is expected in time."""
        self._step, self._progress, self._waits = step, time.monotonic(), True

    def pause(self) -> None:
        """Expect no step for now: something else takes its time (compiling, saving, evaluating)."""
        self._waits = False

    @contextmanager
    def blames(self) -> Iterator[None]:
        """End this process, naming the lost one, where a message to it fails inside."""
        try:
            yield
        except (jax.errors.JaxRuntimeError, SaveError) as error:
            # A checkpoint is written by all together, and fails too where one is lost.
            if self.alone or (isinstance(error, SaveError) and not self._silent()):
                raise
            self._end(f"{self.lost()} ({str(error)[:200]}). {AGAIN}")
            raise

    def lost(self) -> str:
        """Return whom this process has been waiting for, in words; listens for a while first."""
        silent = self._silent()
        if silent:
            named = ", ".join(f"process {i}{self._last_step(i)}" for i in sorted(silent))
            return f"nothing is heard any more of {named}: killed, stopped, or out of reach"
        behind = min(heard[0].step for heard in self._heard.values())
        slow = [i for i, heard in self._heard.items() if heard[0].step == behind]
        named = ", ".join(f"process {i}" for i in sorted(slow))
        return f"all processes are alive; the last to finish a step ({behind}) is {named}"

    def _silent(self) -> set[int]:
        """Return the processes of which nothing new is heard for a while."""
        silent = {i for i in range(jax.process_count()) if i != jax.process_index()}
        self._listen()  # what one that is lost has said before is not new
        began, interval = time.monotonic(), min(MOST_BETWEEN, self.seconds / BEATS)
        first = {i: heard[0].count for i, heard in self._heard.items()}
        while silent and time.monotonic() - began < 3 * interval:
            self._stop.wait(interval / 2)
            self._listen()
            silent = {
                i for i in silent if i not in self._heard or self._heard[i][0].count == first.get(i)
            }
        return silent

    def __enter__(self) -> "Watch":
        """Return the watch."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop watching."""
        self._stop.set()

    def _last_step(self, process: int) -> str:
        if process not in self._heard:
            return " (never heard)"
        beat, when = self._heard[process]
        return f" (last {time.monotonic() - when:.0f} s ago, at step {beat.step})"

    def _run(self) -> None:
        interval = min(MOST_BETWEEN, self.seconds / BEATS)
        while not self._stop.wait(interval):
            self._speak()
            self._listen()
            waited = time.monotonic() - self._progress
            if self._waits and waited > self.seconds and not self._stop.is_set():
                self._end(
                    f"no step for {waited:.0f} s (allowed: --devices.stall-seconds "
                    f"{self.seconds:g}); {self.lost()}. {AGAIN}"
                )
                return

    def _speak(self) -> None:
        self._count += 1
        beat = json.dumps(Beat(self._count, self._step))
        try:
            service().key_value_set(f"{KEY}{jax.process_index()}", beat, allow_overwrite=True)
        except Exception:  # the service is at process 0: who does not reach it hears nothing either
            return

    def _listen(self) -> None:
        try:
            told = service().key_value_dir_get(KEY)
        except Exception:
            return
        for key, value in told:
            process, beat = int(key.rpartition("/")[2]), Beat(*json.loads(value))
            before = self._heard.get(process)
            if process != jax.process_index() and (before is None or before[0] != beat):
                self._heard[process] = (beat, time.monotonic())


def _exit(message: str) -> None:
    """End this process at once: its main thread may wait in a message that never comes."""
    print(f"rmpe: {message}", file=sys.stderr, flush=True)
    os._exit(1)
