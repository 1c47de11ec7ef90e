"""What RMPE is for: how AP falls as boxes get worse, with and without the symmetric transformer.

    rmpe ablate configs/ablation_coco_small.py --data.root DIR
    python experiments/robustness.py configs/ablation_coco_small.py --data DIR

Takes the networks of two rows of a table, "full" and "without SSTN and parallel SPPE" (or another,
--against jitter), and puts every annotated person's box off until it has a given IoU with the
annotated one, always in the same way. One box a person, no pose NMS: the boxes are all that
changes. Writes experiments/results/robustness_NAME.json and .png (of another row, its name too).
"""

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rmpe_jax import config as configs
from rmpe_jax.ablation import jobs, rows, statistics
from rmpe_jax.ablation.elimination import limb_metric
from rmpe_jax.ablation.plan import plan
from rmpe_jax.config import Config
from rmpe_jax.data.box_iou import at_iou
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation import coco, human_boxes
from rmpe_jax.evaluation.metrics import COCO
from rmpe_jax.evaluation.run import commit, evaluate
from rmpe_jax.predict import load
from rmpe_jax.records import Detections

RESULTS = Path(__file__).parent / "results"
IOUS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
AGAINST = "no_sstn"
SEED = 20170424
COLOURS = ("#0072B2", "#D55E00")


def main() -> None:
    """Evaluate, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--data", help="the folder of the data set")
    parser.add_argument("--workdir", help="of the table, if not that of the configuration")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--against", default=AGAINST, choices=[name for name in rows.ROWS if name != rows.FULL]
    )
    arguments = parser.parse_args()
    config = configs.load(arguments.config)
    if arguments.data:
        config = replace(config, data=replace(config.data, root=arguments.data))
    if arguments.workdir:
        config = replace(config, workdir=arguments.workdir)
    made = measured(config, arguments.seeds, arguments.against)
    name = Path(arguments.config).stem.removeprefix("ablation_")
    name += "" if arguments.against == AGAINST else f"_{arguments.against}"
    (RESULTS / f"robustness_{name}.json").write_text(json.dumps(made, indent=1) + "\n")
    draw(made, RESULTS / f"robustness_{name}.png")
    for row in made["by_iou"]:
        told = ", ".join(f"{key} {row[key]['AP']:.3f}" for key in made["rows"])
        found = statistics.Difference(**row["gain"]["AP"])
        print(
            f"IoU {row['iou']}: AP {told}; full has {found.value:+.3f} "
            f"({found.low:+.3f} to {found.high:+.3f})"
        )


def measured(config: Config, seeds: int, against: str = AGAINST) -> dict[str, Any]:
    """Return AP and mAP of both rows at every IoU, and their paired difference."""
    names = (rows.FULL, against)
    planned = plan(config, {name: rows.ROWS[name] for name in names}, seeds)
    root = Path(config.workdir)
    missing = [job.about for job in planned.trainings.values() if jobs.seconds(job, root) is None]
    if missing:
        raise SystemExit(f"not trained yet: {missing[0]}; run rmpe ablate first")
    source = prepare(config.data, "validation")
    metric = limb_metric(source.data_set)
    by_iou = []
    for iou in IOUS:
        file = root / f"boxes_iou_{iou}.json"
        file.write_text(json.dumps(boxes(source, iou)))
        settings = replace(config.evaluation, boxes=str(file), nms="none", jitter=0.0)
        found: dict[str, list] = {}
        for (name, _), job in planned.trainings.items():
            model = load(root / job.name)
            model = replace(model, config=replace(model.config, evaluation=settings))
            found.setdefault(name, []).append(evaluate(model, source))
        told: dict[str, Any] = {"iou": iou}
        for name, some in found.items():
            told[name] = {
                "AP": float(np.mean([one.result["AP"] for one in some])),
                metric: float(np.mean([one.result[metric]["Total"] for one in some])),
            }
        told["gain"] = {
            "AP": gain(found, names, COCO, coco.NAMES.index("AP"), lambda result: result["AP"]),
            metric: gain(found, names, metric, -1, lambda result: result[metric]["Total"]),
        }
        by_iou.append(told)
    return {
        "hardware": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "commit": commit(),
        "table": Path(config.workdir).name,
        "rows": {name: rows.ROWS[name].label for name in names},
        "seeds": seeds,
        "metric": metric,
        "images": len(source),
        "data_fingerprint": source.fingerprint,
        "by_iou": by_iou,
    }


def boxes(source: PhotographSource, iou: float) -> list[dict[str, Any]]:
    """Return a box of that IoU for each person who is to be found, as COCO results."""
    found = []
    for entry in source.annotations():
        people = entry.persons.boxes_px[entry.persons.to_find]
        moved = [
            at_iou(np.random.default_rng([SEED, entry.image_id, person]), box, iou)
            for person, box in enumerate(people)
        ]
        count = len(moved)
        detections = Detections(
            np.array(moved).reshape(count, 4), np.ones(count), np.ones(count, bool)
        )
        found += human_boxes.records(detections, entry.image_id)
    return found


def gain(
    found: dict[str, list], names: tuple[str, str], metric: str, place: int, figure: Any
) -> dict[str, float]:
    """Return the first row minus the second, paired by photographs and seeds."""
    full, without = (found[name] for name in names)
    return statistics.difference(
        [figure(one.result) for one in without],
        [figure(one.result) for one in full],
        [one.draws[metric][:, place] for one in without],
        [one.draws[metric][:, place] for one in full],
    )._asdict()


def draw(made: dict[str, Any], path: Path) -> None:
    """Draw both curves, and their difference with its interval."""
    chart = Figure(figsize=(9, 3.6), layout="constrained")
    curves, gains = chart.subplots(1, 2)
    ious = [row["iou"] for row in made["by_iou"]]
    for (name, label), colour in zip(made["rows"].items(), COLOURS, strict=True):
        values = [100 * row[name]["AP"] for row in made["by_iou"]]
        curves.plot(ious, values, "o-", color=colour, label=label)
    curves.set(xlabel="IoU of the boxes with the annotated ones", ylabel="AP")
    curves.legend(fontsize="small")
    found = [statistics.Difference(**row["gain"]["AP"]) for row in made["by_iou"]]
    gains.axhline(0, color="0.6", linewidth=1)
    centre = 100 * np.array([one.value for one in found])
    ends = np.abs(100 * np.array([[one.low, one.high] for one in found]).T - centre)
    gains.errorbar(ious, centre, ends, fmt="o-", color=COLOURS[0], capsize=3)
    gains.set(
        xlabel="IoU of the boxes with the annotated ones",
        ylabel="AP of full above the other, 95 %",
    )
    for panel in (curves, gains):
        panel.invert_xaxis()
        panel.grid(color="0.9")
    chart.suptitle(f"{made['table']}, {made['images']} photographs, {made['seeds']} seed(s)")
    chart.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
