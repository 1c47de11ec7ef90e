"""From rows to jobs: what must be trained, found, fitted and scored for a table, each thing once.

Stage 1 is trained once for each kind of proposals; all rows with a transformer, and the equally
long continuations of those without, start from it. The parallel SPPE is `train.parallel`, or if
that is None stage 1 without proposals: it has seen well-centred people only, as the authors' had.
Rows that train nothing of their own share the jobs of the full system, because jobs of equal
content are one.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rmpe_jax import detection
from rmpe_jax.ablation import elimination, work
from rmpe_jax.ablation.elimination import limb_metric
from rmpe_jax.ablation.jobs import Job
from rmpe_jax.ablation.rows import Proposals, Row
from rmpe_jax.checkpoint import Checkpoints
from rmpe_jax.config import (
    AblationConfig,
    BoxesConfig,
    Config,
    STNConfig,
    changed,
    checked,
    to_dict,
)
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation.found import from_records
from rmpe_jax.evaluation.metrics import METRICS, of_set
from rmpe_jax.models import graph
from rmpe_jax.models.build import build
from rmpe_jax.predict import last_stage

# Settings that change nothing of what is learned, or are told by the jobs that are needed.
ELSEWHERE = {
    "workdir": (),
    "evaluation": (),
    "stages": (),
    "ablation": (),
    "data": ("root", "prepared", "threads"),
    "augment": ("pgpg", "detections"),
    "train": (
        "log_every",
        "evaluate_every",
        "checkpoint_every",
        "checkpoint_seconds",
        "keep",
        "keep_best",
        "profile",
    ),
    "devices": ("distributed", "coordinator", "processes", "process", "stall_seconds"),
}
# Settings that name files or runs: what is in them counts, not where they lie.
NAMED = (
    ("model", "trunk_weights"),
    ("model", "graph"),
    ("train", "start_from"),
    ("train", "parallel"),
    ("train", "teacher"),
)
# How much a crop costs: looked at 1, learned from 3; through a frozen network 2. In seconds a pixel
# on two cores, of a small network.
LEARNED, LOOKED, FROZEN = 3, 1, 2
PIXEL_SECONDS = 5e-7
FITS = ("model.stn.", "augment.")  # changes under which a parallel SPPE that is given still fits
LEARNS_NMS = ("learned", "unmerged", "matched_joints", "truncated_mean")


@dataclass(frozen=True)
class Cell:
    """A row of the table of one kind of boxes, for one seed."""

    boxes: str
    row: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What gives each cell its figures, and the jobs that say how good the boxes are."""

    config: Config
    rows: dict[str, Row]
    seeds: int
    scores: dict[Cell, Job]
    boxes: dict[str, Job]
    trainings: dict[tuple[str, int], Job]
    """The last training of a row, by (row, seed)."""


def plan(config: Config, rows: dict[str, Row], seeds: int) -> Plan:
    """Return the plan of a table; raises ValueError for settings that make none."""
    _check(config, rows, seeds)
    made = _Maker(config)
    columns = {one.name: made.boxes(one) for one in config.ablation.boxes}
    scores, trainings = {}, {}
    for seed in range(seeds):
        for name, row in rows.items():
            run = made.run(row, seed)
            trainings[name, seed] = run
            for column in config.ablation.boxes:
                scores[Cell(column.name, name, seed)] = made.score(run, row, column, seed)
    return Plan(config, rows, seeds, scores, columns, trainings)


def _check(config: Config, rows: dict[str, Row], seeds: int) -> None:
    """Raise ValueError for what would fail late or mean nothing."""
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; 1 or more are allowed")
    columns = config.ablation.boxes
    names = [one.name for one in columns]
    if not columns or len(set(names)) < len(names):
        raise ValueError(
            f"ablation.boxes are called {names}; one or more with names of their own are needed: "
            "say whose boxes the table is made with (configs/ablation_*.py)"
        )
    for one in columns:
        ways = sum((bool(one.config), bool(one.jitter), bool(one.validation)))
        if ways != 1 or (one.train and not one.validation):
            raise ValueError(
                f"ablation.boxes: {one.name!r} wants one of validation (with train, if there are "
                "boxes on the training photographs), config and jitter"
            )
    if not (columns[0].train or columns[0].config):
        raise ValueError(
            f"ablation.boxes: the first, {names[0]!r}, has none on the training photographs, to "
            "which PGPG could be fitted; give it `train` or `config`"
        )
    if len(config.stages) != 2:
        raise ValueError(
            f"{len(config.stages)} stages came; a table needs two: the pose network alone, and "
            "with the transformer"
        )
    if config.data.folds < 2:
        raise ValueError(
            "data.folds is 1; a table keeps a part of the training photographs from training, to "
            "learn pose NMS on: set it to 10, for example"
        )
    if config.model.stn.form == "none":
        raise ValueError("model.stn.form is 'none'; a table of ablations is about a transformer")
    if config.devices.distributed:
        raise ValueError(
            "devices.distributed is set; a table is made by one process, over all devices of its "
            "machine: leave it out"
        )
    if config.evaluation.resamples < 1:
        raise ValueError(
            "evaluation.resamples is 0; a table has intervals: set it to 1000, for example"
        )
    _check_rows(config, rows)


