"""Speed of parametric pose NMS on one core.

    python experiments/benchmarks/nms.py

Poses as a network gives them on crowded photographs: three for each person. The process binds
itself to one core before JAX starts (os.sched_setaffinity; elsewhere than on Linux all cores are
used, and the result says so), so XLA has a pool of one thread. Each round runs every case once;
the median over the rounds counts. Writes experiments/results/benchmark_nms.json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

# Before JAX is imported: its backend counts the cores when it starts.
CORES = os.cpu_count() or 1
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    CORES = 1

import common  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402

from rmpe_jax.pose_nms import ALPHAPOSE_COCO, RMPE_MPII, NmsSet, pose_nms  # noqa: E402
from rmpe_jax.records import Poses  # noqa: E402

JOINTS, COPIES = 17, 3
# Photographs, poses on each, milliseconds a photograph that are the target (None: for comparison).
CASES = {
    "1 x 30": (1, 30, None),
    "16 x 30": (16, 30, None),
    "64 x 30": (64, 30, 0.4),
    "256 x 30": (256, 30, None),
    "1 x 500": (1, 500, 10.0),
}


def photographs(count: int, people: int) -> Poses:
    """Return `people` poses, three for each person, on each of `count` photographs."""
    generator = np.random.default_rng(0)
    shape = (count, -(-people // COPIES))
    person_px = generator.uniform(0, 600, (*shape, 1, 2)) + generator.uniform(
        0, 150, (*shape, JOINTS, 2)
    )
    joints_px = np.repeat(person_px, COPIES, axis=1)[:, :people]
    joints_px = joints_px + generator.normal(0, 4, joints_px.shape)
    confidence = generator.uniform(0, 1, joints_px.shape[:3])
    score = generator.uniform(0, 1, joints_px.shape[:2])
    boxes_px = np.concatenate([joints_px.min(axis=2), joints_px.max(axis=2)], axis=-1)
    fields = (joints_px, confidence, confidence, boxes_px, score, score)
    return Poses(*(np.asarray(f, np.float32) for f in fields), np.ones(score.shape, bool))


def job(poses: Poses, named: NmsSet) -> Callable[[], Poses]:
    """Return the compiled call."""
    compiled = jax.jit(jax.vmap(lambda one: pose_nms(one, *named)))
    on_device = jax.tree.map(jax.numpy.asarray, poses)
    return lambda: jax.block_until_ready(compiled(on_device))


def medians(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each job, run in turn `rounds` times."""
    for run in jobs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, run in jobs.items():
            began = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Run all cases and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0]
    cases: dict[str, Any] = {}
    for title, named in (("RMPE_MPII", RMPE_MPII), ("ALPHAPOSE_COCO", ALPHAPOSE_COCO)):
        jobs = {
            name: job(photographs(count, people), named)
            for name, (count, people, _) in CASES.items()
        }
        for name, milliseconds in medians(jobs, rounds).items():
            count, _, target = CASES[name]
            cases[f"{title}, {name}"] = {
                "ms": round(milliseconds, 3),
                "ms_a_photograph": round(milliseconds / count, 4),
                "target": target,
            }
    versions = {"jax": jax.__version__, "numpy": np.__version__}
    common.write(
        "nms",
        {
            "versions": versions,
            "cores_used": CORES,
            "rounds": rounds,
            "load_before": round(load, 1),
            "cases": cases,
        },
    )


if __name__ == "__main__":
    main()
