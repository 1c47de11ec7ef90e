"""Every setting of a run, as frozen dataclasses of plain values.

A file in `configs/` makes one `Config` and calls it `config`; `--data.root DIR` on the command
line changes one value of it. This module imports nothing heavy, so that `rmpe --help` is quick.
"""

import dataclasses
import os
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

Settings = TypeVar("Settings")

# The least value of settings for which less would fail late or mean nothing.
LOWEST = {
    "data.threads": 1,
    "data.folds": 1,
    "data.left_out": 0,
    "data.weight": 0.0,
    "data.also.weight": 0.0,
    "train.steps": 1,
    "stages.steps": 1,
    "stages.learning_rate": 0.0,
    "train.parallel_weight": 0.0,
    "train.teacher_weight": 0.0,
    "train.batch_size": 1,
    "train.log_every": 1,
    "train.checkpoint_every": 1,
    "train.keep": 1,
    "train.keep_best": 0,
    "train.evaluate_every": 0,
    "train.sigma": 1e-3,
    "devices.count": 0,
    "devices.norm_groups": 0,
    "devices.accumulate": 1,
    "devices.stall_seconds": 1.0,
    "augment.extend": 0.0,
    "augment.scale": 0.0,
    "augment.turn_degrees": 0.0,
    "augment.jitter": 0.0,
    "augment.samples_per_person": 1,
    "optimiser.learning_rate": 0.0,
    "optimiser.clip_norm": 0.0,
    "optimiser.weight_decay": 0.0,
    "optimiser.warmup_steps": 0,
    "evaluation.blur": 0.0,
    "evaluation.jitter": 0.0,
    "evaluation.resamples": 0,
    "ablation.boxes.jitter": 0.0,
    "ablation.most": 1,
    "ablation.atoms": 1,
}


def example_data() -> Path:
    """Return the folder of example photographs and weights: $RMPE_DATA or ../shared/data.

    Nothing but the tests and `configs/` asks for it; it may be absent.
    """
    return Path(os.environ.get("RMPE_DATA", "../shared/data"))


Remat = Literal["none", "blocks"]
OnnxLayout = Literal["auto", "yolox", "rtmdet", "fastestdet", "detr"]
Source = Literal[
    "synthetic",
    "coco",
    "coco2014",
    "coco_wholebody",
    "crowdpose",
    "ochuman",
    "halpe26",
    "halpe136",
    "posetrack17",
    "posetrack18",
    "mpii",
    "lsp",
    "lspet",
]


@dataclass(frozen=True)
class SetConfig:
    """A further data set to train on, beside that of `DataConfig`."""

    source: Source
    root: str = ""
    """Its folder."""
    train_annotations: str = ""
    """Below `root`; "": as the set is published."""
    train_images: str = ""
    weight: float = 1.0
    """Share of the training samples, beside `data.weight` and those of the others."""


@dataclass(frozen=True)
class DataConfig:
    """Where the people come from."""

    source: Source = "synthetic"
    """synthetic: drawn figures, no files needed. coco: any annotations in COCO's format. Others: a
    data set by name, as published; `rmpe prepare NAME ROOT` says what belongs into its folder."""
    root: str = ""
    """Folder of the data set."""
    train_annotations: str = ""
    """File (PoseTrack: or folder) below `root`; "": as the set is published."""
    train_images: str = ""
    """Folder below `root` or `root`/images."""
    validation_annotations: str = ""
    validation_images: str = ""
    skeleton: str = ""
    """The joints to learn: a name (COCO17, MPII16, ...) or a JSON file; "": those of the set. The
    joints of a set with others are taken by name; what it lacks is not labelled."""
    missing: Literal["skip", "error"] = "skip"
    """Images that cannot be read: skip (they are listed and counted), or error."""
    weight: float = 1.0
    """Share of the training samples that come from this set, beside the weights in `also`."""
    also: tuple[SetConfig, ...] = ()
    """Further sets to train on; evaluation stays on this one."""
    folds: int = 1
    """The training photographs are dealt into so many parts, of which one is kept from training."""
    left_out: int = 0
    """With folds above 1: the part, from 0."""
    prepared: str = "~/.cache/rmpe_jax/prepared"
    """Where records are written once; made anew when the source changes."""
    synthetic_train: int = 1000
    """synthetic: number of training images."""
    synthetic_validation: int = 200
    synthetic_height: int = 240
    synthetic_width: int = 320
    seed: int = 0
    """synthetic: the seed of the figures."""
    threads: int = 2
    """Threads that decode and crop."""


