"""Speed and memory of prediction: the call after detection, a stream, and a fresh process.

    python experiments/benchmarks/predict.py RUN DETECTOR FOLDER

RUN is the work directory of a pose network, DETECTOR that of a detector, FOLDER holds photographs,
which are brought to 512 pixels on their longer side. Measured are

- photographs a second of `stream` from files with the detector, the 3 best boxes of each kept, and
  the peak of resident memory;
- milliseconds a photograph for 1 to 50 people, everything after detection. Of it: cropping, network
  (with the mirror images, if the run has them), decoding and pose NMS, each compiled alone on the
  same rows; the rest is checking, padding, the way to the device and back;
- seconds and memory of `rmpe predict` on one photograph in a fresh process, with an empty and with
  a filled cache of compiled programs.

Medians over the rounds count; each round runs every case once. Writes
experiments/results/benchmark_predict.json.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import common
import jax
import numpy as np

from rmpe_jax import canvas, chain, detection, drawing, sources
from rmpe_jax.data import images
from rmpe_jax.pose_nms import RMPE_MPII, pose_nms
from rmpe_jax.predict import PoseModel, load

PEOPLE = (1, 2, 5, 10, 20, 50)
LONGER_SIDE = 512
IN_STREAM = 3  # people a photograph, those with the best boxes
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def write_photographs(folder: Path, out: Path) -> list[Path]:
    """Write the pictures of a folder with a longer side of 512 pixels; return their files."""
    written = []
    for path in sources.folder(folder):
        image = images.read(path)
        written.append(out / f"{path.stem}.png")
        drawing.write(written[-1], drawing.resized(image, LONGER_SIDE / max(image.shape)))
    return written


def medians(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each job, run in turn `rounds` times."""
    for job in jobs.values():
        jax.block_until_ready(job())
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.perf_counter()
            jax.block_until_ready(job())
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def jobs_after_detection(
    model: PoseModel, image: np.ndarray, people: int
) -> dict[str, Callable[[], Any]]:
    """Return what is done with one photograph: all of it, and its parts on the same rows."""
    generator = np.random.default_rng(0)
    size = np.array(image.shape[1::-1])
    low = generator.uniform(0, 0.5, (people, 2)) * size
    boxes = np.concatenate([low, low + generator.uniform(0.2, 0.5, (people, 2)) * size], axis=1)
    on_host, detections = canvas.padded(canvas.proposed(image, boxes, None))
    pixels, boxes_px = jax.numpy.asarray(on_host), jax.numpy.asarray(detections.boxes_px)
    crop = jax.jit(partial(chain.cropped, config=model.config))
    network = jax.jit(
        partial(
            chain.heatmaps_straight,
            module=model.module,
            config=model.config,
            flip_order=model.skeleton.flip_order,
        )
    )
    decode = jax.jit(partial(chain.decoded, settings=model.config.evaluation))
    crops, _ = crop(pixels, boxes_px)
    maps = network(model.variables, crops)
    found = replace(model, nms=None)(image, boxes)
    poses = jax.tree.map(
        lambda field: jax.numpy.asarray(np.resize(field, (len(crops), *field.shape[1:]))), found
    )
    return {
        "all": partial(model, image, boxes),
        "crop": partial(crop, pixels, boxes_px),
        "network": partial(network, model.variables, crops),
        "decode": partial(decode, maps),
        "nms": partial(pose_nms, poses, *RMPE_MPII),
    }


def after_detection(model: PoseModel, image: np.ndarray, rounds: int) -> dict[str, Any]:
    """Return milliseconds for each number of people, and the shares of the parts."""
    cases = {}
    for people in PEOPLE:
        times = medians(jobs_after_detection(model, image, people), rounds)
        total = times.pop("all")
        shares = {part: round(value / total, 3) for part, value in times.items()}
        shares["rest"] = round(1 - sum(times.values()) / total, 3)
        cases[f"{people} people"] = {"ms": round(total, 1), "shares": shares}
        print(f"{people} people: {cases[f'{people} people']}", flush=True)
    return cases


def streamed(model: PoseModel, paths: list[Path], rounds: int) -> dict[str, Any]:
    """Return photographs a second from file to poses, and the memory that this process took."""

    def run() -> list[int]:
        return [len(result.poses.valid) for result in model.stream(paths, most=IN_STREAM)]

    poses = run()
    seconds = medians({"stream": run}, rounds)["stream"] / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT
    return {
        "photographs": len(paths),
        "photographs a second": round(len(paths) / seconds, 2),
        "poses a photograph": round(statistics.mean(poses), 2),
        "peak memory GB": round(peak / 1e9, 2),
    }


def fresh(photograph: Path, run: str, detector: str, home: str) -> dict[str, float]:
    """Return seconds and peak memory of `rmpe predict` in a process of its own."""
    command = [sys.executable, "-m", "rmpe_jax", "predict", str(photograph), "--checkpoint", run]
    command += ["--boxes", detector, "--nms", "rmpe_mpii", "--out", f"{home}/poses"]
    environment = {**os.environ, "HOME": home}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "peak memory GB": round(usage.ru_maxrss * BYTES_PER_UNIT / 1e9, 2),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="work directory of a pose network")
    parser.add_argument("detector", help="work directory of a detector")
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    load_before = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "photographs").mkdir()
        paths = write_photographs(arguments.folder, Path(scratch) / "photographs")
        detect = detection.chosen(arguments.detector, threshold=0.0)
        model = replace(load(arguments.run), detect=detect, nms=RMPE_MPII)
        stream = streamed(model, paths, max(1, arguments.rounds // 3))
        print(stream, flush=True)
        cases = after_detection(model, images.read(paths[0]), arguments.rounds)
        home = f"{scratch}/home"
        Path(home).mkdir()
        starts = [fresh(paths[0], arguments.run, arguments.detector, home) for _ in range(2)]
    common.write(
        "predict",
        {
            "versions": {"jax": jax.__version__, "numpy": np.__version__},
            "device": str(jax.devices()[0]),
            "run": Path(arguments.run).name,
            "detector": Path(arguments.detector).name,
            "rounds": arguments.rounds,
            "load_before": load_before,
            "after detection": cases,
            "stream": stream,
            "empty cache": starts[0],
            "filled cache": starts[1],
        },
    )


if __name__ == "__main__":
    main()
