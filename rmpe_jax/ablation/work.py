"""What is done in each kind of job. Every function is given its own folder first, then others'."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from rmpe_jax import config as configs
from rmpe_jax import detection, human_detector
from rmpe_jax.ablation import elimination
from rmpe_jax.ablation.rows import Nms
from rmpe_jax.config import BoxesConfig, Config
from rmpe_jax.data import detection_files, fit_pgpg
from rmpe_jax.data.dataset import PhotographSource, left_out, prepare
from rmpe_jax.evaluation import human_boxes, redundant_poses, report
from rmpe_jax.evaluation.run import evaluate, proposed, score_records
from rmpe_jax.predict import load
from rmpe_jax.training.cross_fit import cross_fit
from rmpe_jax.training.loop import train

Part = Literal["held-out", "validation"]
Records = list[dict[str, Any]]
TRAIN_BOXES, VALIDATION_BOXES = "train.json", "validation.json"
PGPG, POSES, NMS = "pgpg.json", "records.json", "nms.json"
FOLDS = 2  # of a detector that is trained for a table


def detector_config(file: str, config: Config) -> Config:
    """Return the settings of a detector that is trained for a table, on the table's data."""
    return replace(configs.load(file), data=replace(config.data, folds=1, left_out=0))


def detector(folder: Path, *, config: Config) -> dict[str, Any]:
    """Train a detector without one part of the photographs and without the other; box all."""
    config = replace(config, workdir=str(folder / "runs"))
    figures, train_found = cross_fit(config, FOLDS)
    first = human_detector.load(f"{config.workdir}/fold0_of_{FOLDS}")
    validation = prepare(config.data, "validation")
    _, found = human_boxes.evaluate(first, validation, console=Console())
    (folder / TRAIN_BOXES).write_text(json.dumps(train_found))
    (folder / VALIDATION_BOXES).write_text(json.dumps(found))
    return {name: figures[name] for name in human_boxes.NAMES}


def boxes(
    folder: Path, detected: Path | None = None, *, boxes: BoxesConfig, config: Config
) -> dict[str, Any]:
    """Find or read the boxes of people, and keep those that are used: the most sure.

    `detected` is the folder of a detector that was trained for them.
    """
    everybody = prepare(replace(config.data, folds=1), "train")
    validation = prepare(config.data, "validation")
    train_found: Records | None = None
    if detected is not None:
        train_found = of_file(detected / TRAIN_BOXES, everybody)
        found = of_file(detected / VALIDATION_BOXES, validation)
    elif boxes.jitter:
        settings = replace(config.evaluation, jitter=boxes.jitter)
        found = [
            record
            for photograph in validation
            for record in human_boxes.records(
                proposed(photograph, None, settings), photograph.image_id
            )
        ]
    else:
        found = _validation_boxes(boxes.validation, validation)
        if boxes.train:
            train_found = of_file(Path(boxes.train), everybody)
    told: dict[str, Any] = {}
    for name, source, records in (
        (TRAIN_BOXES, everybody, train_found),
        (VALIDATION_BOXES, validation, found),
    ):
        if records is not None:
            kept = limited(records, boxes.threshold, config.ablation.most)
            (folder / name).write_text(json.dumps(kept))
            figures = human_boxes.average_precision(source.annotations(), source.skeleton, kept)
            told[name] = {**figures, "boxes": len(kept), "images": len(source)}
    return told


def limited(records: Records, threshold: float, most: int) -> Records:
    """Return the boxes of at least that score, of each photograph at most the surest ones."""
    of_image: dict[Any, Records] = {}
    for record in records:
        if record["score"] >= threshold:
            of_image.setdefault(record["image_id"], []).append(record)
    return [
        record
        for some in of_image.values()
        for record in sorted(some, key=lambda record: -record["score"])[:most]
    ]


def pgpg(folder: Path, boxes: Path, *, config: Config) -> dict[str, Any]:
    """Fit the proposals generator to the boxes on the photographs that are trained on."""
    source = prepare(config.data, "train")
    result = fit_pgpg.fit_photographs(
        folder / PGPG,
        source.annotations(),
        boxes / TRAIN_BOXES,
        skeleton=source.skeleton,
        settings=fit_pgpg.FitSettings(atoms=config.ablation.atoms),
        origin={"data_fingerprint": source.fingerprint, "boxes": boxes.name},
    )
    return {name: result[name] for name in ("atoms", "poses", "pairs")}