@dataclass(frozen=True)
class AugmentConfig:
    """How training crops vary. Every number comes from (seed, epoch, index)."""

    extend: float = 0.25
    """The box grows by this share of its sides before anything else (also at test time)."""
    scale: float = 0.25
    """Crop size is multiplied by 2^s, s normal with this spread, clipped at twice it."""
    shift: float = 0.0
    """Crop centre moves by a normal of this share of the box sides."""
    jitter: float = 0.0
    """Each side of the box moves as a detector's would, by this many times what the authors of
    RMPE published (0: not)."""
    proposals: Literal["none", "jitter", "pgpg"] = "none"
    """none: the annotated box, moved by `jitter` if that is set. jitter: shifted and stretched at
    random, of IoU above 0.5 (the paper's baseline). pgpg: pose-guided proposals generator."""
    pgpg: str | None = None
    """pgpg: the file that `rmpe fit-pgpg` wrote; without it what the authors published."""
    pgpg_density: Literal["global", "gaussian", "mixture"] = "mixture"
    """pgpg: one Gaussian for all people, one for each atomic pose, or a mixture for each."""
    detections: str | None = None
    """jitter: COCO-format detections whose boxes are moved; without it the annotated ones are."""
    patch: bool = False
    """Three boxes in ten are a part of the person instead (the authors' code)."""
    samples_per_person: int = 1
    """Times that an epoch holds each person, each time with another box."""
    turn_degrees: float = 30.0
    """Rotation: normal with this spread, clipped at twice it."""
    turn_probability: float = 0.6
    flip_probability: float = 0.5
    half_body_probability: float = 0.0
    """Chance that only the upper or the lower body is cropped, if over 8 joints are labelled."""
    gain: float = 0.2
    """Each colour channel is multiplied by U(1 - gain, 1 + gain)."""
    contrast: float = 0.0
    """Contrast about the crop's mean is multiplied by U(1 - contrast, 1 + contrast)."""


@dataclass(frozen=True)
class STNConfig:
    """The symmetric spatial transformer about the pose network (RMPE, section 3.1)."""

    form: Literal["none", "affine", "scale_shift"] = "none"
    """none: no transformer. affine: theta has all six numbers (the paper). scale_shift: one
    scale and a shift."""
    network: Literal["resnet18", "small", "pose"] = "resnet18"
    """What finds theta: the paper's ResNet-18; a small network for small crops; or, in the fewest
    steps, two layers on what the pose network sees in the crop (it then looks twice)."""


@dataclass(frozen=True)
class ModelConfig:
    """The single-person pose estimator (SPPE), and the transformer about it."""

    family: Literal["hourglass", "simple_baseline", "fastpose", "pyramid", "graph", "detector"] = (
        "pyramid"
    )
    """graph: a network of others, from a file. detector: no pose network but a human detector, of
    square input."""
    graph: str | None = None
    """graph: the file, in ncnn's text format (.param), with its weights beside it (.npz)."""
    depth: Literal[10, 18, 34, 50, 101, 152] = 18
    """ResNet depth; the hourglass has none."""
    stacks: int = 2
    """Hourglass: how many are stacked (the paper uses 8)."""
    scan_stacks: bool = False
    """Hourglass: one compiled body serves all stacks. That compiles sooner for CPU, not for TPU,
    where it takes more memory (experiments/PODS.md)."""
    features: int = 256
    """Hourglass: channels."""
    head_width: int = 128
    """Pyramid, detector: channels of the head."""
    head_blocks: int = 1
    """Pyramid: residual blocks in the head; detector: its layers."""
    trunk_stages: int = 4
    """Pyramid: ResNet stages that are built (3 ends at stride 16)."""
    frozen_stages: int = 0
    """The stem and this many stages keep their weights and statistics (0: all learn)."""
    input_height: int = 256
    input_width: int = 192
    stored_statistics: bool = False
    """Pyramid: the trunk's batch norm uses the stored (ImageNet's) statistics in training too."""
    normalise: Literal["none", "imagenet"] = "imagenet"
    """imagenet: subtract ImageNet's mean and divide by its spread inside the network."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type; parameters stay float32."""
    trunk_weights: str | None = None
    """File with ImageNet weights in torchvision names: .npz, .safetensors, .pth."""
    stn: STNConfig = field(default_factory=STNConfig)


