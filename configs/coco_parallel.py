"""The parallel SPPE of configs/coco_rmpe.py: a 4-stack hourglass on well-centred people.

    rmpe train configs/coco_parallel.py --data.root DIR

Fang et al., RMPE (ICCV 2017), use a public 4-stack network trained on MPII; this trains one on
COCO train2017 in the annotated boxes, with their optimiser. For a GPU or TPU; not yet run to the
end by us.
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
)

PEOPLE = 149_813
BATCH = 32

config = Config(
    workdir="runs/coco_parallel",
    data=DataConfig(source="coco", threads=16),
    augment=AugmentConfig(extend=0.3, scale=0.0, turn_probability=0.0, gain=0.4),
    model=ModelConfig(
        family="hourglass", stacks=4, input_height=256, input_width=256, normalise="none"
    ),
    optimiser=OptimiserConfig(
        name="rmsprop", learning_rate=2.5e-4, schedule="steps", milestones=(2 / 3,), decay=0.2
    ),
    train=TrainConfig(
        steps=30 * PEOPLE // BATCH,
        batch_size=BATCH,
        sigma=1.75,
        log_every=100,
        evaluate_every=5 * PEOPLE // BATCH,
        checkpoint_every=2000,
    ),
)
