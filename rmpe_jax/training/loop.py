"""Train a pose network: one function, read from top to bottom."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
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

from rmpe_jax import drawing
from rmpe_jax.checkpoint import Checkpoints
from rmpe_jax.config import Config, to_dict
from rmpe_jax.data import images
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.data.loader import training_batches
from rmpe_jax.evaluation.run import annotated_boxes, evaluate, table
from rmpe_jax.models import weights
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Batch
from rmpe_jax.skeletons import COCO17
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.metrics import MetricWriter
from rmpe_jax.training.step import TrainState, start, train_step

SHEET_PHOTOGRAPHS = 12
SECONDS_BETWEEN_LINES = 20  # where the output is a file and a progress bar would not show


class NonFiniteLossError(RuntimeError):
    """The loss became infinite or not a number; the run stopped."""


def train(config: Config) -> dict[str, Any]:
    """Train, evaluate, save; return the evaluation's result.

    Everything lands in `config.workdir`: checkpoints/, metrics.jsonl, result.json,
    records.json (COCO results), contact_sheet.png, config.json. A run that was stopped at any
    moment goes on from its newest checkpoint when the same command is given again.
    """
    console = Console()
    workdir = Path(config.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "config.json").write_text(json.dumps(to_dict(config), indent=2))
    skeleton = COCO17

    # Data.
    train_source = prepare(config.data, "train")
    validation_source = prepare(config.data, "validation")

    # Model and optimiser.
    module = build(config.model, len(skeleton.joints))
    optimiser = optimisers.build(config)
    key = jax.random.key(config.train.seed)
    variables = initialise(key, module, config.model)
    if config.model.trunk_weights:
        variables, report = weights.load_trunk(variables, Path(config.model.trunk_weights))
        console.print(str(report))
    state = start(variables, optimiser, key, ema=config.optimiser.ema)
    del variables

    # Where an earlier run stopped.
    checkpoints = Checkpoints(workdir / "checkpoints", keep=config.train.keep)
    if checkpoints.steps():
        state = _restored(checkpoints, state, config, train_source, console)
    first = int(state.step)
    batches = training_batches(
        train_source,
        skeleton,
        config.data,
        config.augment,
        height=config.model.input_height,
        width=config.model.input_width,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        start=first,
    )
    update = jax.jit(
        partial(train_step, module=module, optimiser=optimiser, config=config), donate_argnums=0
    )

    def saved(state: TrainState) -> None:
        meta = {"config": to_dict(config), "data_fingerprint": train_source.fingerprint}
        checkpoints.save(int(state.step), state, state.evaluated, meta)

    def evaluated(state: TrainState) -> tuple[dict[str, Any], list[dict[str, Any]], PoseModel]:
        meta = {"step": int(state.step)}
        model = PoseModel(state.evaluated, module, config, skeleton, meta)
        result, records = evaluate(model, validation_source)
        return result, records, model

    # The loop.
    schedule = optimisers.learning_rate(config.optimiser, config.train.steps)
    console.print(
        f"{len(train_source.person_index)} people in {len(train_source)} photographs; "
        f"{_count(state.params) / 1e6:.2f} M parameters; {jax.device_count()} "
        f"{jax.devices()[0].platform} device(s); step {first} of {config.train.steps}"
    )
    with (
        MetricWriter(workdir, first_step=first) as writer,
        _progress(console) as progress,
        _stop_requests() as stop_requested,
    ):
        bar = progress.add_task("Training", total=config.train.steps, completed=first, loss="-")
        last_save = last_log = last_line = time.perf_counter()
        waiting: tuple[Batch, dict[str, jax.Array]] | None = None
        for step in range(first + 1, config.train.steps + 1):
            batch = next(batches)
            state, metrics = update(state, batch)
            # The step before is looked at while this one runs on the device.
            if waiting is not None:
                _check(step - 1, *waiting)
            waiting = (batch, metrics)
            if step % config.train.log_every == 0 or step == config.train.steps:
                now = time.perf_counter()
                values = {name: float(value) for name, value in metrics.items()}
                values["learning_rate"] = float(np.asarray(schedule(step - 1)))
                values["crops_per_second"] = (
                    config.train.log_every * config.train.batch_size / (now - last_log)
                )
                last_log = now
                writer.write(step, values)
                progress.update(bar, loss=f"{values['loss']:.5f}")
                if not console.is_terminal and now - last_line > SECONDS_BETWEEN_LINES:
                    last_line = now
                    left = (config.train.steps - step) * config.train.batch_size
                    console.print(
                        f"step {step} of {config.train.steps}, loss {values['loss']:.5f}, "
                        f"{values['crops_per_second']:.0f} crops/s, "
                        f"{left / values['crops_per_second'] / 60:.0f} min left"
                    )
            progress.update(bar, completed=step)
            due = time.perf_counter() - last_save > config.train.checkpoint_seconds
            last = step == config.train.steps
            if stop_requested() or last or due or step % config.train.checkpoint_every == 0:
                _check(step, *waiting)  # a checkpoint never holds a broken state
                saved(state)
                last_save = time.perf_counter()
            if stop_requested():
                checkpoints.close()
                raise SystemExit(
                    f"stopped at step {step} of {config.train.steps}, saved in {workdir}; "
                    "the same command goes on from there"
                )
            every = config.train.evaluate_every
            if every and step % every == 0 and not last:
                result, _, _ = evaluated(state)
                writer.write(step, {"AP": result["AP"]})
                progress.console.print(f"step {step}: AP {result['AP']:.3f}")
    checkpoints.close()

    # The outcome.
    result, records, model = evaluated(state)
    (workdir / "result.json").write_text(json.dumps(result, indent=2))
    (workdir / "records.json").write_text(json.dumps(records))
    sheet = workdir / "contact_sheet.png"
    cv2.imwrite(str(sheet), contact_sheet(model, validation_source)[:, :, ::-1])
    console.print(table(result), soft_wrap=True, highlight=False)
    console.print(f"result: {workdir / 'result.json'}, pictures: {sheet}")
    return result


def contact_sheet(model: PoseModel, source: PhotographSource) -> np.ndarray:
    """Return a picture of the first photographs with the poses found in the annotated boxes."""
    tiles = []
    for index in range(min(SHEET_PHOTOGRAPHS, len(source))):
        photograph = source[index]
        image = images.pixels(photograph)
        poses = model(image, annotated_boxes(photograph.persons).boxes_px)
        tiles.append(drawing.poses(image, poses.joints_px, poses.confidence, model.skeleton))
    return drawing.contact_sheet(tiles, columns=4)


def _restored(
    checkpoints: Checkpoints,
    state: TrainState,
    config: Config,
    source: PhotographSource,
    console: Console,
) -> TrainState:
    """Return the newest saved state; says what changed since it was saved."""
    step = checkpoints.steps()[-1]
    meta = checkpoints.meta(step)
    if meta["data_fingerprint"] != source.fingerprint:
        raise ValueError(
            f"{config.workdir} was trained on other data (fingerprint "
            f"{meta['data_fingerprint']}, now {source.fingerprint}); use another --workdir, or "
            "the data it began with"
        )
    for change in differences(meta["config"], to_dict(config)):
        console.print(f"[yellow]changed since the checkpoint was written: {change}")
    state = checkpoints.restore(step, "state", state)
    console.print(f"resumed {config.workdir} at step {step}")
    return state


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the settings that differ between two nested dictionaries, as sentences."""
    found = []
    for name in sorted(set(old) | set(new)):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{name}.")
        elif (list(before) if isinstance(before, tuple) else before) != (
            list(after) if isinstance(after, tuple) else after
        ):
            found.append(f"{prefix}{name} was {before!r}, is {after!r}")
    return found


def _check(step: int, batch: Batch, metrics: dict[str, jax.Array]) -> None:
    """Raise NonFiniteLossError if a step's loss or gradient is not a number, naming its records."""
    loss, norm = float(metrics["loss"]), float(metrics["gradient_norm"])
    if np.isfinite(loss) and np.isfinite(norm):
        return
    people = [
        f"person {person} of image {image}"
        for person, image in zip(batch.person_id, batch.image_id, strict=True)
    ]
    raise NonFiniteLossError(
        f"step {step} has loss {loss} and gradient norm {norm}. Its batch held "
        f"{', '.join(people)}. The last checkpoint is from before and is whole: look at these "
        "records, lower --optimiser.learning-rate or set --optimiser.clip-norm 1, and start again."
    )


@contextmanager
def _stop_requests() -> Iterator[Any]:
    """Turn Ctrl-C and SIGTERM into a question the loop can ask; the second one is obeyed at once.

    Only the main thread may install handlers; elsewhere the question is always answered no.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, previous[number])

    previous: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    except ValueError:
        previous = {}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
