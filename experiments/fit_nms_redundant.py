"""Learn pose NMS from real redundant poses and measure it on photographs it has not seen.

    python experiments/fit_nms_redundant.py

A pose network (TinyPose) on every box of a detector (NanoDet-Plus) on photographs of COCO, before
any NMS: 16,689 poses on 800 training photographs to learn from, 7,164 on the 338 validation
photographs to test on. Neither network has seen them. Score = box score x mean confidence above
0.2. Can be stopped and started again. Writes experiments/results/fit_nms_coco.json and, of the last
grids, fit_nms_coco_pairs.png; the trace of all grids goes to runs/fit_nms_redundant.
"""

import argparse
import shutil
from pathlib import Path

from rmpe_jax.config import example_data
from rmpe_jax.evaluation.fit_nms import fit_nms
from rmpe_jax.evaluation.nms_comparison import table

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the search and keep its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--out", type=Path, default=Path("runs/fit_nms_redundant"))
    arguments = parser.parse_args()
    poses = arguments.data / "redundant_poses"
    annotations = arguments.data / "coco_pose" / "annotations"
    result = fit_nms(
        poses / "tinypose_on_nanodet_coco_train_first800.npz",
        annotations / "person_keypoints_train.json",
        arguments.out,
        test_poses=poses / "tinypose_on_nanodet_coco_val.npz",
        test_annotations=annotations / "person_keypoints_val.json",
        only_with_poses=True,
    )
    shutil.copy(arguments.out / "fit_nms.json", RESULTS / "fit_nms_coco.json")
    shutil.copy(arguments.out / "pairs.png", RESULTS / "fit_nms_coco_pairs.png")
    print(table(result))


if __name__ == "__main__":
    main()
