"""Fit the pose-guided proposals generator to COCO and measure it on photographs it has not seen.

    python experiments/fit_pgpg_coco.py

Atoms from the 149,813 labelled people of COCO train2017 (poses only), offsets from the boxes of
NanoDet-Plus on 2,155 photographs. The fit that is kept has its number of atoms at the elbow; the
others say what the number of atoms and the prior of an atom's mixture are worth. Writes
experiments/results/pgpg_coco_small.json (the fitted file), pgpg_coco_small_atoms.png and
_offsets.png (drawn people and curves), and pgpg_coco_small_fit.json.
"""

import argparse
import json
import platform
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rmpe_jax.config import example_data
from rmpe_jax.data.fit_pgpg import FitSettings, fit_pgpg, table
from rmpe_jax.evaluation.run import commit

RESULTS = Path(__file__).parent / "results"
OTHERS = (
    {"atoms": 8},
    {"atoms": 40},
    {"atoms": 20, "least_pairs": 50},
    {"atoms": 20, "prior": 0.0},
    {"atoms": 20, "prior": 800.0},
)


def main() -> None:
    """Run the fits and keep what they tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    arguments = parser.parse_args()
    data = arguments.data
    files = {
        "annotations": data / "coco_pose" / "annotations" / "person_keypoints_train.json",
        "detections": data / "detections" / "nanodet_plus_m15x_coco_train.json",
        "poses": data / "coco_train2017_kpt_labels" / "coco_train2017_keypoints.npz",
    }
    settings = FitSettings()
    kept = fit_pgpg(RESULTS / "pgpg_coco_small.json", **files, settings=settings)
    print(table(kept))
    others: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for changed in OTHERS:
            # The poses of the same photographs: clustering all of them again would change little.
            own = {name: path for name, path in files.items() if name != "poses"}
            out = Path(folder) / "other.json"
            result = fit_pgpg(out, **own, settings=replace(settings, **changed))
            others.append({"settings": changed, **_short(result)})
            print(table(result))
    told = {
        "hardware": f"{platform.machine()}, {platform.system()}",
        "commit": commit(),
        "settings": asdict(settings),
        **kept,
        "other_settings": others,
    }
    (RESULTS / "pgpg_coco_small_fit.json").write_text(json.dumps(told, indent=2) + "\n")


def _short(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("pairs_of_atoms", "components", "held_out", "seconds")}


if __name__ == "__main__":
    main()
