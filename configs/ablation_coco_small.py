"""The paper's Table 3 on photographs, for two CPU cores: 2,155 to learn from, 338 to test on.

    rmpe ablate configs/ablation_coco_small.py --data.root DIR

DIR is that of configs/coco_small.py. The trunk starts from ImageNet. Boxes are of NanoDet-Plus and
of FastestDet, neither of which has seen any of these photographs, and of the package's detector.
Thresholds leave as many boxes a person as the authors used (2.5). A tenth of the training
photographs is kept from training, to learn pose NMS on.
"""

from rmpe_jax.config import (
    AblationConfig,
    AugmentConfig,
    BoxesConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimiserConfig,
    StageConfig,
    STNConfig,
    TrainConfig,
    example_data,
)

DETECTIONS = example_data() / "detections"

config = Config(
    workdir="runs/ablation_coco_small",
    data=DataConfig(
        source="coco",
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
        folds=10,
    ),
    augment=AugmentConfig(
        extend=0.3, scale=0.0, turn_degrees=20.0, turn_probability=0.5, gain=0.2, contrast=0.1
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
        stn=STNConfig(form="affine", network="pose"),
    ),
    optimiser=OptimiserConfig(
        name="muon",
        trunk_rate=0.25,
        weight_decay=0.01,
        warmup_steps=50,
        clip_norm=5.0,
        ema=0.995,
    ),
    train=TrainConfig(
        batch_size=16, loss="cross_entropy", sigma=0.75, parallel_weight=2.0, checkpoint_every=500
    ),
    evaluation=EvaluationConfig(flip=True, blur=1.0),
    stages=(
        StageConfig("sppe", steps=1600, learning_rate=4e-3, transformer=False),
        StageConfig("sstn", steps=800, learning_rate=3e-3),
    ),
    ablation=AblationConfig(
        boxes=(
            BoxesConfig(
                "NanoDet-Plus",
                train=str(DETECTIONS / "nanodet_plus_m15x_coco_train.json"),
                validation=str(DETECTIONS / "nanodet_plus_m15x_coco_val.json"),
                threshold=0.25,
            ),
            BoxesConfig("shipped", validation="shipped", threshold=0.3),
            BoxesConfig(
                "FastestDet",
                train=str(DETECTIONS / "fastestdet_coco_train.json"),
                validation=str(DETECTIONS / "fastestdet_coco_val.json"),
                threshold=0.4,
            ),
        ),
    ),
)
