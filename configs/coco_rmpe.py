"""RMPE at the paper's size on COCO train2017: 8-stack main, 4-stack parallel, ResNet-18 STN.

    rmpe train configs/coco_parallel.py --data.root DIR
    rmpe train configs/coco_rmpe.py --data.root DIR

The authors' recipe (Fang et al., RMPE, ICCV 2017, and their multi-human-pose code): 256x256,
RMSprop at batch 5; 20 + 10 epochs of 8,000 steps at 2.5e-4 and 0.5e-4 for the pose network, then as
many at 0.5e-4 and 0.1e-4 with transformer and parallel SPPE, every loss with weight 1. Boxes are
jittered by their published Gaussian. For a GPU or TPU; not yet run to the end by us. The paper
reports AP 0.618 on test-dev with its own detector.
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimiserConfig,
    StageConfig,
    STNConfig,
    TrainConfig,
)

EPOCH = 8000  # steps

config = Config(
    workdir="runs/coco_rmpe",
    data=DataConfig(source="coco", threads=16),
    augment=AugmentConfig(extend=0.3, scale=0.0, jitter=1.0, turn_probability=0.0, gain=0.4),
    model=ModelConfig(
        family="hourglass",
        stacks=8,
        input_height=256,
        input_width=256,
        normalise="none",
        stn=STNConfig(form="affine", network="resnet18"),
    ),
    optimiser=OptimiserConfig(
        name="rmsprop",
        schedule="steps",
        milestones=(2 / 3,),
        decay=0.2,
        warmup_steps=0,
    ),
    train=TrainConfig(
        batch_size=5,
        sigma=1.75,
        parallel="runs/coco_parallel",
        log_every=100,
        evaluate_every=5 * EPOCH,
        checkpoint_every=2000,
    ),
    evaluation=EvaluationConfig(jitter=1.0),
    stages=(
        StageConfig("sppe", steps=30 * EPOCH, learning_rate=2.5e-4, transformer=False),
        StageConfig("sstn", steps=30 * EPOCH, learning_rate=0.5e-4),
    ),
)
