"""The pose network of the package: coco_small_taught, which learns to look at 192 x 144 pixels.

    rmpe train configs/coco_small_taught.py --data.root DIR
    rmpe train configs/coco_small_shipped.py --data.root DIR
    rmpe pack runs/coco_small_shipped --out rmpe_jax/shipped/pose.safetensors

Most of what there is to learn is learned at 128 x 96, in less than half of the time.
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
    workdir="runs/coco_small_shipped",
    data=DataConfig(
        source="coco",
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
    ),
    augment=AugmentConfig(
        scale=0.25,
        shift=0.05,
        turn_degrees=30.0,
        half_body_probability=0.1,
        gain=0.2,
        contrast=0.2,
    ),
    model=ModelConfig(
        family="pyramid",
        depth=18,
        trunk_stages=3,
        frozen_stages=1,
        stored_statistics=True,
        input_height=192,
        input_width=144,
    ),
    optimiser=OptimiserConfig(
        name="muon",
        learning_rate=1.5e-3,
        trunk_rate=0.25,
        weight_decay=0.01,
        clip_norm=5.0,
        ema=0.998,
    ),
    train=TrainConfig(
        steps=2500,
        batch_size=16,
        loss="cross_entropy",
        sigma=1.0,
        start_from="runs/coco_small_taught",
        teacher="runs/teacher",
        evaluate_every=0,
        checkpoint_every=250,
    ),
    evaluation=EvaluationConfig(blur=1.0),
)
