"""coco_small with a teacher and a better optimiser.

    python experiments/teach.py --out runs/teacher
    rmpe train configs/coco_small_taught.py --data.root DIR

DIR is that of configs/coco_small.py. PP-TinyPose, which has seen the people of COCO train2017 but
none of these photographs, looks at everybody once (10 to 30 minutes); its heat-maps are learned
beside the labelled joints. configs/coco_small_shipped.py goes on from here.
"""

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
    example_data,
)

config = Config(
    workdir="runs/coco_small_taught",
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
        input_height=128,
        input_width=96,
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
    train=TrainConfig(
        steps=10000,
        batch_size=16,
        loss="cross_entropy",
        sigma=0.75,
        teacher="runs/teacher",
        evaluate_every=2500,
        checkpoint_every=500,
    ),
    evaluation=EvaluationConfig(blur=1.0),
)
