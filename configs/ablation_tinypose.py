"""The paper's Table 3 with a pose network from outside: PP-TinyPose as main and parallel SPPE.

    rmpe ablate configs/ablation_tinypose.py --data.root DIR

DIR is that of configs/ablation_coco_small.py. The network (1.3 M parameters, 256 x 192) has learned
from COCO train2017 and AI Challenger, none of these photographs; it is read from a file and goes on
learning, as the paper's SPPE does: with proposals, then with the transformer about it.
"""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import (
    AblationConfig,
    AugmentConfig,
    BoxesConfig,
    ModelConfig,
    OptimiserConfig,
    StageConfig,
    STNConfig,
    TrainConfig,
    example_data,
    load,
)

table = load(str(Path(__file__).with_name("ablation_coco_small.py")))
config = replace(
    table,
    workdir="runs/ablation_tinypose",
    augment=AugmentConfig(
        extend=0.25, scale=0.0, turn_degrees=20.0, turn_probability=0.5, gain=0.2
    ),
    model=ModelConfig(
        family="graph",
        graph=str(example_data() / "weights/tinypose_256x192.param"),
        input_height=256,
        input_width=192,
        stn=STNConfig(form="affine", network="pose"),
    ),
    optimiser=OptimiserConfig(name="adam", warmup_steps=50, clip_norm=1.0, ema=0.99),
    train=TrainConfig(
        batch_size=8, loss="squared", sigma=2.0, parallel_weight=1.0, checkpoint_every=100
    ),
    evaluation=replace(table.evaluation, blur=0.0),
    stages=(
        StageConfig("sppe", steps=500, learning_rate=2e-4, transformer=False),
        StageConfig("sstn", steps=500, learning_rate=2e-4),
    ),
    ablation=AblationConfig(
        boxes=(
            *(one for one in table.ablation.boxes if one.name != "shipped"),
            BoxesConfig("jittered", jitter=1.0),
        ),
    ),
)
