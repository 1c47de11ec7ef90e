"""Where the figures of a run go: a JSON line each, and TensorBoard when it is installed."""

import importlib.util
import json
import time
from pathlib import Path
from types import TracebackType


class MetricWriter:
    """Appends {"step": ..., "time": ..., name: value} lines to `metrics.jsonl`.

    `time` is in seconds since 1970, so that any speed can be worked out later.

    A resumed run appends to the earlier lines. Lines after the resumed step (written by a run
    that was killed before its next checkpoint) are cut first, so that a step appears once.
    """

    def __init__(self, workdir: Path, *, first_step: int) -> None:
        """Open the log of a run that goes on after `first_step`."""
        self.path = workdir / "metrics.jsonl"
        # Replaced in one go: a kill at this moment loses no line.
        shorter = self.path.with_suffix(".new")
        shorter.write_text("".join(_lines_up_to(self.path, first_step)), encoding="utf-8")
        shorter.replace(self.path)
        self.file = self.path.open("a", encoding="utf-8")
        self.board = None
        if importlib.util.find_spec("tensorboardX"):
            from tensorboardX import SummaryWriter

            self.board = SummaryWriter(str(workdir / "tensorboard"), purge_step=first_step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add the figures of one step."""
        self.file.write(json.dumps({"step": step, "time": round(time.time(), 3), **values}) + "\n")
        self.file.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def __enter__(self) -> "MetricWriter":
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.file.close()
        if self.board is not None:
            self.board.close()


class NoWriter:
    """Writes nothing: of several processes, only the first keeps figures."""

    def write(self, step: int, values: dict[str, float]) -> None:
        """Do nothing."""

    def __enter__(self) -> "NoWriter":
        """Return the writer itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""


def _lines_up_to(path: Path, last_step: int) -> list[str]:
    """Return the whole lines of an earlier log whose step is at most `last_step`."""
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
            continue  # a line that a kill cut in half
    return kept
