"""Train a network: one function, read from top to bottom."""

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rmpe_jax.checkpoint import Checkpoints
from rmpe_jax.config import Config, checked, from_dict, to_dict
from rmpe_jax.models.variables import initialise
from rmpe_jax.training import distributed
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.detector_task import detector_task
from rmpe_jax.training.metrics import MetricWriter, NoWriter
from rmpe_jax.training.pose_task import pose_task
from rmpe_jax.training.sharding import fetched, layout, one_copy
from rmpe_jax.training.stages import stage_configs
from rmpe_jax.training.step import Figures, Rows, TrainState, start, train_step
from rmpe_jax.training.stop import check_finite
from rmpe_jax.training.task import Task
from rmpe_jax.training.watch import Watch
from rmpe_jax.training.workdir import differences, locked, write_json

SECONDS_BETWEEN_LINES = 20  # where the output is a file and a progress bar would not show


def train(config: Config) -> dict[str, Any]:
    """Train, evaluate, save; return the evaluation's result.

    Everything lands in `config.workdir`: checkpoints/, metrics.jsonl, config.json, what
    `evaluation.report.write` writes, contact_sheet.png; of a run in stages, in a folder for each.
    A run that was stopped at any moment goes on from its newest whole checkpoint when the same
    command is given again. Of several processes, which share the folder, the first writes all but
    its own part of the checkpoints, and the others return an empty result.
    """
    config = checked(config)
    if config.devices.distributed and not jax.distributed.is_initialized():
        distributed.join(config.devices)
    first = jax.process_index() == 0
    console, workdir = Console(quiet=not first), Path(config.workdir)
    result: dict[str, Any] = {}
    with locked(workdir) if first else nullcontext():
        for stage in stage_configs(config):
            folder = Path(stage.workdir)
            finished = _finished(stage) if folder != workdir else None
            if finished is not None:
                console.print(f"{folder} is finished: AP {finished['AP']:.3f}", highlight=False)
                result = finished
                continue
            if folder != workdir:
                console.rule(str(folder))
            with Watch(config.devices.stall_seconds) as watch:
                result = _train(stage, folder, console, watch)
                distributed.wait_for_all(str(folder))
    return result


def _train(config: Config, workdir: Path, console: Console, watch: Watch) -> dict[str, Any]:
    optimiser = optimisers.build(config)
    devices = layout(config.devices, config.train.batch_size)
    make = detector_task if config.model.family == "detector" else pose_task
    with distributed.first_alone("data"):  # who may pack them for all
        task = make(config, workdir, devices, console)
    distributed.check_agreement(config, task.facts)
    schedule = optimisers.learning_rate(config.optimiser, config.train.steps)
    checkpoints = Checkpoints(
        workdir / "checkpoints", keep=config.train.keep, keep_best=config.train.keep_best
    )
    key, init_key = jax.random.split(jax.random.key(config.train.seed))
    variables = initialise(init_key, task.module, config.model)
    if not checkpoints.steps():
        variables = task.first(variables)
    about = f"{task.about}, {_count(variables['params']) / 1e6:.2f} M parameters, on {devices}"
    state = devices.place(start(key, variables, optimiser, ema=config.optimiser.ema))
    del variables
    step_of = partial(train_step, lesson=task.lesson, optimiser=optimiser, ema=config.optimiser.ema)
    fixed = devices.place_fixed(task.fixed)

    # Where an earlier run stopped.
    position = 0
    if checkpoints.steps():
        state, position = _restored(checkpoints, state, config, task, console)
    first = int(state.step)
    update = devices.compiled(step_of, state)
    state = devices.to_step(state)
    batches = task.batches(position)
    main = devices.process_index == 0
    if main:
        write_json(workdir / "config.json", to_dict(config))

    def save(state: TrainState, step: int, precision: float | None) -> None:
        state = devices.from_step(state)
        meta = {"config": to_dict(config), "batches": batches.state, **task.facts}
        checkpoints.save(step, state, state.evaluated, meta, metric=precision)

    # The loop.
    steps = config.train.steps
    console.print(f"{about}; step {first} of {steps}", highlight=False)
    with (
        closing(checkpoints),  # whatever ends the loop, what went wrong in writing is said
        MetricWriter(workdir, first_step=first) if main else NoWriter() as writer,
        _progress(console) as progress,
        distributed.stop_requests() as stop_requested,
        watch.blames(),
    ):
        bar = progress.add_task("Training", total=steps, completed=first, loss="-")
        pace = _Pace(first, config.train.batch_size)
        last_save = last_line = time.perf_counter()
        waiting: tuple[Any, Figures, Rows] | None = None
        for step in range(first + 1, steps + 1):
            with pace.data_wait():
                batch = next(batches)
            state, figures, rows = update(state, devices.place_batch(task.inputs(batch)), fixed)
            if devices.must_be_awaited:
                jax.block_until_ready(figures)
            # The step before is looked at while this one runs on the device.
            if waiting is not None:
                check_finite(step - 1, *waiting)
                watch.done(step - 1)
            waiting = (batch, figures, rows)
            progress.update(bar, completed=step)
            last = step == steps
            if step % config.train.log_every == 0 or last:
                check_finite(step, *waiting)
                values = fetched(figures)
                values["learning_rate"] = float(np.asarray(schedule(step - 1)))
                values |= pace.measure(step) | devices.memory()
                writer.write(step, values)
                progress.update(bar, loss=f"{values['loss']:.5f}")
                if not console.is_terminal and time.perf_counter() - last_line > (
                    SECONDS_BETWEEN_LINES
                ):
                    last_line = time.perf_counter()
                    speed = values["crops_per_second"]
                    minutes = (steps - step) * config.train.batch_size / speed / 60
                    console.print(
                        f"step {step} of {steps}, loss {values['loss']:.5f}, "
                        f"{speed:.0f} crops/s, {math.ceil(minutes)} min left"
                    )
            every = config.train.evaluate_every
            stopping = stop_requested(step)
            evaluating = every > 0 and step % every == 0 and not last and not stopping
            due = time.perf_counter() - last_save > config.train.checkpoint_seconds
            if devices.process_count > 1:  # whose clocks differ; asking costs a message
                due = step % config.train.log_every == 0 and distributed.of_first(due)
            regular = step % config.train.checkpoint_every == 0
            precision = None
            if evaluating:  # before saving: the checkpoint says how good it is
                check_finite(step, *waiting)
                watch.pause()
                evaluated = one_copy(devices.from_step(state).evaluated)
                precision = distributed.of_first(task.measure(step, evaluated) if main else 0.0)
                writer.write(step, {"AP": precision})
                progress.console.print(f"step {step}: AP {precision:.3f}")
                pace = _Pace(step, config.train.batch_size)
            if regular or due or evaluating or stopping or last:
                check_finite(step, *waiting)  # a checkpoint never holds a broken state
                watch.pause()
                save(state, step, precision)
                last_save = time.perf_counter()
            if stopping:
                checkpoints.wait()
                message = f"stopped at step {step} of {steps}, saved in {workdir}; "
                console.print(f"{message}the same command goes on from there", soft_wrap=True)
                distributed.wait_for_all("stopped")
                # A cluster that takes its machines back is content; a script that is told Ctrl-C
                # must not go on with what comes after the training.
                raise SystemExit(128 + signal.SIGINT if stopping == signal.SIGINT else 0)
    batches.close()  # its threads and its decoded photographs

    # The outcome; all is saved, so Ctrl-C stops at once from here on.
    watch.pause()
    evaluated = one_copy(devices.from_step(state).evaluated)
    if not main:
        return {}
    outcome = task.finish(steps, evaluated)
    if first < steps:
        with MetricWriter(workdir, first_step=steps) as writer:
            writer.write(steps, {"AP": outcome.result["AP"]})
    console.print(outcome.table, soft_wrap=True, highlight=False, markup=False)
    told = f"written: {', '.join(map(str, outcome.written))}"
    console.print(told, soft_wrap=True, highlight=False, markup=False)
    return outcome.result


