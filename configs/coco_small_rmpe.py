"""RMPE on 2,155 photographs of COCO, for two CPU cores, from the network of coco_small.

    rmpe train configs/coco_small.py --data.root DIR
    rmpe train configs/coco_small_rmpe.py --data.root DIR

Boxes are jittered as the authors' detector jitters them, in training and in evaluation. Stage 1
gets the pose network used to such boxes; stage 2 puts the symmetric transformer about it, with
stage 1's network as the frozen parallel SPPE. The same steps without: --stages.1.transformer False
--workdir runs/coco_small_plain.

22 minutes on 2 cores of an AMD EPYC (beside other work) reached AP 0.286 on the 338 test
photographs in jittered boxes, and as much without the transformer; mean |theta - theta*| is 0.163,
that of the identity 0.178.
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
    workdir="runs/coco_small_rmpe",
    data=DataConfig(
        source="coco",
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
    ),
    augment=AugmentConfig(
        extend=0.3, scale=0.0, jitter=1.0, turn_degrees=20.0, gain=0.2, contrast=0.1
    ),
    model=ModelConfig(
        family="pyramid",
        depth=18,
        trunk_stages=3,
        frozen_stages=1,
        stored_statistics=True,
        input_height=128,
        input_width=96,
        stn=STNConfig(form="affine", network="pose"),
    ),
    optimiser=OptimiserConfig(
        name="muon", trunk_rate=0.25, warmup_steps=50, clip_norm=5.0, ema=0.995
    ),
    train=TrainConfig(
        batch_size=16,
        loss="cross_entropy",
        sigma=0.75,
        start_from="runs/coco_small",
        parallel_weight=2.0,
    ),
    evaluation=EvaluationConfig(flip=True, blur=1.0, jitter=1.0),
    stages=(
        StageConfig("sppe", steps=1000, learning_rate=4e-3, transformer=False),
        StageConfig("sstn", steps=800, learning_rate=3e-3),
    ),
)
