"""How the transformer learned: the curves of a run, from its metrics.jsonl."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Curves(NamedTuple):
    """One value for each logged step; NaN where a run did not write it.

    Losses are means over a batch, `parallel` without `train.parallel_weight`. `gradient_*` is the
    mean size (Frobenius) of one person's d loss / d theta by branch, the parallel one weighted as
    in training; `cosine` the mean cosine between the two; `*_toward_star` that of the step against
    each with theta* - theta (1: straight to theta*). `theta_error` is the mean |theta - theta*|,
    `theta_error_identity` that of no transformer; `determinant` the mean det theta; `clamped`
    how many thetas of the batch were all but singular.
    """

    step: Int[np.ndarray, " n"]
    loss_main: Float[np.ndarray, " n"]
    loss_parallel: Float[np.ndarray, " n"]
    gradient_main: Float[np.ndarray, " n"]
    gradient_parallel: Float[np.ndarray, " n"]
    cosine: Float[np.ndarray, " n"]
    main_toward_star: Float[np.ndarray, " n"]
    parallel_toward_star: Float[np.ndarray, " n"]
    theta_error: Float[np.ndarray, " n"]
    theta_error_identity: Float[np.ndarray, " n"]
    determinant: Float[np.ndarray, " n"]
    clamped: Float[np.ndarray, " n"]


WRITTEN = (  # by `training.step`, in the order of Curves after `step`
    "loss_main",
    "loss_parallel",
    "theta_gradient_main",
    "theta_gradient_parallel",
    "theta_cosine",
    "theta_main_toward_star",
    "theta_parallel_toward_star",
    "theta_error",
    "theta_error_identity",
    "theta_determinant",
    "theta_clamped",
)


def curves(path: str | Path) -> Curves:
    """Return the curves of a metrics.jsonl, or of the run whose work directory this is.

    Of a run in stages they are those of its last stage with a transformer.
    """
    file = Path(path)
    files = [file] if file.is_file() else [file / "metrics.jsonl", *_stages(file)]
    files = [one for one in files if one.is_file()]
    if not files:
        raise ValueError(
            f"there is no metrics.jsonl in {file} or its stages: give the workdir of `rmpe train`"
        )
    for one in reversed(files):
        lines = [line for line in _lines(one) if "loss_main" in line]
        if lines:
            columns = [[line.get(name, np.nan) for line in lines] for name in WRITTEN]
            steps = np.array([line["step"] for line in lines])
            return Curves(steps, *(np.array(column, np.float64) for column in columns))
    raise ValueError(
        f"{', '.join(map(str, files))}: no step has a loss_main, so this run trained no spatial "
        "transformer. configs/synthetic_rmpe.py trains one, as does --model.stn.form affine"
    )


def _stages(folder: Path) -> list[Path]:
    """Return the logs of a run's stages, which are folders 1_..., 2_..., in their order."""
    found = [file for file in folder.glob("*_*/metrics.jsonl") if _number(file) is not None]
    return sorted(found, key=lambda file: _number(file) or 0)


def _number(file: Path) -> int | None:
    first = file.parent.name.split("_")[0]
    return int(first) if first.isdigit() else None


def _lines(file: Path) -> list[dict[str, Any]]:
    """Return the whole lines; the last may be half written by a run that goes on or was killed."""
    out = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            out.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return out
