"""The pose network of the package: coco_small_192, which learns to look at 224 x 160 pixels.

rmpe train configs/coco_small_taught.py --data.root DIR
rmpe train configs/coco_small_192.py --data.root DIR
rmpe train configs/coco_small_shipped.py --data.root DIR
rmpe pack runs/coco_small_shipped --out rmpe_jax/shipped/pose.safetensors
"""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import load

smaller = load(str(Path(__file__).with_name("coco_small_192.py")))
config = replace(
    smaller,
    workdir="runs/coco_small_shipped",
    model=replace(smaller.model, input_height=224, input_width=160),
    optimiser=replace(smaller.optimiser, learning_rate=1e-3),
    train=replace(smaller.train, steps=3000, start_from=smaller.workdir),
)
