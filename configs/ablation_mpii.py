"""The paper's Table 3 as the paper has it: MPII, 8-stack main, 4-stack parallel, ResNet-18 STN.

    rmpe detect shipped --set mpii --split train --data.root DIR --out detections/mpii_train.json
    rmpe detect shipped --set mpii --data.root DIR --out detections/mpii_validation.json
    rmpe train configs/mpii_parallel.py --data.root DIR
    rmpe ablate configs/ablation_mpii.py --data.root DIR

DIR is what `rmpe prepare mpii DIR` asks for; the two files of boxes may come from any detector that
has not seen MPII (the authors' was VGG-SSD). The authors' recipe: 256 x 256, RMSprop at batch 5,
240,000 steps for each of two stages. Nine trainings are 2.2 million steps of 5 crops; with
transformer and parallel SPPE a step has 1.25e12 floating-point operations (`rmpe plan`). On one GPU
at 10 steps a second that is 60 hours. The eight chips of a v5e-8 host with batch 80, a sixteenth of
the steps and 30 % of their bfloat16 peak would need under two. Both are arithmetic: we have not run
it. One process makes a table, over all devices of its machine.
"""

from dataclasses import replace
from pathlib import Path

from rmpe_jax.config import AblationConfig, BoxesConfig, DataConfig, load

coco = load(str(Path(__file__).with_name("coco_rmpe.py")))
config = replace(
    coco,
    workdir="runs/ablation_mpii",
    data=DataConfig(source="mpii", threads=16, folds=10),
    augment=replace(coco.augment, jitter=0.0),
    train=replace(coco.train, parallel="runs/mpii_parallel", evaluate_every=0),
    evaluation=replace(coco.evaluation, jitter=0.0),
    ablation=AblationConfig(
        boxes=(
            BoxesConfig(
                "detector",
                train="detections/mpii_train.json",
                validation="detections/mpii_validation.json",
                threshold=0.1,
            ),
        ),
        most=75,
        atoms=25,
    ),
)
