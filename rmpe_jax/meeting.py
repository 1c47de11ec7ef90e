"""Several processes that predict: they compare once what each was given, and go on alone."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rmpe_jax import processes
from rmpe_jax.shares import Share
from rmpe_jax.sources import Input


class Listing(NamedTuple):
    """What a process tells of its inputs: their names in short, and why it cannot list them."""

    names: str
    problem: str | None


def agreed(listing: Callable[[], list[Input]], given: processes.Given) -> tuple[list[Input], Share]:
    """Return the inputs of all processes together, and which share of them is this one's.

    Raises ValueError, in every process, if their lists differ; where `listing` fails, its process
    raises that error.
    """
    inputs, failure = [], None
    try:
        inputs = listing()
    except (ValueError, OSError) as error:  # told to the others, who would wait for this process
        failure = error
    told = processes.meet(given, json.dumps(_listing(inputs, failure)))
    if failure is not None:
        raise failure
    _compare([Listing(*json.loads(text)) for text in told.texts])
    return inputs, Share(told.process, len(told.texts))


def _listing(inputs: Sequence[Input], failure: Exception | None) -> Listing:
    names = [given.name for given in inputs]
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
    ends = f"{names[0]} to {names[-1]}, " if names else ""
    short = f"{len(names)} ({ends}checksum {digest[:12]})"
    return Listing(short, None if failure is None else str(failure))


def _compare(listings: Sequence[Listing]) -> None:
    first = listings[0]
    for process, other in enumerate(listings):
        if other.problem is not None:
            raise ValueError(
                f"process {process} cannot list its inputs ({other.problem}); give all processes "
                "the same files and start all again"
            )
        if other.names != first.names:
            raise ValueError(
                f"process {process} was given other inputs than process 0: {other.names}, not "
                f"{first.names}. Each must see the same files by the same names: start all with "
                "the same command, on storage that all can reach or on equal copies"
            )
