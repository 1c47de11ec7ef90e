"""Memory of a training run, and how soon a second start of it takes its first step.

    python experiments/benchmarks/start.py [CONFIG]

Runs `rmpe train` twice for a few steps in processes of their own, with an empty compilation
cache for the first; reports the peak resident memory and the seconds from the start of the
process to the end of its first step. Writes experiments/results/benchmark_start.json.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULT = Path(__file__).parent.parent / "results" / "benchmark_start.json"


def run(config: str, home: str, workdir: str, options: list[str]) -> dict[str, float]:
    """Return the seconds to the first logged step and the peak memory of one run."""
    command = [sys.executable, "-m", "rmpe_jax", "train", config, "--workdir", workdir, *options]
    began = time.time()
    subprocess.run(command, env={**os.environ, "HOME": home}, check=True, capture_output=True)
    first = json.loads((Path(workdir) / "metrics.jsonl").read_text().splitlines()[0])
    return {
        "seconds to first step": round(first["time"] - began, 1),
        "peak memory GB": round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9, 2
        ),
    }


def main() -> None:
    """Measure a first and a second start and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default="configs/synthetic.py")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="passed to rmpe train")
    arguments = parser.parse_args()
    options = ["--train.steps", "40", "--train.log-every", "1", *arguments.options]
    with tempfile.TemporaryDirectory() as home:
        # The first of three prepares the data and is not counted.
        run(arguments.config, home, f"{home}/prepare", ["--train.steps", "1", *options[2:]])
        (Path(home) / ".cache/rmpe_jax/compiled").rename(f"{home}/unused")
        starts = [run(arguments.config, home, f"{home}/{name}", options) for name in "ab"]
    result = {
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "config": arguments.config,
        "empty cache": starts[0],
        "second start": starts[1],
    }
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
