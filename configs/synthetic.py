"""The first run: a small network on drawn people, from nothing to a picture.

    rmpe train configs/synthetic.py

Trains PyramidPose (ResNet-18 to stride 16, from scratch) at 128x96 on 1,000 drawn images and
evaluates on 200 held-out ones. Time and result: see experiments/LOG.md.
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
)

config = Config(
    workdir="runs/synthetic",
    data=DataConfig(source="synthetic", synthetic_train=1000, synthetic_validation=200),
    augment=AugmentConfig(scale=0.2, turn_degrees=20.0),
    model=ModelConfig(
        family="pyramid", depth=18, trunk_stages=3, head_width=64, input_height=128, input_width=96
    ),
    optimiser=OptimiserConfig(learning_rate=2e-3, warmup_steps=50, clip_norm=1.0, ema=0.99),
    train=TrainConfig(steps=800, batch_size=32, sigma=1.5, checkpoint_every=200),
    evaluation=EvaluationConfig(flip=False),
)
