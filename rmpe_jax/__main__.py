"""The command line: `rmpe prepare | train | eval | score | predict | ...`. Parsing only.

Heavy imports are inside the commands, so that `rmpe --help` answers at once.
"""

import json
import logging
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rmpe_jax import config as configs
from rmpe_jax.config import Config

if TYPE_CHECKING:
    from rmpe_jax.sources import Input

ABOUT = "RMPE: train, evaluate and run pose networks for many people, in JAX."
CACHE = "~/.cache/rmpe_jax/compiled"


@dataclass(frozen=True)
class Train:
    """Train a network: `rmpe train CONFIG.py [--train.steps 500 ...]`; resumes by itself."""

    config: tyro.conf.Positional[str]
    """A Python file that sets `config`. `rmpe train CONFIG.py --help` lists its settings."""

    def run(self, overrides: Sequence[str] = ()) -> None:
        """Train with the file's settings, changed by the overrides."""
        flag = {"--distributed": ("--devices.distributed", "True")}
        overrides = [word for given in overrides for word in flag.get(given, (given,))]
        chosen = _overridden(self.config, overrides, "train")
        from rmpe_jax.training.loop import train

        train(chosen)


@dataclass(frozen=True)
class Plan:
    """Say what a training step needs on each chip of a pod that is not there, and what fits."""

    config: tyro.conf.Positional[str]
    """A Python file that sets `config`; its settings can be changed as for `rmpe train`."""
    topology: str = "here"
    """A TPU slice, as v5e:4x4, v5e:16x16, v6e:8x8 or v4:2x2x4 (pip install 'rmpe_jax[tpu]'; no TPU
    is needed); here: the devices of this machine."""
    parallel_config: str | None = None
    """The Python file of the parallel SPPE's run, if train.parallel is not there yet."""
    per_chip: int | None = None
    """People a chip, of one program (default: two programs, and the largest batch that fits)."""
    out: Path | None = None
    """A JSON file for the plan."""

    def run(self, overrides: Sequence[str] = ()) -> None:
        """Compile, print what was found."""
        chosen = _overridden(self.config, overrides, "plan")
        if self.topology != "here":  # the compiler needs no devices, and those here would be slow
            os.environ["JAX_PLATFORMS"] = "cpu"
        from rmpe_jax.planning import pod
        from rmpe_jax.planning.plan import plan
        from rmpe_jax.planning.table import table

        devices = pod.here() if self.topology == "here" else pod.pod(self.topology)
        parallel = self.parallel_config and configs.load(self.parallel_config)
        made = plan(chosen, devices, parallel=parallel or None, per_chip=self.per_chip)
        print(f"\n{table(made)}")
        if self.out is not None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.out.write_text(json.dumps(made, indent=1) + "\n")
            print(f"written: {self.out}")


@dataclass(frozen=True)
class Prepare:
    """Pack a data set for training, and show what is in it: `rmpe prepare crowdpose DIR`."""

    name: tyro.conf.Positional[configs.Source]
    """The data set; coco: any annotations in COCO's format."""
    root: tyro.conf.Positional[str]
    """Its folder."""
    split: Literal["train", "validation", "both"] = "both"
    """Which part."""
    annotations: str = ""
    """File (PoseTrack: folder) below the folder, for a single split (default: as published)."""
    images: str = ""
    """Folder of its images (default: as published)."""
    skeleton: str = ""
    """The joints to take: a name (COCO17, ...) or a JSON file (default: those of the set)."""
    missing: Literal["skip", "error"] = "skip"
    """Images that cannot be read."""
    out: str = configs.DataConfig.prepared
    """Where to write; `--data.prepared` of a run."""
    beam_runner: str | None = None
    """Name of an Apache Beam runner that writes the shards in parallel, for large sets."""

    def run(self) -> None:
        """Write, check, print."""
        from rmpe_jax.data import dataset, listing, summary

        if self.split == "both" and (self.annotations or self.images):
            raise ValueError("--annotations and --images are of one split: type --split as well")
        config = configs.DataConfig(
            source=self.name,
            root=self.root,
            train_annotations=self.annotations,
            train_images=self.images,
            validation_annotations=self.annotations,
            validation_images=self.images,
            skeleton=self.skeleton,
            missing=self.missing,
            prepared=self.out,
        )
        for split in listing.published(config) if self.split == "both" else (self.split,):
            source = dataset.prepare(config, split, beam_runner=self.beam_runner)
            damaged = dataset.verify(source)
            if damaged:
                raise ValueError(
                    f"{damaged[0]}; remove {source.folder} and type the same command again"
                )
            sheet = summary.write_contact_sheet(source)
            print(f"{summary.table(source)}\npicture: {sheet or 'nobody to show'}\n")


