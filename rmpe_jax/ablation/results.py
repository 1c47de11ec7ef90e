"""The finished table: figures of all rows, as JSON, Markdown, a plot and a page of pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rmpe_jax.ablation import figure, pairs_page, statistics, table
from rmpe_jax.ablation.elimination import limb_metric
from rmpe_jax.ablation.jobs import ordered, outcome, seconds
from rmpe_jax.ablation.plan import Cell, Plan
from rmpe_jax.ablation.rows import COLUMNS, FULL
from rmpe_jax.ablation.statistics import Difference
from rmpe_jax.evaluation import coco
from rmpe_jax.evaluation.metrics import COCO
from rmpe_jax.evaluation.report import DRAWS, RESULT
from rmpe_jax.evaluation.run import commit
from rmpe_jax.training.workdir import write_json

TABLE_JSON, TABLE_MD, PLOT, PAGE = "table.json", "table.md", "plot.png", "pairs.html"
FILES = (TABLE_JSON, TABLE_MD, PLOT, PAGE)


def write(plan: Plan, root: Path, failed: dict[str, str]) -> dict[str, Any]:
    """Write the files of a table, of what is done of it, and return it."""
    made = collected(plan, root, failed)
    write_json(root / TABLE_JSON, made)
    (root / TABLE_MD).write_text(table.markdown(made), encoding="utf-8")
    figure.draw(made, root / PLOT)
    pairs_page.write(plan, root, made, root / PAGE)
    return made


def collected(plan: Plan, root: Path, failed: dict[str, str]) -> dict[str, Any]:
    """Return the table as plain values; shares in [0, 1]."""
    read = {
        cell: _read(root / job.name)
        for cell, job in plan.scores.items()
        if outcome(job, root) is not None
    }
    columns = {}
    thresholds = {one.name: one.threshold for one in plan.config.ablation.boxes}
    for name, boxes in plan.boxes.items():
        rows = {row: _row(plan, root, read, failed, name, row) for row in plan.rows}
        found = outcome(boxes, root)
        columns[name] = {
            "boxes": found,
            "threshold": thresholds[name],
            "rows": rows,
            "resolution": _resolution(plan, rows),
        }
    config = plan.config
    some = next(iter(read.values()), ({}, {}))[0]
    steps = sum(stage.steps for stage in config.stages)
    return {
        "metric": limb_metric(some["data_set"]) if some else None,
        "columns": columns,
        "seeds": plan.seeds,
        "samples_seen": steps * config.train.batch_size,
        "steps": {stage.name: stage.steps for stage in config.stages},
        "batch_size": config.train.batch_size,
        "data_set": some.get("data_set"),
        "images": some.get("images"),
        "data_fingerprint": {
            "train": _first(plan, root, "trained_on"),
            "validation": some.get("data_fingerprint"),
        },
        "most_boxes": config.ablation.most,
        "commit": commit(),
        "trained_commit": ", ".join(_commits(plan, root)),
        "seconds": _took(plan, root),
        "workdir": Path(config.workdir).name,
    }


def _row(
    plan: Plan,
    root: Path,
    read: dict[Cell, tuple[dict[str, Any], dict[str, np.ndarray]]],
    failed: dict[str, str],
    column: str,
    name: str,
) -> dict[str, Any]:
    """Return a row of one column: figures, differences from the full system, seeds."""
    row = plan.rows[name]
    cells = [Cell(column, name, seed) for seed in range(plan.seeds)]
    made = [cell for cell in cells if cell in read]
    told: dict[str, Any] = {"label": row.label, "paper": row.paper}
    reasons = {failed[plan.scores[cell].name] for cell in cells if plan.scores[cell].name in failed}
    if reasons:
        told["failed"] = sorted(reasons)
    if not made:
        return told
    metric = limb_metric(read[made[0]][0]["data_set"])
    results = [read[cell][0] for cell in made]
    told["figures"] = {
        key: float(np.mean([result[metric][key] for result in results])) for key in COLUMNS
    }
    told["COCO"] = {key: float(np.mean([result[key] for result in results])) for key in coco.NAMES}
    told["of_seeds"] = [{"Total": r[metric]["Total"], "AP": r["AP"]} for r in results]
    told["poses"] = [result["poses"] for result in results]
    trained = [outcome(plan.trainings[name, cell.seed], root) or {} for cell in made]
    for key in ("theta_error", "theta_error_identity"):
        if all(key in one for one in trained):
            told[key] = float(np.mean([one[key] for one in trained]))
    both = [cell for cell in made if Cell(column, FULL, cell.seed) in read]
    told["incomplete"] = len(both) < plan.seeds
    if name != FULL and both:
        full = [read[Cell(column, FULL, cell.seed)] for cell in both]
        own = [read[cell] for cell in both]
        told["difference"] = {
            key: _difference(full, own, of, figure_name)
            for key, of, figure_name in (("Total", metric, "Total"), ("AP", COCO, "AP"))
        }
        told["paper_difference"] = _paper_difference(plan, name)
        once = len(both) == 1 and not _same_network(plan, name)
        told["mark"] = {
            key: statistics.mark(Difference(**values), told["paper_difference"], one_training=once)
            for key, values in told["difference"].items()
        }
    return told


def _paper_difference(plan: Plan, name: str) -> float | None:
    """Return the paper's own difference of the totals, as a share."""
    row, full = plan.rows[name].paper, plan.rows[FULL].paper
    if row is None or full is None:
        return None
    return round((row[-1] - full[-1]) / 100, 4)


