"""Memory and speed of `rmpe predict` on a short and on a long video.

    python experiments/benchmarks/video.py [--frames 200 5000]

The frames of one test video are repeated until there are as many; each length runs in a fresh
process with detector, pose network and pose NMS of the package, writing poses and a film. Memory is
to be the same, whatever the length. Writes experiments/results/benchmark_video.json.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

from rmpe_jax.config import example_data
from rmpe_jax.data import images
from rmpe_jax.sources import folder as pictures_in
from rmpe_jax.video_files import video_file

FPS = 25.0
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def main() -> None:
    """Measure every length and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--frames", type=int, nargs="+", default=[200, 5000])
    arguments = parser.parse_args()
    pictures = [images.read(path) for path in pictures_in(arguments.data / "bonn_video" / "images")]
    found = []
    # Once beforehand, for compiled programs: compiling takes memory too.
    for count in [len(pictures), *sorted(arguments.frames)]:
        with tempfile.TemporaryDirectory() as place:
            found.append(measured(pictures, count, Path(place)))
            print(found[-1], flush=True)
    found = found[1:]
    growth = found[-1]["peak_mb"] / found[0]["peak_mb"] - 1
    result = {"runs": found, "growth_of_the_peak": round(growth, 4)}
    print(f"memory of {found[-1]['frames']} frames against {found[0]['frames']}: {growth:+.1%}")
    common.write("video", result)


def measured(pictures: list, count: int, place: Path) -> dict[str, Any]:
    """Return peak memory and speed of a fresh process that predicts so many frames."""
    film = place / "film.mp4"
    with video_file(film, FPS) as add:
        for picture in itertools.islice(itertools.cycle(pictures), count):
            add(picture)
    command = ["predict", str(film), "--save_video", "--out", str(place / "poses")]
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "rmpe_jax", *command]) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    peak = usage.ru_maxrss * BYTES_PER_UNIT
    return {
        "frames": count,
        "peak_mb": round(peak / 1e6, 1),
        "seconds": round(seconds, 1),
        "frames_per_second": round(count / seconds, 2),
    }


if __name__ == "__main__":
    main()