@dataclass(frozen=True)
class Eval:
    """Evaluate a trained network on its validation photographs, or compare two results."""

    checkpoint: tyro.conf.Positional[str | None] = None
    """Work directory of a run (its newest checkpoint), or one checkpoint, as RUN/checkpoints/400:
    the best that was kept, for example."""
    compare: tuple[str, str] | None = None
    """Two folders with results (of --out): prints how B differs from A, with intervals."""
    boxes: str | None = None
    """COCO-format detections to use as boxes (default: the annotated boxes)."""
    box_threshold: float = 0.0
    """Detections below this score are not used."""
    nms: str = "none"
    """Pose NMS: none, rmpe_mpii, alphapose_coco, or the fit_nms.json of `rmpe fit-nms`."""
    split: Literal["validation", "train"] = "validation"
    """Which photographs; what is fitted (fit-nms, fit-pgpg) must come from train."""
    jitter: float | None = None
    """Annotated boxes are moved by this many times the published Gaussian (default: as set for
    the run; 0: not)."""
    flip: Literal["on", "off"] | None = None
    """Average with the mirrored crop (default: as trained)."""
    decode: Literal["argmax", "taylor", "expectation"] | None = None
    """From heat-map to joint (default: as trained)."""
    blur: float | None = None
    """taylor: smooth the heat-maps by this many pixels first (default: as trained)."""
    data_set: Annotated[configs.Source | None, tyro.conf.arg(name="set")] = None
    """Another data set than that of the run, in --data.root; its joints are taken by name."""
    annotations: str = ""
    """With --set: its annotations below the folder (default: as published)."""
    images: str = ""
    """With --set: its images (default: as published)."""
    data_root: Annotated[str | None, tyro.conf.arg(name="data.root")] = None
    """Where the data is, if not where it was at training."""
    prepared: str | None = None
    """Where records are (default: as for the run)."""
    resamples: int | None = None
    """Draws behind the intervals (default: as set for the run; 0: none)."""
    out: str | None = None
    """Folder for result.json and records.json (default: eval/ in the work directory, or of one
    checkpoint eval_400/)."""

    def run(self) -> None:
        """Print the table, write the result."""
        if self.compare is not None:
            from rmpe_jax.evaluation import compare

            print(compare.table(compare.compare(*map(Path, self.compare))))
            return
        if self.checkpoint is None:
            raise ValueError("give the work directory of a run, or --compare FOLDER_A FOLDER_B")
        from rmpe_jax.checkpoint import is_step
        from rmpe_jax.data.dataset import prepare
        from rmpe_jax.evaluation.report import table, write
        from rmpe_jax.evaluation.run import evaluate
        from rmpe_jax.predict import load

        model = load(self.checkpoint)
        old = model.config.evaluation
        settings = replace(
            old,
            boxes=self.boxes,
            box_threshold=self.box_threshold,
            nms=self.nms,
            jitter=old.jitter if self.jitter is None else self.jitter,
            flip=old.flip if self.flip is None else self.flip == "on",
            decode=self.decode or old.decode,
            blur=old.blur if self.blur is None else self.blur,
            resamples=old.resamples if self.resamples is None else self.resamples,
        )
        data = _data(self, model.config.data)
        config = configs.checked(replace(model.config, evaluation=settings, data=data))
        model = replace(model, config=config)
        source = prepare(data, self.split).with_joints(model.skeleton)
        evaluated = evaluate(model, source)
        run = Path(self.checkpoint)
        folder = run.parent.parent / f"eval_{run.name}" if is_step(run) else run / "eval"
        written = write(Path(self.out or folder), evaluated, source)
        print(table(evaluated.result))
        print(f"written: {', '.join(map(str, written))}")


