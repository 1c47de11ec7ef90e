"""The parallel SPPE of configs/ablation_mpii.py: a 4-stack hourglass on well-centred people.

    rmpe train configs/mpii_parallel.py --data.root DIR

As configs/coco_parallel.py, on MPII. For a GPU or TPU; not yet run by us.
"""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import DataConfig, load

SAMPLES = 30 * 26_000  # 30 epochs of the people who are trained on

coco = load(str(Path(__file__).with_name("coco_parallel.py")))
config = replace(
    coco,
    workdir="runs/mpii_parallel",
    data=DataConfig(source="mpii", threads=16, folds=10),
    train=replace(coco.train, steps=SAMPLES // coco.train.batch_size, evaluate_every=0),
)
