"""RMPE on drawn people: the pose network alone, then the transformer and the parallel SPPE.

    rmpe train configs/synthetic_rmpe.py

Boxes are jittered as the authors' detector jitters them, in training and in evaluation. Stage 1
trains the pose network; stage 2 puts the STN before and the SDTN behind it, and stage 1's network,
frozen, beside it, where it tells the STN to centre people. What the parallel SPPE adds is seen
without it (--stages.1.parallel False --workdir runs/synthetic_stn), what the transformer adds
with --stages.1.transformer False.

27 minutes on 2 cores of an AMD EPYC reached AP 0.717 on 200 held-out drawings in jittered boxes,
0.705 without the parallel SPPE, 0.701 without the transformer, with as many steps. Mean |theta -
theta*| is 0.088; the identity has 0.180.
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

config = Config(
    workdir="runs/synthetic_rmpe",
    data=DataConfig(source="synthetic", synthetic_train=1000, synthetic_validation=200),
    augment=AugmentConfig(
        extend=0.3, scale=0.0, jitter=1.0, turn_degrees=15.0, turn_probability=0.3, gain=0.1
    ),
    model=ModelConfig(
        family="pyramid",
        depth=10,
        trunk_stages=3,
        input_height=128,
        input_width=96,
        stn=STNConfig(form="affine", network="pose"),
    ),
    optimiser=OptimiserConfig(
        name="muon", learning_rate=5e-3, warmup_steps=50, clip_norm=5.0, ema=0.99
    ),
    train=TrainConfig(batch_size=16, loss="cross_entropy", sigma=0.7, parallel_weight=2.0),
    evaluation=EvaluationConfig(flip=True, blur=1.0, jitter=1.0),
    stages=(
        StageConfig("sppe", steps=2000, learning_rate=5e-3, transformer=False),
        StageConfig("sstn", steps=1200, learning_rate=4e-3),
    ),
)
