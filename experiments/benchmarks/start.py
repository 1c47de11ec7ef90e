"""Memory of a training run, and how soon a second start of it takes its first step.

    python experiments/benchmarks/start.py [CONFIG] [settings ...]

Runs `rmpe train` in processes of their own: once to prepare the data, once with an empty cache of
compiled programs, once with that cache. Reports the seconds from the start of the process to its
first logged step and the peak of its resident memory. Writes
experiments/results/benchmark_start.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common


def run(config: str, home: str, workdir: str, options: list[str]) -> dict[str, float]:
    """Return the seconds to the first logged step and the peak memory of one run."""
    command = [sys.executable, "-m", "rmpe_jax", "train", config, "--workdir", workdir, *options]
    began = time.time()
    log = Path(workdir).with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env={**os.environ, "HOME": home}, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    first = json.loads((Path(workdir) / "metrics.jsonl").read_text().splitlines()[0])
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds to first step": round(first["time"] - began, 1),
        "peak memory GB": round(usage.ru_maxrss * bytes_per_unit / 1e9, 2),
    }


def main() -> None:
    """Measure a first and a second start and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default="configs/synthetic.py")
    parser.add_argument("settings", nargs=argparse.REMAINDER, help="passed to rmpe train")
    arguments = parser.parse_args()
    options = [*arguments.settings, "--train.log-every", "1", "--train.steps"]
    with tempfile.TemporaryDirectory() as home:
        run(arguments.config, home, f"{home}/prepare", [*options, "1"])
        (Path(home) / ".cache/rmpe_jax/compiled").rename(f"{home}/unused")
        starts = [run(arguments.config, home, f"{home}/{name}", [*options, "40"]) for name in "ab"]
    common.write(
        "start",
        {"config": arguments.config, "empty cache": starts[0], "second start": starts[1]},
    )


if __name__ == "__main__":
    main()
