"""Learning to find people: windows of photographs to boxes."""

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from rmpe_jax import drawing
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
from rmpe_jax.models.variables import started_from
from rmpe_jax.records import Variables
from rmpe_jax.training.detector_lesson import detector_lesson
from rmpe_jax.training.sharding import Layout
from rmpe_jax.training.task import Outcome, Task

SHEET_PHOTOGRAPHS = 12
SHOWN = 0.3  # score above which boxes are drawn


def detector_task(config: Config, workdir: Path, layout: Layout, console: Console) -> Task:
    """Prepare the data and build the detector; what is wrong with the settings is found here."""
    trained_commit = commit()
    module = build_detector(config.model, norm_axis=layout.norm_axis)
    train, validation = (prepare(config.data, split) for split in ("train", "validation"))
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
            process_index=layout.process_index,
            process_count=layout.process_count,
        )

    def model_of(step: int, variables: Variables) -> DetectorModel:
        return DetectorModel(variables, module, config, {"step": step, **facts})

    def measure(step: int, variables: Variables) -> float:
        model = model_of(step, variables)
        return human_boxes.evaluate(model, validation, console=console)[0]["AP"]

    def finish(step: int, variables: Variables) -> Outcome:
        model = model_of(step, variables)
        result, found = human_boxes.evaluate(model, validation, console=console)
        workdir.mkdir(parents=True, exist_ok=True)
        boxes, sheet = workdir / "boxes.json", workdir / "contact_sheet.png"
        boxes.write_text(json.dumps(found))
        drawing.write(sheet, contact_sheet(model, validation))
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
        lesson=detector_lesson(module, config, groups=layout.norm_groups),
        inputs=lambda batch: batch,
        fixed=None,
        measure=measure,
        finish=finish,
    )


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
