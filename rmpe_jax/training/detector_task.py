"""Learning to find people: windows of photographs to boxes."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float
from rich.console import Console

from rmpe_jax import detection_losses, drawing
from rmpe_jax.config import Config
from rmpe_jax.data import images
from rmpe_jax.data.batches import Batches
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.data.detector_batches import DetectorBatch, detector_batches
from rmpe_jax.evaluation import human_boxes
from rmpe_jax.evaluation.run import commit
from rmpe_jax.human_detector import DetectorModel
from rmpe_jax.models import weights
from rmpe_jax.models.build import build_detector
from rmpe_jax.models.detector import points_px
from rmpe_jax.models.variables import learning, started_from
from rmpe_jax.records import Variables
from rmpe_jax.training.step import TrainState, advanced
from rmpe_jax.training.task import Outcome, Task

SHEET_PHOTOGRAPHS = 12
SHOWN = 0.3  # score above which boxes are drawn
BOX_WEIGHT = 2.0  # of the boxes' loss beside the scores' (Li et al., Generalized Focal Loss)


def detector_task(
    config: Config, workdir: Path, optimiser: optax.GradientTransformation, console: Console
) -> Task:
    """Prepare the data and build the detector; what is wrong with the settings is found here."""
    trained_commit = commit()
    module = build_detector(config.model)
    train, validation = (prepare(config.data, split) for split in ("train", "validation"))
    step = jax.jit(
        partial(detector_step, module=module, optimiser=optimiser, config=config), donate_argnums=0
    )
    facts = {
        "data_fingerprint": train.fingerprint,
        "skeleton": train.skeleton._asdict(),
        "commit": trained_commit,
    }

    def batches(start: int) -> Batches[DetectorBatch]:
        return detector_batches(
            train,
            config.data,
            config.augment,
            side=config.model.input_height,
            batch_size=config.train.batch_size,
            seed=config.train.seed,
            start=start,
        )

    def model_of(state: TrainState) -> DetectorModel:
        return DetectorModel(state.evaluated, module, config, {"step": int(state.step), **facts})

    def measure(state: TrainState) -> float:
        return human_boxes.evaluate(model_of(state), validation, console=console)[0]["AP"]

    def finish(state: TrainState) -> Outcome:
        result, found = human_boxes.evaluate(model_of(state), validation, console=console)
        workdir.mkdir(parents=True, exist_ok=True)
        boxes, sheet = workdir / "boxes.json", workdir / "contact_sheet.png"
        boxes.write_text(json.dumps(found))
        drawing.write(sheet, contact_sheet(model_of(state), validation))
        unfinished = workdir / "result.json.new"
        unfinished.write_text(json.dumps(result, indent=2))
        unfinished.replace(workdir / "result.json")
        return Outcome(result, human_boxes.table(result), [sheet, boxes, workdir / "result.json"])

    people = sum(int((~entry.persons.is_crowd).sum()) for entry in train.annotations())
    return Task(
        module=module,
        about=f"{people} people in {len(train)} photographs",
        facts=facts,
        check=lambda meta: None,
        first=lambda variables: _first_weights(variables, config, console),
        batches=batches,
        update=step,
        measure=measure,
        finish=finish,
    )


def detector_step(
    state: TrainState,
    batch: DetectorBatch,
    *,
    module: nn.Module,
    optimiser: optax.GradientTransformation,
    config: Config,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Return the state after `batch`, and the metrics of the step.

    Losses are sums over all points of the batch divided by the number of those with a person.
    """
    images_ = jnp.asarray(batch.window, jnp.float32) / 255
    points, strides = (jnp.asarray(a, jnp.float32) for a in points_px(*batch.window.shape[1:3]))
    targets = jax.vmap(partial(detection_losses.assign, points, strides))(
        batch.boxes_px, batch.valid, batch.crowd
    )

    def loss_of(params: Variables) -> tuple[Float[Array, ""], Any]:
        variables = {"params": learning(config.model, params), "batch_stats": state.batch_stats}
        found, updated = module.apply(variables, images_, train=True, mutable=["batch_stats"])
        parts = jax.vmap(detection_losses.losses)(
            found.logit, found.boxes_px, batch.boxes_px, targets
        )
        score, box, count = (jnp.sum(part) for part in parts)
        score, box = score / jnp.maximum(count, 1), box / jnp.maximum(count, 1)
        details = {"loss_score": score, "loss_box": box, "points_with_a_person": count}
        return score + BOX_WEIGHT * box, (updated["batch_stats"], details)

    (loss, (batch_stats, details)), gradient = jax.value_and_grad(loss_of, has_aux=True)(
        state.params
    )
    state, metrics = advanced(state, gradient, batch_stats, optimiser, decay=config.optimiser.ema)
    return state, {"loss": loss, **metrics, **details}


def contact_sheet(model: DetectorModel, source: PhotographSource) -> np.ndarray:
    """Return a picture of the first photographs with the boxes found."""
    tiles = []
    for row in range(min(SHEET_PHOTOGRAPHS, len(source))):
        image = images.pixels(source[row])
        found = model(image)
        shown = found.score >= SHOWN
        labels = [f"{score:.2f}" for score in found.score[shown]]
        tiles.append(drawing.boxes(image, found.boxes_px[shown], labels))
    return drawing.contact_sheet(tiles, columns=4)


def _first_weights(variables: Variables, config: Config, console: Console) -> Variables:
    """Return random variables with ImageNet's weights in the trunk, if there is a file."""
    if not config.model.trunk_weights:
        return variables
    loaded, report = weights.load_trunk(variables, Path(config.model.trunk_weights))
    console.print(str(report), highlight=False, markup=False)
    return started_from(variables, loaded, where=config.model.trunk_weights)