def _check_rows(config: Config, rows: dict[str, Row]) -> None:
    """Raise ValueError for a row whose network cannot be built, naming it."""
    joints = len(prepare(config.data, "validation").skeleton.joints)
    for name, row in rows.items():
        try:
            build(checked(changed(config, row.change)).model, joints)
        except ValueError as error:
            raise ValueError(
                f"row {name}: {error}; leave it out by --rows {','.join(rows)} without it"
            ) from error


def _check_metric(source: PhotographSource) -> None:
    """Raise ValueError if the table's figure cannot be taken on the test photographs."""
    metric = limb_metric(source.data_set)
    if metric not in of_set(source.data_set):
        raise ValueError(
            f"{source.data_set} is not scored by {metric}, the figure of the table; make one with "
            "coco, synthetic, mpii or another set that `rmpe score` scores by it"
        )
    nobody = from_records([], source.annotations(), source.skeleton)
    METRICS[metric].judge(source.annotations(), nobody, source.skeleton)
    if len(source) < 2:
        raise ValueError("one test photograph came; intervals are over photographs: give more")


class _Maker:
    """Makes the jobs of one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        sources = {split: prepare(config.data, split) for split in ("train", "validation")}
        _check_metric(sources["validation"])
        self.data: dict[str, Any] = {name: one.fingerprint for name, one in sources.items()}
        if config.data.skeleton:
            self.data["joints"] = list(sources["validation"].skeleton.joints)
        self.validation = len(sources["validation"])
        pixels = config.model.input_height * config.model.input_width
        self.look_seconds = PIXEL_SECONDS * pixels

    def boxes(self, one: BoxesConfig) -> Job:
        """Return the job that has the boxes of a detector."""
        request = {
            "data": self.data,
            "boxes": {"train": _hash(one.train), "validation": _hash(one.validation)}
            | {"jitter": one.jitter, "threshold": one.threshold, "most": self.config.ablation.most},
        }
        return Job(
            "boxes",
            f"boxes of {one.name}",
            request,
            (self._detector(one),) if one.config else (),
            partial(work.boxes, boxes=one, config=self.config),
            0.02 * self.validation,
        )

    def _detector(self, one: BoxesConfig) -> Job:
        settings = work.detector_config(one.config, self.config)
        return Job(
            "detector",
            f"a detector for boxes of {one.name}, {work.FOLDS} times",
            {"config": _told(settings), "folds": work.FOLDS, "data": self.data},
            (),
            partial(work.detector, config=settings),
            150.0,
        )

    def run(self, row: Row, seed: int) -> Job:
        """Return the training that a row ends with."""
        config = changed(self.config, row.change)
        needs = {"start": self._stage1(config, row.proposals, seed)}
        judged = row.transformer and row.parallel and config.train.centred != "main"
        # One that is given is like the parallel SPPE of the full system, and fits no other network.
        if not all(name.startswith(FITS) for name in row.change):
            config = replace(config, train=replace(config.train, parallel=None))
        if judged and config.train.parallel is None:
            needs["parallel"] = self._stage1(config, "none", seed)
        if not judged:
            config = replace(config, train=replace(config.train, parallel=None))
        if not row.transformer:
            config = replace(config, model=replace(config.model, stn=STNConfig()))
        parts = [f"proposals {row.proposals}"]
        parts += ["with STN" if row.transformer else "without STN"]
        parts += ["with parallel SPPE"] if judged else []
        return self._training(config, 1, row.proposals, needs, seed, ", ".join(parts))

    def score(self, run: Job, row: Row, column: BoxesConfig, seed: int) -> Job:
        """Return the job that scores a row in the boxes of a detector."""
        at_test = None if row.oracle else self.boxes(column)
        needs = [self._poses(run, at_test, "validation", seed)]
        if row.nms in LEARNS_NMS:
            first = self.config.ablation.boxes[0]
            has_own = (column.train or column.config) and not row.oracle
            learns_from = column if has_own else first
            held_out = self._poses(run, self.boxes(learns_from), "held-out", seed)
            needs.append(
                Job(
                    "nms",
                    f"pose NMS, {row.nms}, in boxes of {learns_from.name}, seed {seed}",
                    {"nms": row.nms, "search": elimination.about(row.nms)},
                    (held_out,),
                    partial(work.nms, config=self.config, kind=row.nms),
                    0.2 * self.validation,
                )
            )
        return Job(
            "score",
            f"{row.label}, boxes of {'the annotations' if row.oracle else column.name}, "
            f"seed {seed}",
            {"nms": row.nms, "resamples": self.config.evaluation.resamples},
            tuple(needs),
            partial(work.scored, config=self.config, kind=row.nms),
            0.03 * self.validation,
        )

    def _stage1(self, config: Config, proposals: Proposals, seed: int) -> Job:
        config = replace(
            config,
            model=replace(config.model, stn=STNConfig()),
            train=replace(config.train, parallel=None),
        )
        return self._training(config, 0, proposals, {}, seed, f"proposals {proposals}")

    def _training(
        self,
        config: Config,
        stage: int,
        proposals: Proposals,
        needs: dict[str, Job],
        seed: int,
        about: str,
    ) -> Job:
        settings = config.stages[stage]
        needs = dict(needs)
        learns_from = self.boxes(self.config.ablation.boxes[0])
        if proposals == "pgpg":
            needs["pgpg"] = self._pgpg(learns_from)
        if proposals == "jitter":
            needs["boxes"] = learns_from
        augment = replace(
            config.augment, proposals=proposals, jitter=0.0, pgpg=None, detections=None
        )
        if proposals != "pgpg":
            augment = replace(augment, pgpg_density="mixture")  # which is then not used
        train = replace(
            config.train,
            steps=settings.steps,
            seed=config.train.seed + seed,
            start_from=None if "start" in needs else config.train.start_from,
        )
        if config.model.stn.form == "none":
            train = replace(train, parallel_weight=1.0, centred="parallel")
        config = replace(
            config,
            workdir="",
            stages=(),
            ablation=AblationConfig(),
            augment=augment,
            optimiser=replace(config.optimiser, learning_rate=settings.learning_rate),
            train=train,
            evaluation=replace(config.evaluation, boxes=None, nms="none", jitter=0.0, resamples=0),
        )
        passes = LEARNED
        if config.model.stn.form != "none":
            passes += LOOKED + FROZEN * ("parallel" in needs or train.parallel is not None)
        return Job(
            "train",
            f"stage {stage + 1}, {about}, seed {seed}",
            {"config": _told(config), "data": self.data},
            tuple(needs.values()),
            partial(work.trained, config=config, roles=tuple(needs)),
            passes * settings.steps * config.train.batch_size * self.look_seconds,
        )

    def _pgpg(self, boxes: Job) -> Job:
        return Job(
            "pgpg",
            "proposals generator",
            {"atoms": self.config.ablation.atoms, "data": self.data},
            (boxes,),
            partial(work.pgpg, config=self.config),
            20.0,
        )

    def _poses(self, run: Job, boxes: Job | None, part: work.Part, seed: int) -> Job:
        evaluation = self.config.evaluation
        told = {"flip": evaluation.flip, "decode": evaluation.decode, "blur": evaluation.blur}
        where = "annotated boxes" if boxes is None else boxes.about
        return Job(
            "poses",
            f"poses on {part} photographs in {where}, of {run.about}",
            {"part": part, "data": self.data, **told},
            (run,) if boxes is None else (run, boxes),
            partial(work.poses, config=self.config, part=part),
            self.validation * self.config.ablation.most * self.look_seconds,
        )


def _told(config: Config) -> dict[str, Any]:
    """Return the settings on which what is learned depends, where they are not the defaults.

    So settings that later versions add change nothing of what earlier ones have done.
    """
    told, usual = to_dict(config), to_dict(Config())
    for group, names in ELSEWHERE.items():
        for name in names:
            del told[group][name]
        if not names:
            del told[group]
    for group, name in NAMED:
        named = told[group][name]
        told[group][name] = named and _content(f"{group}.{name}", named)
    return {
        group: {name: value for name, value in values.items() if value != usual[group][name]}
        for group, values in told.items()
    }


def _content(setting: str, name: str) -> Any:
    """Return what there is in a file or in the folder of a run."""
    path = Path(name).expanduser()
    if path.is_file():
        beside = sorted(path.parent.glob(f"{path.stem}.*")) if path.suffix == graph.SUFFIX else []
        return [_hash(str(one)) for one in beside or [path]]
    saved = last_stage(path) / "checkpoints"
    if saved.is_dir():
        checkpoints = Checkpoints(saved, read_only=True)
        try:
            arrays = checkpoints.meta(max(checkpoints.steps()))["arrays"]  # with their checksums
        finally:
            checkpoints.close()
        return hashlib.sha256(json.dumps(arrays, sort_keys=True).encode()).hexdigest()
    if path.is_dir():  # heat-maps of a teacher
        return [[one.name, one.stat().st_size] for one in sorted(path.iterdir())]
    raise ValueError(f"{setting} is {name!r}; there is no such file or folder")


def _hash(name: str) -> str:
    """Return a hash of a file, or the word itself if it is none."""
    path = Path(name)
    if not name or (detection.is_detector(name) and not path.is_file()):
        return name
    if not path.is_file():
        raise ValueError(f"{name}: no such file; it is named by the table's configuration")
    return hashlib.sha256(path.read_bytes()).hexdigest()
