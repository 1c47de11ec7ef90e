"""A human detector for two CPU cores on 2,155 photographs of COCO.

    rmpe train configs/coco_small_detector.py --data.root DIR

DIR is that of configs/coco_small.py. The trunk starts from ImageNet (ResNet-18 to stride 16).
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
    example_data,
)

config = Config(
    workdir="runs/coco_small_detector",
    data=DataConfig(
        source="coco",
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
    ),
    augment=AugmentConfig(gain=0.2, contrast=0.1),
    model=ModelConfig(
        family="detector",
        depth=18,
        head_width=96,
        head_blocks=2,
        frozen_stages=1,
        stored_statistics=True,
        input_height=320,
        input_width=320,
        trunk_weights=str(example_data() / "weights/resnet18_imagenet_layers1to3.npz"),
    ),
    optimiser=OptimiserConfig(
        name="muon",
        learning_rate=4e-3,
        trunk_rate=0.25,
        weight_decay=0.01,
        clip_norm=5.0,
        ema=0.998,
    ),
    train=TrainConfig(steps=3000, batch_size=8, evaluate_every=0, checkpoint_every=250),
)