@dataclass(frozen=True)
class Score:
    """Score poses that any program found: COCO results on a data set, by all of its metrics."""

    poses: tyro.conf.Positional[Path]
    """The folder --out of `rmpe predict`, or COCO results of any program: a list of {image_id,
    keypoints [x, y, score, ...], score}, if you like with bbox (for AP by box) and person_id (for
    PCKh, PCK and PCP). An image_id may be the file's name. Sets without numbers have those of the
    file names: 5 for im0005.jpg, 5808361 for 005808361.jpg."""
    name: tyro.conf.Positional[configs.Source]
    """The data set."""
    root: tyro.conf.Positional[str]
    """Its folder."""
    split: Literal["validation", "train"] = "validation"
    """Which photographs."""
    annotations: str = ""
    """Below the folder (default: as published)."""
    images: str = ""
    """Below the folder (default: as published)."""
    skeleton: str = ""
    """The joints of the poses, if not those of the set: a name or a JSON file."""
    unknown: Literal["error", "skip"] = "error"
    """Poses of images that are not in the set."""
    prepared: str = configs.DataConfig.prepared
    """Where records are written once."""
    resamples: int = configs.EvaluationConfig.resamples
    """Draws behind the intervals (0: none)."""
    out: Path = Path("scores")
    """Folder for the result."""

    def run(self) -> None:
        """Print the table, write the result."""
        from rmpe_jax.data import poses_files
        from rmpe_jax.data.dataset import prepare
        from rmpe_jax.evaluation.report import table, write
        from rmpe_jax.evaluation.run import score_records

        config = configs.DataConfig(
            source=self.name,
            root=self.root,
            train_annotations=self.annotations,
            train_images=self.images,
            validation_annotations=self.annotations,
            validation_images=self.images,
            skeleton=self.skeleton,
            prepared=self.prepared,
        )
        records = poses_files.read(self.poses)
        source = prepare(config, self.split)
        skip = (lambda told: print(f"skipped: {told}")) if self.unknown == "skip" else None
        evaluated = score_records(source, records, on_skip=skip, resamples=self.resamples)
        written = write(self.out, evaluated, source)
        print(table(evaluated.result))
        print(f"written: {', '.join(map(str, written))}")


