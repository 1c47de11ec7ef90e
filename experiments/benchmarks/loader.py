"""Crops a second that the loader makes from JPEGs of 480 pixels, with 2 threads.

    python experiments/benchmarks/loader.py

Draws synthetic photographs of 480 x 360, then times the training loader with all its augmentation
at 256x192 and at 128x96: cold, where every crop decodes its JPEG again, and warm, where decoded
photographs are kept in memory as in training. The cases take turns; medians over the rounds.
Writes experiments/results/benchmark_loader.json.
"""

import argparse
import statistics
import time

import common

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data import batches, loader
from rmpe_jax.data.dataset import prepare_mixture
from rmpe_jax.data.mixture import Mixture

BATCH = 32
SIZES = {"256x192": (256, 192), "128x96": (128, 96)}


def speed(mixture: Mixture, data: DataConfig, size: str, kept: int, count: int) -> float:
    """Return crops a second once the threads run, with `kept` bytes of decoded photographs."""
    batches.DECODED_BYTES = kept
    height, width = SIZES[size]
    given = loader.training_batches(
        mixture,
        data,
        AugmentConfig(),
        height=height,
        width=width,
        batch_size=BATCH,
        seed=0,
    )
    people = len(mixture.sources[0].person_index)
    for _ in range(people // BATCH if kept else 10):  # until threads and memory are warm
        next(given)
    began = time.perf_counter()
    for _ in range(count):
        next(given)
    taken = time.perf_counter() - began
    given.close()
    return count * BATCH / taken


def main() -> None:
    """Time all cases in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    data = DataConfig(
        synthetic_train=500, synthetic_height=360, synthetic_width=480, threads=arguments.threads
    )
    mixture = prepare_mixture(data)
    budget = batches.DECODED_BYTES
    cases = {
        f"{size} {state}": (size, kept)
        for size in SIZES
        for state, kept in (("cold", 0), ("warm", budget))
    }
    measured: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, (size, kept) in cases.items():
            measured[name].append(speed(mixture, data, size, kept, arguments.batches))
    medians = {name: round(statistics.median(values)) for name, values in measured.items()}
    common.write(
        "loader",
        {
            "jpeg": "480 x 360",
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "crops_per_second": medians,
        },
    )


if __name__ == "__main__":
    main()
