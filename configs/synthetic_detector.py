"""A human detector for drawn people, trained for some minutes only: its boxes are meant to err.

    rmpe train configs/synthetic_detector.py

configs/ablation_synthetic.py uses it.
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
)

config = Config(
    workdir="runs/synthetic_detector",
    data=DataConfig(source="synthetic", synthetic_train=1000, synthetic_validation=200),
    augment=AugmentConfig(gain=0.1),
    model=ModelConfig(
        family="detector", depth=10, head_width=64, input_height=192, input_width=192
    ),
    optimiser=OptimiserConfig(
        name="muon", learning_rate=5e-3, warmup_steps=20, clip_norm=5.0, ema=0.98
    ),
    train=TrainConfig(steps=200, batch_size=8, checkpoint_every=200),
)
