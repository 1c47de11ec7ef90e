"""The part of a list that is one process' own, and what its files are called."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

Thing = TypeVar("Thing")


class Share(NamedTuple):
    """Which process of how many, from 0."""

    process: int
    processes: int

    def of(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """Return every n-th thing of n processes: neighbours, which cost alike, are spread."""
        return things[self.process :: self.processes]

    def file(self, name: str) -> str:
        """Return poses.00001-of-00004.json of poses.json; of a single process the name itself."""
        if self.processes == 1:
            return name
        path = Path(name)
        return f"{path.stem}.{self.process:05d}-of-{self.processes:05d}{path.suffix}"


WHOLE = Share(0, 1)
