"""The paper's Table 3 on drawn people: every row, with boxes of a detector trained here.

rmpe ablate configs/ablation_synthetic.py --seeds 3
"""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import (
    AblationConfig,
    BoxesConfig,
    ModelConfig,
    StageConfig,
    STNConfig,
    load,
)

base = load(str(Path(__file__).with_name("synthetic_rmpe.py")))
config = replace(
    base,
    workdir="runs/ablation_synthetic",
    data=replace(base.data, folds=10),
    augment=replace(base.augment, jitter=0.0),
    model=ModelConfig(
        family="pyramid",
        depth=10,
        trunk_stages=3,
        input_height=64,
        input_width=48,
        stn=STNConfig(form="affine", network="pose"),
    ),
    evaluation=replace(base.evaluation, jitter=0.0, blur=0.5),
    train=replace(base.train, sigma=0.5),
    stages=(
        StageConfig("sppe", steps=600, learning_rate=5e-3, transformer=False),
        StageConfig("sstn", steps=400, learning_rate=4e-3),
    ),
    ablation=AblationConfig(
        boxes=(
            BoxesConfig(
                "our detector",
                config=str(Path(__file__).with_name("synthetic_detector.py")),
                threshold=0.25,
            ),
        ),
        atoms=8,
    ),
)
