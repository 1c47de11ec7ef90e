"""Compare two results on the same photographs: which figures differ by more than chance."""

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rmpe_jax.data import json_files
from rmpe_jax.evaluation import bootstrap, coco
from rmpe_jax.evaluation.metrics import COCO, METRICS
from rmpe_jax.evaluation.report import DRAWS, RESULT


class Row(NamedTuple):
    """One figure of both results, B minus A, its interval, and how often B was better."""

    metric: str
    figure: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    better: float

    @property
    def told_apart(self) -> bool:
        """Return whether the interval of the difference leaves out 0."""
        return self.low > 0 or self.high < 0


def compare(a: Path, b: Path) -> list[Row]:
    """Return the figures that both results have, by the same draws of photographs.

    `a` and `b` are folders of `rmpe eval`, or their result.json. Raises ValueError if they are not
    of the same photographs or lack their draws.
    """
    (result_a, draws_a), (result_b, draws_b) = _read(a), _read(b)
    for name, what in (("data_fingerprint", "photographs"), ("skeleton", "joints")):
        if result_a[name] != result_b[name]:
            raise ValueError(
                f"{a} and {b} were measured on other {what} ({name} {result_a[name]} and "
                f"{result_b[name]}): there is nothing to compare pair by pair. Evaluate both on "
                "the same set and split"
            )
    rows = []
    for metric in METRICS:
        if metric not in draws_a or metric not in draws_b:
            continue
        names = list(_figures(result_a, metric))
        value_a, value_b = (_array(_figures(result, metric)) for result in (result_a, result_b))
        if draws_a[metric].shape != draws_b[metric].shape:
            raise ValueError(
                f"{a} has {draws_a[metric].shape} draws and figures of {metric}, {b} "
                f"{draws_b[metric].shape}: evaluate both with the same --resamples and version"
            )
        found = bootstrap.difference(value_a, value_b, draws_a[metric], draws_b[metric])
        parts = zip(names, value_a, value_b, found.value, found.interval, found.better, strict=True)
        rows += [
            Row(metric, figure, *map(float, (one, other, value, *ends, better)))
            for figure, one, other, value, ends, better in parts
        ]
    if not rows:
        raise ValueError(
            f"{a} and {b} have no metric with draws in common: evaluate both with --resamples "
            "above 0, on more than one photograph"
        )
    return [row for row in rows if not math.isnan(row.difference)]


def table(rows: list[Row]) -> str:
    """Return the comparison as a Markdown table."""
    lines = [
        "| metric | figure | A | B | B - A | 95 % interval | B better in | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        mark = "told apart" if row.told_apart else ""
        lines.append(
            f"| {row.metric} | {row.figure} | {row.a:.3f} | {row.b:.3f} | {row.difference:+.3f} | "
            f"{row.low:+.3f} to {row.high:+.3f} | {100 * row.better:.0f} % of draws | {mark} |"
        )
    return "\n".join(lines)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    folder = path.parent if path.is_file() else path
    for name in (RESULT, DRAWS):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} has no {name}; give two folders that `rmpe eval --out FOLDER` or "
                "`rmpe score --out FOLDER` wrote"
            )
    result = json_files.load(folder / RESULT)
    json_files.require(result, ("data_fingerprint", "skeleton"), str(folder / RESULT))
    try:
        with np.load(folder / DRAWS, allow_pickle=False) as draws:
            return result, dict(draws)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{folder / DRAWS} is damaged ({type(error).__name__}); evaluate again"
        ) from error


def _figures(result: dict[str, Any], metric: str) -> dict[str, float | None]:
    return {name: result[name] for name in coco.NAMES} if metric == COCO else result[metric]


def _array(figures: dict[str, float | None]) -> np.ndarray:
    values = [np.nan if value is None else value for value in figures.values()]
    return np.where(np.array(values) < 0, np.nan, values)  # COCO's -1: nothing to find