def trained(folder: Path, *others: Path, config: Config, roles: Sequence[str]) -> dict[str, Any]:
    """Train; `roles` says what each of the other folders is for."""
    of = dict(zip(roles, others, strict=True))
    augment, learning = config.augment, config.train
    if "pgpg" in of:
        augment = replace(augment, pgpg=str(of["pgpg"] / PGPG))
    if "boxes" in of:
        augment = replace(augment, detections=str(of["boxes"] / TRAIN_BOXES))
    if "start" in of:
        learning = replace(learning, start_from=str(of["start"]))
    if "parallel" in of:
        learning = replace(learning, parallel=str(of["parallel"]))
    result = train(replace(config, workdir=str(folder), augment=augment, train=learning))
    told = ("AP", "theta_error", "theta_error_identity", "trained_on", "trained_commit", "step")
    return {name: result[name] for name in told if name in result}


def poses(
    folder: Path, run: Path, boxes: Path | None = None, *, config: Config, part: Part
) -> dict[str, Any]:
    """Find a pose in every box, before pose NMS; without boxes in the annotated ones."""
    held_out = part == "held-out"
    source = left_out(config.data) if held_out else prepare(config.data, "validation")
    name = TRAIN_BOXES if held_out else VALIDATION_BOXES
    settings = replace(
        config.evaluation,
        boxes=None if boxes is None else str(boxes / name),
        box_threshold=0.0,
        nms="none",
        jitter=0.0,
        resamples=0,
    )
    model = load(run)
    model = replace(model, config=replace(model.config, evaluation=settings))
    found = evaluate(model, source)
    unfinished = folder / f"{POSES}.new"
    unfinished.write_text(json.dumps(found.records))
    unfinished.replace(folder / POSES)
    return {"poses": len(found.records), "AP": found.result["AP"]}


def nms(folder: Path, poses: Path, *, config: Config, kind: Nms) -> dict[str, Any]:
    """Learn what leaves one pose of each person, on the part that is not trained on."""
    source = left_out(config.data)
    judged = elimination.Judged(
        _read_poses(poses, source),
        sorted(source.annotations(), key=lambda entry: entry.image_id),
        source.skeleton,
        elimination.limb_metric(source.data_set),
    )
    chosen = elimination.learned(judged, kind, folder / "trace.json")
    elimination.write(folder / NMS, chosen)
    return chosen


def scored(folder: Path, poses: Path, *others: Path, config: Config, kind: Nms) -> dict[str, Any]:
    """Leave one pose of each person and score what is left by all metrics of the set."""
    source = prepare(config.data, "validation")
    chosen = elimination.published() if kind == "published" else None
    if others:
        chosen = json.loads((others[0] / NMS).read_text())
    left = elimination.eliminated(_read_poses(poses, source), chosen)
    evaluated = score_records(source, left, resamples=config.evaluation.resamples)
    report.write(folder, evaluated, source)
    return {"AP": evaluated.result["AP"], "poses": len(left)}


def _read_poses(folder: Path, source: PhotographSource) -> redundant_poses.Data:
    image, flat = redundant_poses.read(folder / POSES, len(source.skeleton.joints))
    return redundant_poses.of_photographs(source.annotations(), image, flat, source.skeleton)


def _validation_boxes(given: str, source: PhotographSource) -> Records:
    if detection.is_detector(given):
        _, found = human_boxes.evaluate(detection.detector(given), source, console=Console())
        return found
    return of_file(Path(given), source)


def of_file(path: Path, source: PhotographSource) -> Records:
    """Return the boxes of a file that are of these photographs, by their numbers."""
    given = detection_files.read(path)
    found: Records = []
    for entry in source.annotations():
        of_image = detection_files.of_image(given, entry.image_id, entry.file_name)
        found += human_boxes.records(of_image, entry.image_id)
    if not found:
        raise ValueError(
            f"none of the {len(given)} images in {path} is among the {len(source)} photographs of "
            f"{source.data_set} {source.split}: it names {list(given)[:3]}"
        )
    return found
