"""A run small enough for tests: drawn people, two stages of a ResNet."""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    DevicesConfig,
    EvaluationConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
)


def config(folder: Path, *, steps: int = 4) -> Config:
    """Return the settings of a run below `folder`."""
    return Config(
        workdir=str(folder / "run"),
        data=DataConfig(
            prepared=str(folder / "prepared"),
            synthetic_train=8,
            synthetic_validation=3,
            synthetic_height=96,
            synthetic_width=128,
        ),
        augment=AugmentConfig(),
        model=ModelConfig(
            family="pyramid", trunk_stages=2, head_width=16, input_height=64, input_width=64
        ),
        optimiser=OptimiserConfig(warmup_steps=1, ema=0.9, clip_norm=1.0),
        train=TrainConfig(steps=steps, batch_size=4, log_every=1, checkpoint_every=2, keep=2),
        devices=DevicesConfig(count=1),
        evaluation=EvaluationConfig(flip=True, resamples=20),
    )


def longer(config: Config, steps: int) -> Config:
    """Return the same settings with another number of steps."""
    return replace(config, train=replace(config.train, steps=steps))
