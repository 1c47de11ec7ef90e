"""Boxes on the photographs that a detector is trained on, by detectors that have not seen them.

A detector's boxes on its own training photographs are too good: a proposals generator or a pose NMS
that is fitted to them expects errors that it will not meet. So as many detectors are trained as the
photographs have parts, each without one part, which it then boxes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from rmpe_jax import human_detector
from rmpe_jax.config import Config
from rmpe_jax.data.dataset import left_out, prepare
from rmpe_jax.evaluation import human_boxes
from rmpe_jax.training.loop import train


def cross_fit(config: Config, folds: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return (figures, COCO results) of the training photographs of a detector's settings.

    The detectors are trained in folders of `config.workdir`, one after the other; a call that was
    interrupted goes on where it stopped. Raises ValueError for settings of another network.
    """
    if config.model.family != "detector":
        raise ValueError(
            f"--cross-fit: these are the settings of a {config.model.family} network; give the run "
            "of a detector"
        )
    if not config.workdir:
        raise ValueError(
            "--cross-fit: these settings have no folder for the detectors; give the work directory "
            "of a run or a CONFIG.py instead of a packed file"
        )
    if folds < 2:
        raise ValueError(f"--folds is {folds}; 2 or more are allowed")
    console = Console()
    found: list[dict[str, Any]] = []
    for fold in range(folds):
        workdir = f"{config.workdir}/fold{fold}_of_{folds}"
        part = replace(
            config, workdir=workdir, data=replace(config.data, folds=folds, left_out=fold)
        )
        console.rule(f"without part {fold + 1} of {folds}")
        train(part)
        unseen = left_out(part.data)
        _, boxes = human_boxes.evaluate(human_detector.load(Path(workdir)), unseen, console=console)
        found += boxes
    everybody = prepare(replace(config.data, folds=1), "train")
    figures = human_boxes.average_precision(everybody.annotations(), everybody.skeleton, found)
    return {
        **figures,
        "folds": folds,
        "images": len(everybody),
        "boxes": len(found),
        "data_set": everybody.data_set,
        "split": "train, each part boxed by a detector that has not seen it",
        "data_fingerprint": everybody.fingerprint,
    }, found