def _finished(config: Config) -> dict[str, Any] | None:
    """Return the result of a stage that has reached its end under these settings."""
    path = Path(config.workdir) / "result.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    # Settings that an earlier version did not know have their defaults.
    before = to_dict(from_dict(Config, result["config"]))
    return None if differences(before, to_dict(config)) else result


def _restored(
    checkpoints: Checkpoints,
    state: TrainState,
    config: Config,
    task: Task,
    console: Console,
) -> tuple[TrainState, int]:
    """Return the newest state that is whole and the number of batches it has seen.

    Says what changed since it was written, and what was passed over.
    """
    restored, meta, damages = checkpoints.newest("state", lambda meta: state)
    now = task.facts["data_fingerprint"]
    if meta["data_fingerprint"] != now:
        raise ValueError(
            f"{config.workdir} was trained on other data (fingerprint "
            f"{meta['data_fingerprint']}, now {now}); use another --workdir, or "
            "the data it began with"
        )
    task.check(meta)
    for name in ("batch_size", "seed"):
        before, now = meta["config"]["train"][name], getattr(config.train, name)
        if before != now:
            raise ValueError(
                f"train.{name} was {before} when {config.workdir} began and is {now}: the order of "
                f"the data would change within the run. Use --train.{name.replace('_', '-')} "
                f"{before}, or another --workdir"
            )
    for damage in damages:
        console.print(f"{damage}; it is removed, an earlier step is used", style="red")
    distributed.wait_for_all("restored")
    for step in checkpoints.steps():
        if step > meta["step"]:
            checkpoints.delete(step)  # else nothing could be saved at this step again
    for change in differences(meta["config"], to_dict(config)):
        console.print(f"changed since the checkpoint was written: {change}", style="yellow")
    console.print(f"resumed {config.workdir} at step {meta['step']}", markup=False)
    return restored, meta["batches"]


class _Pace:
    """How fast it goes, and what share of the time is spent waiting for data."""

    def __init__(self, step: int, batch_size: int) -> None:
        self.step, self.batch_size, self.time = step, batch_size, time.perf_counter()
        self.waited = 0.0

    @contextmanager
    def data_wait(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        began = time.perf_counter()
        yield
        self.waited += time.perf_counter() - began

    def measure(self, step: int) -> dict[str, float]:
        """Return the figures since the last measurement."""
        now = time.perf_counter()
        steps, seconds, waited = step - self.step, now - self.time, self.waited
        self.step, self.time, self.waited = step, now, 0.0
        return {
            "steps_per_second": steps / seconds,
            "crops_per_second": steps * self.batch_size / seconds,
            "data_wait": waited / seconds,
        }


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


def _count(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
