"""Pieces of work that are done once: each in a folder that is named by all it depends on.

A job that another row, another seed or an earlier call has done already is found by its name. So a
plan that was killed goes on where it was, and one that was done does nothing.
"""

import hashlib
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from rmpe_jax.training.workdir import write_json

LAYOUT = 1  # raise it when the work of earlier jobs would no longer be right
DONE, FAILED = "done.json", "failed.txt"
SHORT = 12  # characters of a hash: enough to tell jobs apart

# (own folder, folders of what it needs) -> what a table wants to know of it
Work = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """A piece of work; `request` and the jobs it needs say all that its outcome depends on.

    `work` is called with its own folder, which exists, and those of `needs`, and may find there
    what an interrupted call of it has left. `guess` is how many seconds it may take, on two cores:
    what the first estimate of the whole is made of.
    """

    kind: str
    about: str
    request: dict[str, Any]
    needs: tuple["Job", ...]
    work: Work
    guess: float

    @cached_property
    def name(self) -> str:
        """Return the name of the folder: what it is, and a hash of what it depends on."""
        depends = [LAYOUT, self.kind, self.request, [need.name for need in self.needs]]
        digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
        return f"{self.kind}-{digest[:SHORT]}"


def ordered(wanted: Iterable[Job]) -> list[Job]:
    """Return these jobs and all that they need, each once and after what it needs."""
    found: dict[str, Job] = {}

    def add(job: Job) -> None:
        if job.name not in found:
            for need in job.needs:
                add(need)
            found[job.name] = job

    for job in wanted:
        add(job)
    return list(found.values())


def outcome(job: Job, root: Path) -> dict[str, Any] | None:
    """Return what a job that is done has told, or None."""
    path = root / job.name / DONE
    return json.loads(path.read_text())["outcome"] if path.exists() else None


def seconds(job: Job, root: Path) -> float | None:
    """Return how long a job that is done took, with calls that were stopped but not killed."""
    path = root / job.name / DONE
    return float(json.loads(path.read_text())["seconds"]) if path.exists() else None


def run(jobs: Sequence[Job], root: Path, console: Console) -> dict[str, str]:
    """Do what is not done yet, in order; return by name of each job that failed what failed first.

    A job that fails takes along only those that need it, and is tried again by the next call.
    """
    failed: dict[str, str] = {}
    for number, job in enumerate(jobs, start=1):
        if seconds(job, root) is not None:
            continue
        broken = [need for need in job.needs if need.name in failed]
        if broken:
            failed[job.name] = failed[broken[0].name]
            continue
        left = _told_left(jobs[number - 1 :], root, jobs)
        told = f"{number} of {len(jobs)}: {job.about} ({job.name}){left}"
        console.print(f"\n{told}", style="bold", markup=False, highlight=False, soft_wrap=True)
        reason = _done(job, root)
        if reason is not None:
            failed[job.name] = f"{job.about}: {reason}"
            told = f"failed: {failed[job.name]} (see {root / job.name / FAILED})"
            console.print(told, style="red", markup=False, highlight=False, soft_wrap=True)
    return failed


def seconds_left(waiting: Sequence[Job], done: Sequence[tuple[Job, float]]) -> float | None:
    """Return how long jobs will take, by those that are done and the seconds that these took.

    What was guessed is corrected by how far the guesses of jobs of its kind were off, or, before
    there is one, those of all. None while nothing is done.
    """
    if not done:
        return None

    def rate(some: list[tuple[Job, float]]) -> float:
        return sum(took for _, took in some) / sum(job.guess for job, _ in some)

    total = 0.0
    for job in waiting:
        alike = [entry for entry in done if entry[0].kind == job.kind]
        total += job.guess * rate(alike or list(done))
    return total


def _told_left(rest: Sequence[Job], root: Path, jobs: Sequence[Job]) -> str:
    known = [(job, took) for job in jobs if (took := seconds(job, root)) is not None]
    left = seconds_left([job for job in rest if seconds(job, root) is None], known)
    return "" if left is None else f", about {max(round(left / 60), 1)} min left in all"


def _done(job: Job, root: Path) -> str | None:
    """Do a job; return why it failed, or None."""
    folder = root / job.name
    folder.mkdir(parents=True, exist_ok=True)
    took = folder / "seconds.json"
    before = float(json.loads(took.read_text())) if took.exists() else 0.0
    began = time.perf_counter()
    try:
        told = job.work(folder, *(root / need.name for need in job.needs))
    except SystemExit as stop:  # a training that was told to stop: what comes after must not begin
        raise SystemExit(stop.code or 128 + signal.SIGTERM) from None
    except Exception as error:  # noqa: BLE001 (whatever it is, the other rows go on)
        (folder / FAILED).write_text(traceback.format_exc())
        return f"{type(error).__name__}: {error}"
    finally:
        spent = round(before + time.perf_counter() - began, 1)
        write_json(took, spent)  # a job that is stopped and goes on took the sum
    (folder / FAILED).unlink(missing_ok=True)
    done = {"about": job.about, "seconds": spent, "request": job.request, "outcome": told}
    write_json(folder / DONE, done)
    return None
