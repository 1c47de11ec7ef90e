"""Crops a second that the loader makes from JPEGs of 480 pixels, with 2 threads.

    python experiments/benchmarks/loader.py

Draws synthetic photographs of 480 x 360, then times the training loader with all its
augmentation at 256x192 and at 128x96. Writes experiments/results/benchmark_loader.json.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data.dataset import prepare
from rmpe_jax.data.loader import training_batches
from rmpe_jax.skeletons import COCO17

RESULT = Path(__file__).parent.parent / "results" / "benchmark_loader.json"
BATCH = 32


def main() -> None:
    """Time both crop sizes, interleaved, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    data = DataConfig(
        synthetic_train=500, synthetic_height=360, synthetic_width=480, threads=arguments.threads
    )
    source = prepare(data, "train")
    speeds: dict[str, list[float]] = {"256x192": [], "128x96": []}
    for _ in range(arguments.rounds):
        for size, measured in speeds.items():
            height, width = (int(side) for side in size.split("x"))
            batches = training_batches(
                source,
                COCO17,
                data,
                AugmentConfig(),
                height=height,
                width=width,
                batch_size=BATCH,
                seed=0,
            )
            for _ in range(10):  # the start-up of threads and buffers is not counted
                next(batches)
            began = time.perf_counter()
            for _ in range(arguments.batches):
                next(batches)
            measured.append(arguments.batches * BATCH / (time.perf_counter() - began))
    result = {
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "jpeg": "480 x 360",
        "threads": arguments.threads,
        "crops_per_second": {size: round(statistics.median(v)) for size, v in speeds.items()},
    }
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
