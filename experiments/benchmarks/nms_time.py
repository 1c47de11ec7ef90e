"""Pose NMS against the two baselines of the paper, on the authors' own predictions.

    python experiments/benchmarks/nms_time.py

The paper (section 5.5) tells 1.8 s for parametric pose NMS and 62.2 s for that of Burgos-Artizzu et
al. on the 1,300 photographs of its validation set. Here all three run on the poses that the authors
published for the first 1,300 photographs of MPII's test set, all written in JAX and compiled: each
photograph in a call of its own, as a program that reads one after the other would, and all of them
in one call. The schemes take turns; medians over the rounds. Writes
experiments/results/benchmark_nms_time.json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import jax
import numpy as np

from rmpe_jax.config import example_data
from rmpe_jax.nms_baselines import matched_joint_nms, truncated_mean_nms
from rmpe_jax.pose_nms import RMPE_MPII, pose_nms
from rmpe_jax.records import Poses

PHOTOGRAPHS = 1300
AT_ONCE = 32
PAPER_SECONDS = {"parametric": 1.8, "truncated mean": 62.2}
SCHEMES: dict[str, Callable[[Poses], Poses]] = {
    "parametric": lambda poses: pose_nms(poses, *RMPE_MPII),
    "matched joints": matched_joint_nms,
    "truncated mean": truncated_mean_nms,
}


def published(path: Path) -> Poses:
    """Return the poses of the photographs, padded to the most of any, [i p ...]."""
    with np.load(path) as stored:
        first, stop = stored["first"][:PHOTOGRAPHS], stored["stop"][:PHOTOGRAPHS]
        count = stop - first
        slot = np.arange(count.max())[None]
        at = np.minimum(first[:, None] + slot, len(stored["joints_px"]) - 1)
        confidence = stored["joint_scores"][at].astype(np.float32)
        score = stored["detector_scores"][at].astype(np.float32)
        return Poses(
            joints_px=stored["joints_px"][at].astype(np.float32),
            confidence=confidence,
            peak=confidence,
            boxes_px=stored["boxes_px"][at].astype(np.float32),
            box_score=score,
            score=score,
            valid=slot < count[:, None],
        )


def main() -> None:
    """Run all in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0]
    poses = published(example_data() / "rmpe_v1_predictions" / "predictions.npz")
    each = [Poses(*(field[row] for field in poses)) for row in range(len(poses.valid))]
    together = {
        name: jax.jit(lambda all_, one=one: jax.lax.map(one, all_, batch_size=AT_ONCE))
        for name, one in SCHEMES.items()
    }
    alone = {name: jax.jit(one) for name, one in SCHEMES.items()}
    kept = {}
    times: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds + 1):
        for name in SCHEMES:
            found, seconds = timed(lambda name=name: together[name](poses))
            kept[name] = int(np.asarray(found.valid).sum())
            _, seconds_alone = timed(lambda name=name: [alone[name](one) for one in each])
            if turn:  # the first compiles
                of = times.setdefault(name, {"one call": [], "a call a photograph": []})
                of["one call"].append(seconds)
                of["a call a photograph"].append(seconds_alone)
    common.write(
        "nms_time",
        {
            "photographs": len(each),
            "poses": int(poses.valid.sum()),
            "rounds": rounds,
            "load_before": round(load, 1),
            "paper_seconds": PAPER_SECONDS,
            "schemes": {
                name: {
                    "kept": kept[name],
                    **{f"seconds, {how}": round(statistics.median(s), 4) for how, s in of.items()},
                }
                for name, of in times.items()
            },
        },
    )


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives, when it is there, and the seconds it took."""
    began = time.perf_counter()
    found = jax.block_until_ready(run())
    return found, time.perf_counter() - began


if __name__ == "__main__":
    main()
