"""Learning poses: crops of people to heat-maps of their joints, with or without a transformer."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from rmpe_jax import drawing, nms_sets
from rmpe_jax.config import Config
from rmpe_jax.data import images, teacher_maps
from rmpe_jax.data.batches import Batches
from rmpe_jax.data.dataset import PhotographSource, prepare, prepare_mixture
from rmpe_jax.data.loader import training_batches
from rmpe_jax.data.mixture import Mixture
from rmpe_jax.data.teacher_maps import Teacher
from rmpe_jax.evaluation import report
from rmpe_jax.evaluation.run import commit, evaluate, on_image, proposed, read_proposals
from rmpe_jax.models import graph, weights
from rmpe_jax.models.build import build, build_sppe
from rmpe_jax.models.variables import started_from
from rmpe_jax.predict import PoseModel, load, skeleton_of
from rmpe_jax.records import Batch, Variables
from rmpe_jax.skeletons import Skeleton
from rmpe_jax.training.parallel import ParallelSPPE, heatmaps_of, load_parallel
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.sharding import Layout
from rmpe_jax.training.task import Outcome, Task

SHEET_PHOTOGRAPHS = 12


def pose_task(config: Config, workdir: Path, layout: Layout, console: Console) -> Task:
    """Prepare the data and build the network; what is wrong with the settings is found here."""
    trained_commit = commit()  # now: the working tree may change before the run ends
    mixture = prepare_mixture(config.data)
    skeleton = mixture.sources[0].skeleton
    validation = prepare(config.data, "validation").with_joints(skeleton)
    # A bad file is found now, not at the end.
    read_proposals(config.evaluation, validation)
    nms_sets.chosen(config.evaluation.nms)
    logits = config.train.loss == "cross_entropy"
    _check_centred(config)
    module = build(
        config.model,
        len(skeleton.joints),
        logits=logits,
        norm_axis=layout.norm_axis,
        judge=config.train.centred == "unfrozen",
    )
    parallel, parallel_variables = _parallel(config, skeleton)
    teacher = _teacher(config, skeleton)
    facts = {
        "data_fingerprint": mixture.fingerprint,
        "skeleton": skeleton._asdict(),
        "commit": trained_commit,
    }

    def batches(start: int) -> Batches[Batch]:
        return training_batches(
            mixture,
            config.data,
            config.augment,
            height=config.model.input_height,
            width=config.model.input_width,
            batch_size=config.train.batch_size,
            seed=config.train.seed,
            start=start,
            process_index=layout.process_index,
            process_count=layout.process_count,
        )

    def model_of(step: int, variables: Variables) -> PoseModel:
        return PoseModel(variables, module, config, skeleton, {"step": step, **facts})

    def measure(step: int, variables: Variables) -> float:
        model = model_of(step, variables)
        return evaluate(model, validation, console=console, resamples=0).result["AP"]

    def finish(step: int, variables: Variables) -> Outcome:
        model = model_of(step, variables)
        evaluated = evaluate(model, validation, console=console)
        sheet = workdir / "contact_sheet.png"
        drawing.write(sheet, contact_sheet(model, validation))
        written = report.write(workdir, evaluated, validation)
        return Outcome(evaluated.result, report.table(evaluated.result), [sheet, *written])

    return Task(
        module=module,
        about=_people(mixture),
        facts=facts,
        check=lambda meta: _check_joints(
            skeleton_of(meta), skeleton, config.workdir, "--workdir DIR"
        ),
        first=lambda variables: _with_judge(
            _first_weights(variables, config, skeleton, console), parallel_variables, config
        ),
        batches=batches,
        lesson=pose_lesson(module, config, parallel, groups=layout.norm_groups),
        inputs=lambda batch: PoseInputs(batch, teacher.of(batch) if teacher else None),
        fixed=parallel_variables,
        measure=measure,
        finish=finish,
    )


def contact_sheet(model: PoseModel, source: PhotographSource) -> np.ndarray:
    """Return a picture of the first photographs with the poses found in the annotated boxes."""
    tiles = []
    for index in range(min(SHEET_PHOTOGRAPHS, len(source))):
        photograph = source[index]
        image = images.pixels(photograph)
        found = on_image(
            proposed(photograph, None, model.config.evaluation), photograph.height, photograph.width
        )
        poses = model(image, found.boxes_px)
        tiles.append(drawing.poses(image, poses.joints_px, poses.confidence, model.skeleton))
    return drawing.contact_sheet(tiles, columns=4)


def _parallel(config: Config, skeleton: Skeleton) -> tuple[ParallelSPPE | None, Variables | None]:
    """Return the frozen network that helps to train the transformer, if one is wanted."""
    if config.train.parallel is None:
        return None, None
    if config.model.stn.form == "none":
        raise ValueError(
            "train.parallel is set, but there is no transformer for it to train: set "
            "--model.stn.form affine (or scale_shift), or --train.parallel None"
        )
    model = config.model
    parallel, variables = load_parallel(
        config.train.parallel, skeleton, model.input_height, model.input_width
    )
    if config.train.centred == "unfrozen":  # a network like the main one, without a transformer
        own = build_sppe(model, len(skeleton.joints))
        parallel = replace(parallel, network=partial(heatmaps_of, own))
    return parallel, variables


def _check_centred(config: Config) -> None:
    """Refuse a centre-located loss of what is not there."""
    centred, train = config.train.centred, config.train
    if centred != "parallel" and config.model.stn.form == "none":
        raise ValueError(
            f"train.centred is {centred!r}, and there is no transformer for it to train: set "
            "--model.stn.form affine (or scale_shift), or --train.centred parallel"
        )
    if centred == "unfrozen" and train.parallel is None:
        raise ValueError(
            "train.centred is 'unfrozen', and no parallel SPPE is there to begin with: set "
            "--train.parallel DIR"
        )
    if centred == "main" and train.parallel is not None:
        raise ValueError(
            f"train.centred is 'main' and train.parallel {train.parallel!r}: the main network is "
            "compared in place of a parallel SPPE; set --train.parallel None"
        )


def _with_judge(
    variables: Variables, parallel_variables: Variables | None, config: Config
) -> Variables:
    """Return first variables in which a parallel SPPE that learns begins as the frozen one."""
    if config.train.centred != "unfrozen" or parallel_variables is None:
        return variables
    own = {kind: values.get("judge", {}) for kind, values in variables.items()}
    began = started_from(own, parallel_variables, where=f"train.parallel {config.train.parallel}")
    return {
        kind: {**values, "judge": began[kind]} if "judge" in values else values
        for kind, values in variables.items()
    }


def _teacher(config: Config, skeleton: Skeleton) -> Teacher | None:
    """Return what the teacher has seen, if there is one."""
    if config.train.teacher is None:
        return None
    seen = teacher_maps.read(Path(config.train.teacher), skeleton)
    return Teacher(seen, skeleton.flip_order)


def _first_weights(
    variables: Variables, config: Config, skeleton: Skeleton, console: Console
) -> Variables:
    """Return random variables with the weights of an earlier run or of a file in their place."""
    if config.train.start_from:
        earlier = load(config.train.start_from)
        _check_joints(earlier.skeleton, skeleton, config.train.start_from, "--train.start-from DIR")
        console.print(f"starts from {config.train.start_from}, step {earlier.meta['step']}")
        return started_from(variables, earlier.variables, where=config.train.start_from)
    if config.model.family == "graph":
        file = Path(config.model.graph or "").expanduser()
        return started_from(variables, {"params": graph.parameters(file)}, where=str(file))
    if config.model.trunk_weights:
        inside = {kind: part.get("sppe", part) for kind, part in variables.items()}
        loaded, report = weights.load_trunk(inside, Path(config.model.trunk_weights))
        console.print(str(report), highlight=False, markup=False)
        return started_from(variables, loaded, where=config.model.trunk_weights)
    return variables


def _check_joints(learned: Skeleton, wanted: Skeleton, where: str, option: str) -> None:
    if learned.joints != wanted.joints:
        raise ValueError(
            f"{where} has learned the joints of {learned.name}, this run is to learn those of "
            f"{wanted.name}: set data.skeleton to what it learned, or give another {option}"
        )


def _people(mixture: Mixture) -> str:
    """Return how many people there are to learn from, set by set."""
    parts = [
        f"{len(source.person_index)} people in {len(source)} photographs"
        + (f" ({source.summary['set']}, weight {weight:g})" if len(mixture.sources) > 1 else "")
        for source, weight in zip(*mixture, strict=True)
    ]
    return ", ".join(parts)