@dataclass(frozen=True)
class OptimiserConfig:
    """The optimiser and its schedule."""

    name: Literal["adam", "rmsprop", "muon"] = "adam"
    learning_rate: float = 1e-3
    trunk_rate: float = 1.0
    """The rate of the trunk's parameters is multiplied by this (pre-trained ones want less)."""
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    warmup_steps: int = 100
    milestones: tuple[float, ...] = (0.7, 0.9)
    """steps: shares of the run after which the rate is multiplied by `decay`."""
    decay: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    """Gradients are scaled down to this global norm (0: never)."""
    ema: float = 0.0
    """Decay of the running average of parameters that is evaluated (0: none)."""


@dataclass(frozen=True)
class TrainConfig:
    """The run."""

    steps: int = 1000
    batch_size: int = 32
    seed: int = 0
    loss: Literal["squared", "cross_entropy"] = "squared"
    """squared: error of each pixel (the paper). cross_entropy: of where the joint is."""
    sigma: float = 2.0
    """Spread of the Gaussian target, in heat-map pixels."""
    start_from: str | None = None
    """Work directory of a run whose weights this one starts with; what it lacks starts new."""
    parallel: str | None = None
    """Work directory of a run whose network is the frozen parallel SPPE, which trains the STN."""
    parallel_weight: float = 1.0
    """Weight of the parallel SPPE's loss beside the main one's."""
    centred: Literal["parallel", "unfrozen", "main"] = "parallel"
    """Who is compared with the joints of a well-centred person. parallel: the frozen parallel SPPE
    (the paper). For ablations, unfrozen: a parallel SPPE that learns as well; main: what the main
    network sees in the straight image, in place of a parallel SPPE."""
    teacher: str | None = None
    """Folder with the heat-maps of another network to learn from as well (experiments/teach.py);
    with loss cross_entropy."""
    teacher_weight: float = 1.0
    """Weight of the teacher's loss beside that of the labelled joints."""
    remat: Remat = "none"
    """blocks: of the networks only what residual blocks put out stays in memory for the gradient,
    and the rest is computed again: less memory, a third more arithmetic."""
    profile: Annotated[str | None, tyro.conf.arg(aliases=["--profile"])] = None
    """START:STOP: the steps after START up to STOP are traced by JAX's profiler."""
    log_every: int = 20
    evaluate_every: int = 0
    """Steps between evaluations on the validation split (0: only at the end)."""
    checkpoint_every: int = 200
    checkpoint_seconds: float = 300.0
    """A checkpoint is also written when this many seconds have passed since the last."""
    keep: int = 2
    """Newest checkpoints that are kept."""
    keep_best: int = 1
    """Checkpoints that are kept beside them: those of the best AP of `evaluate_every`."""


