"""The pose network of the package: coco_small_taught, which learns to look at 192 x 144 pixels.

    rmpe train configs/coco_small_taught.py --data.root DIR
    rmpe train configs/coco_small_shipped.py --data.root DIR
    rmpe pack runs/coco_small_shipped --out rmpe_jax/shipped/pose.safetensors

Most of what there is to learn is learned at 128 x 96, in less than half of the time.
"""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import EvaluationConfig, load

taught = load(str(Path(__file__).with_name("coco_small_taught.py")))
config = replace(
    taught,
    workdir="runs/coco_small_shipped",
    model=replace(taught.model, input_height=192, input_width=144, trunk_weights=None),
    optimiser=replace(taught.optimiser, learning_rate=1.5e-3),
    train=replace(
        taught.train,
        steps=5000,
        sigma=1.0,
        start_from=taught.workdir,
        evaluate_every=0,
        checkpoint_every=250,
    ),
    evaluation=EvaluationConfig(blur=1.5),
)
