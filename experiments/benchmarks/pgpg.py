"""What drawing proposals adds to the time of the loader.

    python experiments/benchmarks/pgpg.py

Times the training loader at 128x96, its quickest case, on synthetic photographs of 480 x 360 that
are kept decoded, with proposals none and pgpg (a fitted file, a mixture for each atom) in turn, in
one process; each case's loader stays alive, so that both find the same memory. The clock counts
what else the machine does, the threads' work does not. Also one draw alone. Medians over the rounds. Writes experiments/results/benchmark_pgpg.json.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import common
import numpy as np

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data import densities, pgpg, proposals
from rmpe_jax.data.dataset import prepare
from rmpe_jax.data.jitter import jittered
from rmpe_jax.data.loader import Batches, training_batches
from rmpe_jax.skeletons import COCO17

BATCH, HEIGHT, WIDTH = 32, 128, 96
FITTED = common.RESULTS / "pgpg_coco_small.json"
BOX = np.array((100.0, 50.0, 200.0, 300.0))
DRAWS = 5000


def crops_seconds(given: Batches, batches: int) -> np.ndarray:
    """Return the seconds for one crop: on the clock, and of all threads' work."""
    began = np.array((time.perf_counter(), time.process_time()))
    for _ in range(batches):
        next(given)
    return (np.array((time.perf_counter(), time.process_time())) - began) / (batches * BATCH)


def draw_microseconds(propose: Callable[..., np.ndarray]) -> float:
    """Return the microseconds for one box."""
    generator = np.random.default_rng(0)
    began = time.perf_counter()
    for _ in range(DRAWS):
        propose(generator, BOX, 360, 480)
    return (time.perf_counter() - began) / DRAWS * 1e6


def _percent(ratios: np.ndarray) -> dict[str, float]:
    """Return the median of what is added, and its quartiles, in percent."""
    low, median, high = np.round((np.percentile(ratios, (25, 50, 75)) - 1) * 100, 2).tolist()
    return {"median": median, "low": low, "high": high}


def main() -> None:
    """Time both in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fitted", type=Path, default=FITTED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    data = DataConfig(
        synthetic_train=300, synthetic_height=360, synthetic_width=480, threads=arguments.threads
    )
    source = prepare(data, "train")
    none = AugmentConfig()
    ways = {"none": none, "pgpg": replace(none, proposals="pgpg", pgpg=str(arguments.fitted))}
    size = {"height": HEIGHT, "width": WIDTH, "batch_size": BATCH, "seed": 0}
    loaders = {
        name: training_batches(source, COCO17, data, way, **size) for name, way in ways.items()
    }
    for given in loaders.values():
        crops_seconds(given, len(source.person_index) // BATCH)  # until memory is warm
    measured: dict[str, list[np.ndarray]] = {name: [] for name in loaders}
    for number in range(arguments.rounds):
        for name in list(loaders)[:: 1 if number % 2 else -1]:
            crops_seconds(loaders[name], 6)  # what was made ahead while the other ran
            measured[name].append(crops_seconds(loaders[name], arguments.batches))
    for given in loaders.values():
        given.close()
    ratios = np.array(measured["pgpg"]) / np.array(measured["none"])
    fitted = pgpg.read(arguments.fitted, COCO17)
    ready = densities.sampler(fitted.density(0, "mixture"))
    draws = {
        "none": partial(jittered, amount=0.0),
        "published": partial(jittered, amount=1.0),
        "pgpg": partial(proposals.drawn, ready=ready),
        "jitter": partial(proposals.shaken, detected=np.zeros(4)),
    }
    common.write(
        "pgpg",
        {
            "crop": f"{HEIGHT}x{WIDTH}",
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "microseconds_per_crop": {
                name: round(float(np.median(values, axis=0)[0]) * 1e6, 1)
                for name, values in measured.items()
            },
            "added_percent": _percent(ratios[:, 0]),
            "added_percent_of_work": _percent(ratios[:, 1]),
            "microseconds_per_draw": {
                name: round(min(draw_microseconds(draw) for _ in range(5)), 1)
                for name, draw in draws.items()
            },
        },
    )


if __name__ == "__main__":
    main()