@dataclass(frozen=True)
class DevicesConfig:
    """How the devices of a run share the work; `train.batch_size` counts all of them together."""

    parallel: Annotated[
        Literal["jit", "pmap", "shard_map"], tyro.conf.arg(aliases=["--parallel"])
    ] = "jit"
    """jit: one program that sees the whole batch, cut up by the compiler. pmap, shard_map: one that
    sees a device's part, run by each."""
    count: int = 0
    """Devices that are used (0: all)."""
    parameters: Literal["replicated", "sharded"] = "replicated"
    """sharded: each device stores a part of every large parameter and of what the optimiser keeps
    of it (FSDP); with jit."""
    norm_groups: int = 0
    """Equal parts of the batch with batch statistics of their own (0: one a device; 1: the whole
    batch has one set, which costs two messages a layer)."""
    accumulate: int = 1
    """Parts of the batch that are learned from one after the other before each update, to save
    memory; each has batch statistics of its own."""
    distributed: bool = False
    """Several processes train together (`rmpe train CONFIG --distributed`), each started by the
    same command."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where no cluster tells (Cloud TPU, Slurm, Open MPI do)."""
    processes: int | None = None
    """How many processes there are, with `coordinator`."""
    process: int | None = None
    """Which of them this is, from 0, with `coordinator`."""
    stall_seconds: float = 300.0
    """Without a step for so long, all processes end and name the one that is lost."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How poses are computed and scored."""

    flip: bool = True
    """Average with the mirrored crop."""
    decode: Literal["argmax", "taylor", "expectation"] = "taylor"
    """argmax: peak and quarter step. taylor: sub-pixel step (DARK). expectation: mean."""
    blur: float = 0.0
    """taylor: maps are first smoothed by a Gaussian of this many heat-map pixels."""
    boxes: str | None = None
    """COCO-format detections to use as boxes; without it, the annotated boxes."""
    box_threshold: float = 0.0
    """Detections below this score are not used."""
    nms: str = "none"
    """Pose NMS: none, rmpe_mpii, alphapose_coco, or the fit_nms.json that `rmpe fit-nms` wrote."""
    jitter: float = 0.0
    """Annotated boxes are moved as in training, by this many times what was published; always in
    the same way."""
    resamples: int = 1000
    """Draws of photographs behind the interval of each figure (0: no intervals)."""


@dataclass(frozen=True)
class StageConfig:
    """One part of a run in stages: what differs from the run's settings."""

    name: str
    """Its folder in the work directory is its number and this name."""
    steps: int
    learning_rate: float
    transformer: bool = True
    """Use `model.stn`; without it the pose network is trained alone."""
    parallel: bool = True
    """Train the transformer by the parallel SPPE as well: `train.parallel`, or if that is None
    what the first stage ended with."""


@dataclass(frozen=True)
class BoxesConfig:
    """Whose boxes one part of a table of ablations is measured in."""

    name: str
    """As the table calls them."""
    train: str = ""
    """COCO-format detections on the training photographs, by a detector that has not seen them.
    What is fitted to boxes is fitted to these; "": to those of the first part."""
    validation: str = ""
    """The same on the validation photographs; or what finds them, as `rmpe detect` takes it."""
    config: str = ""
    """In place of both: the configuration file of a detector, which is trained twice, each time on
    half of the training photographs. The other half is boxed, and the first boxes validation."""
    jitter: float = 0.0
    """In place of all: the annotated boxes, moved by this many times the published Gaussian."""
    threshold: float = 0.0
    """Boxes of a lower score are not used."""


@dataclass(frozen=True)
class AblationConfig:
    """A table of ablations: `rmpe ablate`."""

    boxes: tuple[BoxesConfig, ...] = ()
    """A table each; PGPG is fitted to the boxes of the first."""
    most: int = 20
    """Boxes of a photograph: those of the highest scores."""
    atoms: int = 20
    """Atomic poses of PGPG."""


@dataclass(frozen=True)
class Config:
    """A whole run: `rmpe train configs/NAME.py`."""

    workdir: str = "runs/default"
    """Checkpoints, metrics.jsonl, results and pictures go here; an earlier run resumes."""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    devices: DevicesConfig = field(default_factory=DevicesConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    stages: tuple[StageConfig, ...] = ()
    """Stages that follow each other, each from the weights of the one before; none: one run."""
    ablation: AblationConfig = field(default_factory=AblationConfig)


def load(path: str) -> Config:
    """Return the checked `config` of a Python file, or raise ValueError saying what to type."""
    if not Path(path).is_file():
        known = sorted(str(file) for file in Path("configs").glob("*.py"))
        raise ValueError(
            f"no configuration file {path!r}; give a Python file with a value `config`"
            + (f", here for example: {', '.join(known)}" if known else "")
        )
    try:
        config = runpy.run_path(path).get("config")
    except TypeError as error:
        raise ValueError(f"{path}: {error}{_known_settings(str(error))}") from error
    if not isinstance(config, Config):
        raise ValueError(
            f"{path} sets no `config` of type rmpe_jax.config.Config "
            f"(found {type(config).__name__})"
        )
    return checked(from_dict(Config, to_dict(config)))


def checked(config: Config) -> Config:
    """Return the settings if every value is allowed; else raise ValueError naming the first."""
    for name, value, hint in _values(config, ""):
        allowed = get_args(hint) if get_origin(hint) is Literal else None
        if allowed is not None and value not in allowed:
            raise ValueError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
        if hint in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} is {value!r}; a number is expected")
        if hint is int and not isinstance(value, int):
            raise ValueError(f"{name} is {value!r}; a whole number is expected")
        lowest = LOWEST.get(re.sub(r"\.\d+\.", ".", name))
        if lowest is not None and not value >= lowest:
            raise ValueError(f"{name} is {value!r}; at least {lowest} is allowed")
    if not 0 <= config.optimiser.ema < 1:
        raise ValueError(f"optimiser.ema is {config.optimiser.ema!r}; 0 (none) to below 1")
    _check_proposals(config.augment)
    _check_teacher(config)
    names = [stage.name for stage in config.stages]
    if any(not re.fullmatch(r"[\w-]+", name) for name in names):
        raise ValueError(f"stages are called {names}; a name has letters, digits, - and _")
    return config


