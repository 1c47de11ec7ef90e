"""Settings of a table that is small enough for tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rmpe_jax.config import (
    AblationConfig,
    BoxesConfig,
    Config,
    ModelConfig,
    StageConfig,
    STNConfig,
)
from rmpe_jax.data.dataset import prepare
from rmpe_jax.data.jitter import jittered
from rmpe_jax.evaluation import human_boxes
from rmpe_jax.records import Detections
from rmpe_jax.training.workdir import write_json
from tests import small

JITTER = 0.5  # of the boxes that stand for a detector's


def config(folder: Path) -> Config:
    """Return the settings of a table below `folder`, with boxes from files that it writes."""
    plain = small.config(folder)
    made = replace(
        plain,
        workdir=str(folder / "table"),
        data=replace(plain.data, synthetic_train=140, synthetic_validation=6, folds=9),
        model=ModelConfig(
            family="pyramid",
            depth=10,
            trunk_stages=2,
            head_width=8,
            input_height=32,
            input_width=32,
            stn=STNConfig("affine", "pose"),
        ),
        evaluation=replace(plain.evaluation, flip=False),
        stages=(
            StageConfig("sppe", steps=3, learning_rate=1e-3, transformer=False),
            StageConfig("sstn", steps=2, learning_rate=1e-3),
        ),
    )
    files = {}
    for split in ("train", "validation"):
        records = boxes(made, split)
        files[split] = str(folder / f"{split}_boxes.json")
        write_json(Path(files[split]), records)
    columns = (BoxesConfig("files", **files), BoxesConfig("moved", jitter=1.0))
    return replace(made, ablation=AblationConfig(columns, most=6, atoms=1))


def boxes(config: Config, split: str) -> list[dict]:
    """Return two boxes of each person, near the annotated one, as COCO results."""
    found = []
    for entry in prepare(replace(config.data, folds=1), split).annotations():
        generator = np.random.default_rng([3, entry.image_id])
        size = (entry.height, entry.width)
        near = [
            jittered(generator, box, *size, JITTER) for box in entry.persons.boxes_px for _ in "ab"
        ]
        boxes_px = np.array(near).reshape(-1, 4)
        count = len(boxes_px)
        score = np.linspace(0.9, 0.3, count) if count else np.zeros(0)
        detections = Detections(boxes_px, score, np.ones(count, bool))
        found += human_boxes.records(detections, entry.image_id)
    return found
