"""Train a network: one function, read from top to bottom."""

import json
import signal
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from rmpe_jax.config import Config, checked, from_dict, to_dict
from rmpe_jax.models.variables import initialise
from rmpe_jax.training import distributed
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.detector_task import detector_task
from rmpe_jax.training.metrics import MetricWriter
from rmpe_jax.training.pose_task import pose_task
from rmpe_jax.training.profile import Profile
from rmpe_jax.training.reporting import reporting
from rmpe_jax.training.saving import saver
from rmpe_jax.training.sharding import fetched, layout, one_copy
from rmpe_jax.training.stages import stage_configs
from rmpe_jax.training.step import Figures, Rows, start, train_step
from rmpe_jax.training.stop import check_finite
from rmpe_jax.training.watch import Watch
from rmpe_jax.training.workdir import differences, locked, write_json


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
    profile = Profile(config.train.profile, workdir / "profile", console)
    optimiser = optimisers.build(config)
    devices = layout(config.devices, config.train.batch_size)
    make = detector_task if config.model.family == "detector" else pose_task
    with distributed.first_alone("data"):  # who may pack them for all
        task = make(config, workdir, devices, console)
    distributed.check_agreement(config, task.facts)
    schedule = optimisers.learning_rate(config.optimiser, config.train.steps)
    saves = saver(workdir, config, task, devices)
    key, init_key = jax.random.split(jax.random.key(config.train.seed))
    variables = initialise(init_key, task.module, config.model)
    if not saves.checkpoints.steps():
        variables = task.first(variables)
    about = f"{task.about}, {_count(variables['params']) / 1e6:.2f} M parameters, on {devices}"
    state = devices.place(start(key, variables, optimiser, ema=config.optimiser.ema))
    del variables
    step_of = partial(train_step, lesson=task.lesson, optimiser=optimiser, ema=config.optimiser.ema)
    fixed = devices.place_fixed(task.fixed)

    # Where an earlier run stopped.
    state, position = saves.restored(state, console)
    first, steps = int(state.step), config.train.steps
    update = devices.compiled(step_of, state)
    state = devices.to_step(state)
    batches = task.batches(position)
    main = devices.process_index == 0
    if main:
        write_json(workdir / "config.json", to_dict(config))

    # The loop.
    console.print(f"{about}; step {first} of {steps}", highlight=False)
    with (
        closing(saves.checkpoints),  # whatever ends the loop, what went wrong in writing is said
        reporting(config, workdir, console, first=first, writes=main) as report,
        distributed.stop_requests() as stop_requested,
        watch.blames(),
        closing(profile),
    ):
        waiting: tuple[Any, Figures, Rows] | None = None
        for step in range(first + 1, steps + 1):
            profile.before(step)
            with report.pace.data_wait():
                batch = next(batches)
            state, figures, rows = update(state, devices.place_batch(task.inputs(batch)), fixed)
            if devices.must_be_awaited:
                jax.block_until_ready(figures)
            profile.after(step, figures)
            # The step before is looked at while this one runs on the device.
            if waiting is not None:
                check_finite(step - 1, *waiting)
                watch.done(step - 1)
            waiting = (batch, figures, rows)
            report.step(step)
            last = step == steps
            if step % config.train.log_every == 0 or last:
                check_finite(step, *waiting)
                rate = {"learning_rate": float(np.asarray(schedule(step - 1)))}
                report.figures(step, fetched(figures) | rate | devices.memory())
            every = config.train.evaluate_every
            stopping = stop_requested(step)
            evaluating = every > 0 and step % every == 0 and not last and not stopping
            precision = None
            if evaluating:  # before saving: the checkpoint says how good it is
                check_finite(step, *waiting)
                watch.pause()
                evaluated = one_copy(devices.from_step(state).evaluated)
                precision = distributed.of_first(task.measure(step, evaluated) if main else 0.0)
                report.evaluated(step, precision)
            # Asked in every step: all processes answer it together.
            if saves.due(step) or evaluating or stopping or last:
                check_finite(step, *waiting)  # a checkpoint never holds a broken state
                watch.pause()
                saves.save(state, step, batches.state, precision)
            if stopping:
                saves.checkpoints.wait()
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


def _count(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