def _check_teacher(config: Config) -> None:
    if config.train.teacher is None:
        return
    if config.train.loss != "cross_entropy":
        raise ValueError("train.teacher is set; it needs --train.loss cross_entropy")
    if config.data.also:
        raise ValueError("train.teacher is set; it has seen one data set: data.also must be ()")


def to_dict(config: Any) -> dict[str, Any]:
    """Return the settings as plain values, for JSON."""
    return dataclasses.asdict(config)


def changed(config: Config, changes: dict[str, Any]) -> Config:
    """Return the settings with others by their dotted names; a ValueError names an unknown one."""
    values = to_dict(config)
    for name, value in changes.items():
        *groups, last = name.split(".")
        group = values
        for part in groups:
            group = group.get(part, {})
        if last not in group:
            raise ValueError(f"there is no setting {name!r}")
        group[last] = value
    return from_dict(Config, values)


def from_dict(kind: type[Settings], values: dict[str, Any]) -> Settings:
    """Return the settings that `to_dict` wrote; an unknown name is an error that lists the known.

    Settings that are missing (written by an earlier version) take their default.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"{kind.__name__} has no {unknown[0]!r}; it has {sorted(fields)}")
    made, hints = {}, get_type_hints(kind)
    for name, value in values.items():
        default = fields[name].default_factory
        item = next(iter(get_args(hints[name])), None)  # what a tuple holds
        if default is not dataclasses.MISSING and dataclasses.is_dataclass(default):
            made[name] = from_dict(default, value)  # type: ignore[arg-type]
        elif dataclasses.is_dataclass(item):
            made[name] = tuple(from_dict(item, part) for part in value)  # type: ignore[arg-type]
        else:
            made[name] = tuple(value) if isinstance(value, list) else value
    return kind(**made)


def _check_proposals(augment: AugmentConfig) -> None:
    """Refuse settings of one kind of proposals beside those of another."""
    for name, owner in (("pgpg", "pgpg"), ("detections", "jitter")):
        value = getattr(augment, name)
        if value is not None and augment.proposals != owner:
            raise ValueError(
                f"augment.{name} is {value!r} and augment.proposals {augment.proposals!r}, which "
                f"does not use it; type --augment.proposals {owner} or --augment.{name} None"
            )
    published = augment.proposals == "pgpg" and augment.pgpg is None
    if augment.jitter and augment.proposals != "none" and not published:
        raise ValueError(
            f"augment.jitter is {augment.jitter!r} and augment.proposals {augment.proposals!r}: a "
            "box is moved in one way; type --augment.jitter 0 or --augment.proposals none"
        )


def _values(settings: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, value, type) of every setting."""
    hints = get_type_hints(type(settings))
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{prefix}{entry.name}.")
        elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
            for number, part in enumerate(value):
                yield from _values(part, f"{prefix}{entry.name}.{number}.")
        else:
            yield f"{prefix}{entry.name}", value, hints[entry.name]


def _known_settings(message: str) -> str:
    """Return what the group of settings that a TypeError speaks of has, or nothing."""
    groups = (Config, *(type(value) for value in vars(Config()).values()))
    for group in groups:
        if message.startswith(f"{group.__name__}."):
            names = [entry.name for entry in dataclasses.fields(group) if entry.init]
            return f"; {group.__name__} has {', '.join(names)}"
    return ""