def _difference(full: list, own: list, metric: str, name: str) -> dict[str, float]:
    at = list(_figures(own[0][0], metric)).index(name)
    found = statistics.difference(
        [_figures(result, metric)[name] for result, _ in full],
        [_figures(result, metric)[name] for result, _ in own],
        [draws[metric][:, at] for _, draws in full],
        [draws[metric][:, at] for _, draws in own],
    )
    return found._asdict()


def _resolution(plan: Plan, rows: dict[str, Any]) -> dict[str, float | None]:
    """Return the median half width of intervals: of rows that train, of rows that do not."""
    found: dict[str, float | None] = {}
    for kind, wanted in (("trained_anew", False), ("same_network", True)):
        widths = [
            Difference(**told["difference"]["Total"]).half_width
            for name, told in rows.items()
            if "difference" in told and _same_network(plan, name) == wanted
        ]
        found[kind] = float(np.median(widths)) if widths else None
    return found


def _same_network(plan: Plan, name: str) -> bool:
    """Return whether a row trains nothing of its own."""
    return plan.trainings[name, 0].name == plan.trainings[FULL, 0].name


def _figures(result: dict[str, Any], metric: str) -> dict[str, float]:
    return {name: result[name] for name in coco.NAMES} if metric == COCO else result[metric]


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with np.load(folder / DRAWS, allow_pickle=False) as draws:
        return json.loads((folder / RESULT).read_text()), dict(draws)


def _first(plan: Plan, root: Path, name: str) -> Any:
    outcomes = (outcome(job, root) or {} for job in plan.trainings.values())
    return next((one[name] for one in outcomes if name in one), None)


def _commits(plan: Plan, root: Path) -> list[str]:
    """Return the commits at which the networks were trained, each once."""
    trained = [job for job in ordered(plan.trainings.values()) if job.kind == "train"]
    outcomes = (outcome(job, root) or {} for job in trained)
    found = (one.get("trained_commit") for one in outcomes)
    return list(dict.fromkeys(commit for commit in found if commit))


def _took(plan: Plan, root: Path) -> float:
    """Return what all finished jobs took together."""
    wanted = ordered([*plan.boxes.values(), *plan.scores.values()])
    return round(sum(seconds(job, root) or 0.0 for job in wanted), 1)
