"""SimpleBaseline on ResNet-50, 256x192, COCO train2017: the field's common yardstick.

    rmpe train configs/coco.py --data.root DIR --model.trunk-weights resnet50.pth

140 passes over 149,813 people at batch 128, Adam 1e-3 with drops after 90 and 120 passes, as
Xiao et al., Simple Baselines for Human Pose Estimation (2018), who report AP 0.704 on val2017
with a detector's boxes (56.4 AP) and the flip test. For a GPU: not for a laptop, and not yet
run to the end by us. DIR holds train2017/, val2017/ and annotations/; the ImageNet weights are
torchvision's; leave the option out to train from nothing.
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
)

PASSES = 140
PEOPLE = 149_813
BATCH = 128

config = Config(
    workdir="runs/coco",
    data=DataConfig(source="coco", threads=16),
    augment=AugmentConfig(scale=0.35, turn_degrees=40.0, half_body_probability=0.3),
    model=ModelConfig(family="simple_baseline", depth=50, input_height=256, input_width=192),
    optimiser=OptimiserConfig(
        name="adam",
        learning_rate=1e-3,
        schedule="steps",
        milestones=(90 / PASSES, 120 / PASSES),
        warmup_steps=500,
    ),
    train=TrainConfig(
        steps=PASSES * PEOPLE // BATCH,
        batch_size=BATCH,
        sigma=2.0,
        log_every=100,
        evaluate_every=10 * PEOPLE // BATCH,
        checkpoint_every=2000,
    ),
)
