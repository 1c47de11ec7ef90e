"""When a run is saved, with what, and how it goes on from what was saved."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from rmpe_jax.checkpoint import Checkpoints
from rmpe_jax.config import Config, to_dict
from rmpe_jax.training import distributed
from rmpe_jax.training.sharding import Layout
from rmpe_jax.training.step import TrainState
from rmpe_jax.training.task import Task
from rmpe_jax.training.workdir import differences


@dataclass
class Saver:
    """The checkpoints of a run; all its processes save and restore together."""

    checkpoints: Checkpoints
    config: Config
    task: Task
    devices: Layout
    last: float = field(default_factory=time.perf_counter)

    def due(self, step: int) -> bool:
        """Return whether the settings want a checkpoint after this step."""
        train = self.config.train
        late = time.perf_counter() - self.last > train.checkpoint_seconds
        if self.devices.process_count > 1:  # whose clocks differ; asking costs a message
            late = step % train.log_every == 0 and distributed.of_first(late)
        return late or step % train.checkpoint_every == 0

    def save(self, state: TrainState, step: int, batches: Any, precision: float | None) -> None:
        """Save a step's state; `precision` is its AP, if that was measured."""
        state = self.devices.from_step(state)
        meta = {"config": to_dict(self.config), "batches": batches, **self.task.facts}
        self.checkpoints.save(step, state, state.evaluated, meta, metric=precision)
        self.last = time.perf_counter()

    def restored(self, state: TrainState, console: Console) -> tuple[TrainState, int]:
        """Return the newest state that is whole and the number of batches it has seen.

        Without a checkpoint that is `state`. Says what changed since it was written, and what was
        passed over. Raises ValueError if this run must not go on from it.
        """
        if not self.checkpoints.steps():
            return state, 0
        workdir = self.config.workdir
        restored, meta, damages = self.checkpoints.newest(
            "state", lambda meta: state, distributed.of_all
        )
        self._check(meta)
        for damage in damages:
            console.print(f"{damage}; it is removed, an earlier step is used", style="red")
        distributed.wait_for_all("restored")
        later = [step for step in self.checkpoints.steps() if step > meta["step"]]
        if self.devices.process_index == 0:
            for step in later:
                self.checkpoints.delete(step)  # else nothing could be saved at this step again
        distributed.wait_for_all("removed")
        self.checkpoints.reload()
        for change in differences(meta["config"], to_dict(self.config)):
            console.print(f"changed since the checkpoint was written: {change}", style="yellow")
        console.print(f"resumed {workdir} at step {meta['step']}", markup=False)
        return restored, meta["batches"]

    def _check(self, meta: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data or of another order of them."""
        workdir, now = self.config.workdir, self.task.facts["data_fingerprint"]
        if meta["data_fingerprint"] != now:
            raise ValueError(
                f"{workdir} was trained on other data (fingerprint {meta['data_fingerprint']}, now "
                f"{now}); use another --workdir, or the data it began with"
            )
        self.task.check(meta)
        for name in ("batch_size", "seed"):
            before, now = meta["config"]["train"][name], getattr(self.config.train, name)
            if before != now:
                raise ValueError(
                    f"train.{name} was {before} when {workdir} began and is {now}: the order of "
                    "the data would change within the run. Use "
                    f"--train.{name.replace('_', '-')} {before}, or another --workdir"
                )


def saver(workdir: Path, config: Config, task: Task, devices: Layout) -> Saver:
    """Return what saves a run in its folder."""
    train = config.train
    checkpoints = Checkpoints(workdir / "checkpoints", keep=train.keep, keep_best=train.keep_best)
    return Saver(checkpoints, config, task, devices)
