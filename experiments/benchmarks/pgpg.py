"""What drawing proposals adds to the time of the loader.

    python experiments/benchmarks/pgpg.py

Makes batches at 128x96, the quickest case, from synthetic photographs of 480 x 360 that are kept
decoded: with proposals none, pgpg (a fitted file, a mixture for each atom), and none once more as
the control. They take turns batch by batch in one process and one thread, whose own working time
is counted, so that a busy machine disturbs all alike. Also one draw alone. Medians over rounds and
repeats. Writes experiments/results/benchmark_pgpg.json.
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
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.data.jitter import jittered
from rmpe_jax.data.loader import Batches, training_batches
from rmpe_jax.skeletons import COCO17

BATCH, HEIGHT, WIDTH = 32, 128, 96
FITTED = common.RESULTS / "pgpg_coco_small.json"
BOX = np.array((100.0, 50.0, 200.0, 300.0))
DRAWS = 5000


def crop_medians(
    source: PhotographSource, ways: dict[str, AugmentConfig], rounds: int, *, first: int
) -> dict[str, float]:
    """Return the median working time of a crop in microseconds, with new loaders for each way.

    Where in memory a loader keeps its photographs makes it up to 4 % quicker or slower than its
    twin, so that one set of loaders tells nothing; they are made in another order each time.
    """
    names = list(ways)[first % len(ways) :] + list(ways)[: first % len(ways)]
    size = {"height": HEIGHT, "width": WIDTH, "batch_size": BATCH, "seed": 0}
    loaders = {
        name: training_batches(source, DataConfig(threads=0), ways[name], **size) for name in names
    }
    for given in loaders.values():
        for _ in range(len(source.person_index) // BATCH + 1):  # until memory is warm
            next(given)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            measured[name].append(crop_microseconds(loaders[name]))
    for given in loaders.values():
        given.close()
    return {name: float(np.median(values)) for name, values in measured.items()}


def crop_microseconds(given: Batches) -> float:
    """Return the working time of one crop of the next batch."""
    began = time.thread_time()
    next(given)
    return (time.thread_time() - began) / BATCH * 1e6


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
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=12)
    arguments = parser.parse_args()
    data = DataConfig(synthetic_train=100, synthetic_height=360, synthetic_width=480, threads=0)
    source = prepare(data, "train")
    none = AugmentConfig()
    fitted_way = replace(none, proposals="pgpg", pgpg=str(arguments.fitted))
    published = replace(none, proposals="pgpg")
    ways = {"none": none, "pgpg": fitted_way, "control": none, "published": published}
    medians = [
        crop_medians(source, ways, arguments.rounds, first=number)
        for number in range(arguments.repeats)
    ]
    measured = {name: np.array([one[name] for one in medians]) for name in ways}
    plain = (measured["none"] + measured["control"]) / 2
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
            "threads": 1,
            "rounds": arguments.rounds,
            "repeats": arguments.repeats,
            "microseconds_per_crop": {
                name: round(float(np.median(values)), 1) for name, values in measured.items()
            },
            "added_percent": {
                "pgpg": _percent(measured["pgpg"] / plain),
                "published": _percent(measured["published"] / plain),
                "control": _percent(measured["control"] / measured["none"]),
            },
            "microseconds_per_draw": {
                name: round(min(draw_microseconds(draw) for _ in range(5)), 1)
                for name, draw in draws.items()
            },
        },
    )


if __name__ == "__main__":
    main()
