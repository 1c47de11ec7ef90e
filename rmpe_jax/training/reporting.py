"""How a run goes: a progress bar or lines on the screen, and figures in metrics.jsonl."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rmpe_jax.config import Config
from rmpe_jax.training.metrics import MetricWriter, NoWriter

SECONDS_BETWEEN_LINES = 20  # where the output is a file and a progress bar would not show


class Pace:
    """How fast it goes, and what share of the time is spent waiting for data."""

    def __init__(self, step: int, batch_size: int) -> None:
        """Measure from this step on, of batches of this size."""
        self.batch_size = batch_size
        self.again(step)

    def again(self, step: int) -> None:
        """Measure from this step on."""
        self.step, self.time, self.waited = step, time.perf_counter(), 0.0

    @contextmanager
    def data_wait(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        began = time.perf_counter()
        yield
        self.waited += time.perf_counter() - began

    def measure(self, step: int) -> dict[str, float]:
        """Return the figures since the last measurement."""
        steps, seconds = step - self.step, time.perf_counter() - self.time
        waited = self.waited
        self.again(step)
        return {
            "steps_per_second": steps / seconds,
            "crops_per_second": steps * self.batch_size / seconds,
            "data_wait": waited / seconds,
        }


@dataclass
class Report:
    """What is told of a run while it goes on."""

    config: Config
    console: Console
    writer: MetricWriter | NoWriter
    progress: Progress
    bar: TaskID
    pace: Pace
    last_line: float

    def step(self, step: int) -> None:
        """Tell that a step was begun."""
        self.progress.update(self.bar, completed=step)

    def figures(self, step: int, values: dict[str, float]) -> None:
        """Tell the figures of a step."""
        values = values | self.pace.measure(step)
        self.writer.write(step, values)
        self.progress.update(self.bar, loss=f"{values['loss']:.5f}")
        if self.console.is_terminal or time.perf_counter() - self.last_line < SECONDS_BETWEEN_LINES:
            return
        self.last_line = time.perf_counter()
        steps, speed = self.config.train.steps, values["crops_per_second"]
        minutes = (steps - step) * self.config.train.batch_size / speed / 60
        self.console.print(
            f"step {step} of {steps}, loss {values['loss']:.5f}, "
            f"{speed:.0f} crops/s, {math.ceil(minutes)} min left"
        )

    def evaluated(self, step: int, precision: float) -> None:
        """Tell how good the network is; the time that it took to find out is no training."""
        self.writer.write(step, {"AP": precision})
        self.progress.console.print(f"step {step}: AP {precision:.3f}")
        self.pace.again(step)


@contextmanager
def reporting(
    config: Config, workdir: Path, console: Console, *, first: int, writes: bool
) -> Iterator[Report]:
    """Tell how a run goes after step `first`; of several processes, one writes the figures."""
    open_writer: Any = MetricWriter(workdir, first_step=first) if writes else NoWriter()
    with open_writer as writer, _progress(console) as progress:
        bar = progress.add_task("Training", total=config.train.steps, completed=first, loss="-")
        pace = Pace(first, config.train.batch_size)
        yield Report(config, console, writer, progress, bar, pace, time.perf_counter())


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
    )