@dataclass(frozen=True)
class Detect:
    """Box people with a detector: the file that --boxes, fit-pgpg and train read."""

    detector: tyro.conf.Positional[str]
    """shipped (that of the package), the work directory of a detector's run or its file of `rmpe
    pack`, an .onnx file, or hog (OpenCV's, a baseline)."""
    files: tyro.conf.Positional[tuple[str, ...]] = ()
    """Image files; without any, the photographs of a set (default: the run's), on which boxes are
    scored."""
    onnx_layout: configs.OnnxLayout = "auto"
    """What an .onnx file puts out."""
    split: Literal["validation", "train"] = "validation"
    """Which photographs of the set."""
    data_set: Annotated[configs.Source | None, tyro.conf.arg(name="set")] = None
    """The data set, in --data.root."""
    annotations: str = ""
    """With --set: its annotations below the folder (default: as published)."""
    images: str = ""
    """With --set: its images (default: as published)."""
    data_root: Annotated[str | None, tyro.conf.arg(name="data.root")] = None
    """Where the data is, if not where it was at training."""
    prepared: str | None = None
    """Where records are (default: as for the run)."""
    cross_fit: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Box the training photographs of a run (or of a CONFIG.py) by detectors that have not seen
    them: as many as `folds` are trained, each without one part, in folders of the run. To fit PGPG
    and pose NMS."""
    folds: int = 2
    """Parts of --cross-fit."""
    steps: int | None = None
    """Training steps of each of them (default: those of the run)."""
    out: Path = Path("boxes.json")
    """COCO-format detections; of image files by their names."""

    def run(self) -> None:
        """Write the boxes, and print how good they are where that is known."""
        found = self._cross_fitted() if self.cross_fit else self._found()
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(json.dumps(found))
        print(f"{len(found)} boxes in {self.out}; use them: rmpe eval ... --boxes {self.out}")

    def _cross_fitted(self) -> list[dict[str, Any]]:
        from rmpe_jax import human_detector
        from rmpe_jax.evaluation import human_boxes
        from rmpe_jax.training.cross_fit import cross_fit

        if self.files:
            raise ValueError("--cross-fit boxes the training photographs of a run: no image files")
        given = self.detector
        is_file = given.endswith(".py")
        config = configs.load(given) if is_file else human_detector.load(given).config
        steps = config.train.steps if self.steps is None else self.steps
        train = replace(config.train, steps=steps)
        data = _data(self, config.data)
        result, found = cross_fit(replace(config, train=train, data=data), self.folds)
        print(human_boxes.table(result))
        return found

    def _found(self) -> list[dict[str, Any]]:
        from rmpe_jax import detection
        from rmpe_jax.data import images
        from rmpe_jax.data.dataset import prepare
        from rmpe_jax.evaluation import human_boxes
        from rmpe_jax.human_detector import DetectorModel

        detector = detection.detector(self.detector, onnx_layout=self.onnx_layout)
        if self.files:
            return [
                record
                for path in map(Path, self.files)
                for record in human_boxes.records(detector(images.read(path)), path.name)
            ]
        of_run = detector.config.data if isinstance(detector, DetectorModel) else None
        if self.data_set is None and of_run is None:
            raise ValueError("give image files, or a data set: --set NAME --data.root DIR")
        data = _data(self, of_run or configs.DataConfig())
        result, found = human_boxes.evaluate(detector, prepare(data, self.split))
        print(human_boxes.table(result))
        return found


@dataclass(frozen=True)
class Predict:
    """Find the poses of people in photographs, videos or before a camera."""

    images: tyro.conf.Positional[tuple[str, ...]] = ()
    """Image files, folders of them, patterns such as 'DIR/**/*.jpg', video files."""
    checkpoint: str | None = None
    """Work directory of a run, or a file of `rmpe pack` (default: the network of the package)."""
    image: str | None = None
    """One more of them."""
    indir: str | None = None
    """A folder of images."""
    list_file: Annotated[str | None, tyro.conf.arg(name="list")] = None
    """A text file with the path of an image or video on each line."""
    video: str | None = None
    """A video file."""
    webcam: int | None = None
    """The number of a camera, from 0."""
    boxes: Annotated[str, tyro.conf.arg(aliases=["--detfile"])] = "shipped"
    """shipped: the detector of the package finds people. Or: COCO-format detections (by image_id or
    file name); the work directory of a detector's run, or its file of `rmpe pack`; an .onnx file;
    hog (OpenCV's detector, a baseline); one box as "x0,y0,x1,y1" in pixels; whole (the whole image
    is one person's box)."""
    onnx_layout: configs.OnnxLayout = "auto"
    """What an .onnx file of --boxes puts out."""
    nms: str | None = None
    """Pose NMS, for boxes of a detector: none, rmpe_mpii, alphapose_coco, or a fit_nms.json
    (default: that of the model, or none)."""
    box_threshold: float | None = None
    """Boxes below this score are not used (default: 0.3 of a detector, 0 of a file)."""
    most: int = 100
    """People a frame: of more, those with the best boxes are kept."""
    max_pixels: int = 50_000_000
    """Larger pictures are refused."""
    out: Annotated[str, tyro.conf.arg(aliases=["--outdir"])] = "poses"
    """Folder for poses.json, frames.json (one record a frame), pictures and videos."""
    format: Literal["coco", "cmu", "openpose", "open"] = "coco"
    """Of poses.json: COCO results, or CMU's or OpenPose's 18 joints, one record an image."""
    save_img: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A picture of every frame of a video as well; image files get one without it."""
    no_pictures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Of image files neither."""
    save_video: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A video (.mp4) of each video with the poses on it, or of all images."""
    vis: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show them in a window."""
    distributed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Several processes, each started by the same command, share the files; each writes its part
    (`rmpe score` takes the folder and reads all of them)."""
    coordinator: str | None = None
    """With --distributed: HOST:PORT of process 0, where no cluster tells (Cloud TPU, Slurm, Open
    MPI do)."""
    processes: int | None = None
    """How many processes there are, with --coordinator."""
    process: int | None = None
    """Which of them this is, from 0, with --coordinator."""

    def run(self) -> None:
        """Write poses, pictures and videos."""
        # Damaged videos make FFmpeg write pages; what is wrong is said in frames.json.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        from rmpe_jax import meeting, processes, sources
        from rmpe_jax.predict import load
        from rmpe_jax.predict_files import Settings, predict_files
        from rmpe_jax.shares import WHOLE

        self._check()
        given = processes.Given(self.coordinator, self.processes, self.process)
        inputs, share = (
            meeting.agreed(self._inputs, given) if self.distributed else (self._inputs(), WHOLE)
        )
        found = sources.opened(share.of(inputs), max_pixels=self.max_pixels)
        if self.webcam is not None:
            camera = sources.camera(self.webcam, place=len(inputs), max_pixels=self.max_pixels)
            found.append(camera)
        settings = Settings(
            nms=self.nms,
            box_threshold=self.box_threshold,
            onnx_layout=self.onnx_layout,
            most=self.most,
            layout=self.format,
            pictures="all" if self.save_img else "none" if self.no_pictures else "files",
            save_video=self.save_video,
            vis=self.vis,
        )
        model = load(self.checkpoint)
        predict_files(model, found, self.boxes, Path(self.out), settings, share=share)

    def _check(self) -> None:
        """Raise ValueError for options that contradict each other."""
        if self.no_pictures and self.save_img:
            raise ValueError("--save-img and --no-pictures contradict each other: type one of them")
        if self.distributed and self.webcam is not None:
            raise ValueError("--distributed shares files out, and a camera is none: leave one out")
        who = (self.coordinator, self.processes, self.process)
        if who != (None, None, None) and not self.distributed:
            raise ValueError("--coordinator, --processes and --process want --distributed as well")

    def _inputs(self) -> "list[Input]":
        """Return the files that are named."""
        from rmpe_jax import sources

        given: list[str | Path] = [*self.images, *([] if self.image is None else [self.image])]
        given += [] if self.indir is None else sources.folder(Path(self.indir).expanduser())
        given += [] if self.list_file is None else sources.listed(Path(self.list_file).expanduser())
        videos = [] if self.video is None else [Path(self.video).expanduser()]
        inputs = sources.inputs(given, videos=videos)
        if not inputs and self.webcam is None:
            raise ValueError("no images were given; type rmpe predict PHOTO.jpg")
        return inputs


@dataclass(frozen=True)
class FitPgpg:
    """Fit the pose-guided proposals generator: how a detector's boxes lie about people, by pose."""

    out: str
    """The file to write (.json); two pictures go beside it."""
    annotations: tyro.conf.Positional[str | None] = None
    """COCO keypoint annotations."""
    detections: str | None = None
    """COCO-format detections on the same photographs; without it, atomic poses alone."""
    poses: str | None = None
    """NumPy archive with keypoints [n k 3] for the atomic poses (default: the annotations)."""
    atoms: int | None = None
    """Number of atomic poses (default: at the elbow of the distortion)."""
    least_pairs: int = 200
    """Atoms with fewer matched people take the density of everybody."""
    least_score: float = 0.0
    """Detections below this score are not used."""
    prior: float = 200.0
    """An atom's mixture is that of everybody, adapted as if this many people lay like everybody.
    0: a mixture of its own, of 1 to 3 components by BIC (the paper)."""
    seed: int = 0
    """Of the starts of the clustering and of the mixtures."""

    def run(self) -> None:
        """Print what was found."""
        from rmpe_jax.data.fit_pgpg import FitSettings, fit_pgpg, table

        files = (self.annotations, self.detections, self.poses)
        paths = (None if name is None else Path(name).expanduser() for name in files)
        settings = FitSettings(
            self.atoms, self.least_pairs, self.least_score, self.prior, self.seed
        )
        out = Path(self.out)
        print(table(fit_pgpg(out, *paths, settings=settings)))
        print(f"written: {out}; use it by --augment.proposals pgpg --augment.pgpg {out}")


@dataclass(frozen=True)
class FitNms:
    """Learn the parameters of pose NMS from redundant poses, by maximising average precision."""

    poses: tyro.conf.Positional[Path]
    """Poses before any NMS: records.json of `rmpe eval --boxes ...`, or a NumPy archive."""
    annotations: tyro.conf.Positional[Path]
    """COCO keypoint annotations of the same photographs."""
    out: Path = Path("nms")
    """Folder for fit_nms.json, trace.json and pairs.png; an interrupted search goes on there."""
    test_poses: Path | None = None
    """Poses of other photographs, on which all is measured."""
    test_annotations: Path | None = None
    """Their annotations."""
    start: str = "rmpe_mpii"
    """Where the search begins: rmpe_mpii, alphapose_coco, or an earlier fit_nms.json."""
    only_with_poses: bool = False
    """Leave out annotated photographs without a pose: for poses of a part of the photographs."""
    most_photographs: int = 5000
    """Of more photographs as many are chosen at random: memory grows with them."""
    quick: bool = False
    """A coarse search of a few minutes."""

    def run(self) -> None:
        """Search, write the result, print the table."""
        from rmpe_jax import nms_sets
        from rmpe_jax.evaluation.fit_nms import fit_nms
        from rmpe_jax.evaluation.nms_comparison import table
        from rmpe_jax.evaluation.nms_search import QUICK, STANDARD

        start = nms_sets.chosen(self.start)
        if start is None:
            raise ValueError("--start none: a search begins somewhere, such as at rmpe_mpii")
        result = fit_nms(
            self.poses,
            self.annotations,
            self.out,
            test_poses=self.test_poses,
            test_annotations=self.test_annotations,
            start=start,
            only_with_poses=self.only_with_poses,
            most_photographs=self.most_photographs,
            thoroughness=QUICK if self.quick else STANDARD,
        )
        print(table(result))
        print(f"written: {self.out / 'fit_nms.json'}; use it: rmpe eval ... --nms FILE")


@dataclass(frozen=True)
class Pack:
    """Write a trained network, for poses or boxes, to one small file that can be passed on."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Work directory of a run."""
    out: Path
    """The file to write (.safetensors); it is given wherever a work directory is."""

    def run(self) -> None:
        """Write it."""
        from rmpe_jax.pack_run import pack_run

        size = pack_run(self.run_folder, self.out)
        print(f"written: {self.out}, {size / 1e6:.1f} MB")


@dataclass(frozen=True)
class Inspect:
    """Show how the loss reaches theta through STN, SDTN and the frozen branch: one HTML page."""

    checkpoint: tyro.conf.Positional[Path]
    """Work directory of a run, one of its checkpoints, or a file of `rmpe pack`."""
    image: tyro.conf.Positional[Path]
    """A photograph."""
    boxes: str = "shipped"
    """Who is on it: shipped (the detector of the package), one box as "x0,y0,x1,y1" in pixels,
    whole (the whole image), or what else `rmpe predict --boxes` takes."""
    example: int = 1
    """Which of the people in the boxes, from 1 as numbered on the page."""
    joints: Path | None = None
    """COCO annotations of the photograph (default: the pose that the network finds is the
    target)."""
    parallel: Path | None = None
    """Work directory of the frozen parallel network (default: that of the run)."""
    out: Path = Path("report.html")
    """The page: one file, which opens without a server or a network."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Its numbers as well, in a file of the same name that ends in .json."""

    def run(self) -> None:
        """Write the page."""
        from rmpe_jax.inspection.report import Request, inspect

        wanted = Request(
            self.checkpoint.expanduser(),
            self.image.expanduser(),
            self.boxes,
            self.joints,
            self.example,
            self.parallel,
        )
        print("looking into it; on two cores this takes a minute or two the first time")
        written = inspect(wanted, self.out, as_json=self.json)
        print(f"written: {', '.join(map(str, written))}")


@dataclass(frozen=True)
class Demo:
    """Serve a page on this machine: poses under pose NMS, and gradients under a theta by hand."""

    checkpoint: tyro.conf.Positional[Path | None] = None
    """Work directory of a run, one of its checkpoints, or a file of `rmpe pack` (default: the
    network of the package)."""
    boxes: str = "shipped"
    """Who finds people in a picture: what `rmpe predict --boxes` takes."""
    parallel: Path | None = None
    """Work directory of the frozen parallel network (default: that of the run, or the network
    itself)."""
    host: str = "127.0.0.1"
    """Address to listen on. The default is this machine alone; 0.0.0.0 lets everybody in who can
    reach it."""
    port: int = 7860
    """Port to listen on."""

    def run(self) -> None:
        """Serve it until Ctrl-C."""
        try:
            from rmpe_jax.demo import page
        except ModuleNotFoundError as error:
            if error.name != "gradio":
                raise
            raise ValueError(
                "`rmpe demo` needs Gradio, which is not installed: pip install 'rmpe_jax[demo]'"
            ) from error
        print("loading and compiling; on two cores this takes half a minute the first time")
        checkpoint = self.checkpoint and self.checkpoint.expanduser()
        networks = page.networks(checkpoint, parallel=self.parallel, boxes=self.boxes)
        page.warm(networks)
        print(f"open http://{self.host}:{self.port} in a browser; Ctrl-C ends it", flush=True)
        page.serve(page.page(networks), host=self.host, port=self.port)


@dataclass(frozen=True)
class Ablate:
    """Reproduce the paper's Table 3: train, detect, fit and score all rows; resumes by itself."""

    config: tyro.conf.Positional[str]
    """A Python file that sets `config`, with its `ablation`; its settings can be changed as for
    `rmpe train`."""
    rows: str | None = None
    """Rows by name, with commas between them (full is always there); all: the extensions as well
    (default: the ten of the paper)."""
    seeds: int = 1
    """Trainings of each row, from other random numbers."""

    def run(self, overrides: Sequence[str] = ()) -> None:
        """Do what is not done yet, print the table."""
        chosen = _overridden(self.config, overrides, "ablate")
        from rmpe_jax.ablation import rows, run, table

        made = run.ablate(chosen, rows.chosen(self.rows), self.seeds)
        print(f"\n{table.markdown(made)}")
        print(f"written: {', '.join(map(str, run.files(chosen)))}")
        failed = [
            f"{name}, {row['label']}: {'; '.join(row['failed'])}"
            for name, column in made["columns"].items()
            for row in column["rows"].values()
            if "failed" in row
        ]
        if failed:
            raise ValueError(
                f"{len(failed)} rows failed, the first: {failed[0]}. The same command tries them "
                "again"
            )


@dataclass(frozen=True)
class Doctor:
    """Print devices, versions and data found, and what to do about what is missing."""

    def run(self) -> None:
        """Print the report."""
        from rmpe_jax.doctor import report

        facts, advice = report()
        print("\n".join(facts))
        print("\nTo do:" if advice else "\nNothing is missing.")
        for line in advice:
            print(f"- {line}")


Command = (
    Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Plan, tyro.conf.subcommand("plan")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Score, tyro.conf.subcommand("score")]
    | Annotated[Detect, tyro.conf.subcommand("detect")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Ablate, tyro.conf.subcommand("ablate")]
    | Annotated[FitPgpg, tyro.conf.subcommand("fit-pgpg")]
    | Annotated[FitNms, tyro.conf.subcommand("fit-nms")]
    | Annotated[Pack, tyro.conf.subcommand("pack")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def main() -> None:
    """Run one command; a mistake of the user ends with its message, not with a traceback."""
    arguments = sys.argv[1:]
    # Orbax warns of what we ask it to do, and logs each error that it raises as well, with pages.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    try:
        # The settings of a configuration are options of `train`, known once the file is read.
        if arguments[:1] == ["train"] and len(arguments) > 1 and not arguments[1].startswith("-"):
            _keep_compiled()
            Train(arguments[1]).run(arguments[2:])
            return
        overridable = {"plan": Plan, "ablate": Ablate}
        if arguments and arguments[0] in overridable and not {"-h", "--help"} & set(arguments):
            name, *rest = arguments
            command, overrides = tyro.cli(
                overridable[name], args=rest, prog=f"rmpe {name}", return_unknown_args=True
            )
            if name == "ablate":
                _keep_compiled()
            command.run(overrides)
            return
        command = tyro.cli(Command, args=arguments, prog="rmpe", description=ABOUT)
        _keep_compiled()
        command.run()
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells have it
    except (ValueError, ArithmeticError, OSError) as error:
        if os.environ.get("RMPE_DEBUG"):
            raise
        sys.exit(f"rmpe: {error}\n(RMPE_DEBUG=1 rmpe ... shows where this came from)")


def _overridden(file: str, overrides: Sequence[str], command: str) -> Config:
    """Return the settings of a file, changed by options such as --train.steps 500."""
    chosen = tyro.cli(
        Config,
        default=configs.load(file),
        args=overrides,
        prog=f"rmpe {command} {file}",
        config=(tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands),
    )
    return configs.checked(chosen)


def _data(given: Eval | Detect, of_run: configs.DataConfig) -> configs.DataConfig:
    """Return the data of a run, or of the set that was given in its place."""
    data = of_run
    if given.data_set is None and (given.annotations or given.images):
        raise ValueError("--annotations and --images are of another set: type --set NAME as well")
    if given.data_set is not None:
        data = configs.DataConfig(
            source=given.data_set,
            train_annotations=given.annotations,
            train_images=given.images,
            validation_annotations=given.annotations,
            validation_images=given.images,
            prepared=data.prepared,
        )
    if given.data_root is not None:
        data = replace(data, root=given.data_root)
    if given.prepared is not None:
        data = replace(data, prepared=given.prepared)
    return data


def _keep_compiled() -> None:
    """Keep compiled programs on disk, so that a second start of the same run is quick.

    In a folder of this machine's own: programs made for one processor may not run on another that
    shares the home directory. A user's JAX_COMPILATION_CACHE_DIR goes first.
    """
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    jax.config.update("jax_compilation_cache_dir", str(Path(CACHE).expanduser() / platform.node()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


if __name__ == "__main__":
    main()
