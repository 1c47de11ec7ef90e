"""What a training step costs the host: handing it to the device, and waiting for data.

    python experiments/benchmarks/step.py

`call` is how long the compiled step of `jit` keeps the host, with the parameter tree of the 8-stack
hourglass (Adam, running average): every array has one element, so that all that is measured is the
handling of the tree. `bare` is the same of a program that does nothing but add 1 to each of as many
arrays, in turn with it: what JAX itself takes. `wait` is the share of time that a run waits for its
loader, where a device wants 100 crops of 256 x 192 a second for each core of the host, from
photographs; the device is a sleep. Medians. Writes experiments/results/benchmark_step.json.
"""

import argparse
import os
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import common
import jax
import jax.numpy as jnp

from rmpe_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    DevicesConfig,
    ModelConfig,
    example_data,
)
from rmpe_jax.data.dataset import prepare_mixture
from rmpe_jax.data.loader import training_batches
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import shapes
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.reporting import Pace
from rmpe_jax.training.sharding import layout
from rmpe_jax.training.step import Learned, Lesson, start, train_step

BATCH = 32
CROPS_A_CORE = 100  # a second
EMA = 0.99


def main() -> None:
    """Measure both and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    load_before = round(os.getloadavg()[0], 1)
    result = called(arguments.calls) | waited(arguments.data, arguments.seconds)
    common.write("step", {"load_before": load_before, "device": str(jax.devices()[0]), **result})


def called(calls: int) -> dict[str, Any]:
    """Return the milliseconds that a step keeps the host."""
    model = ModelConfig(family="hourglass", stacks=8, input_height=256, input_width=256)
    module = build(model, 16)
    variables = jax.tree.map(lambda leaf: jnp.zeros((1,), leaf.dtype), shapes(module, model))
    config = Config(model=model)
    optimiser = optimisers.build(config)
    devices = layout(DevicesConfig(count=1), BATCH)

    def learn(params: Any, batch_stats: Any, inputs: Any, fixed: Any, counts: Any) -> Learned:
        return Learned(params, batch_stats, {"loss": jnp.sum(inputs)}, {})

    lesson = Lesson(lambda inputs: jnp.float32(len(inputs)), learn)
    step = partial(train_step, lesson=lesson, optimiser=optimiser, ema=EMA)
    state = devices.place(start(jax.random.key(0), variables, optimiser, ema=EMA))
    update = devices.compiled(step, state)
    inputs = devices.place_batch(jnp.zeros((BATCH, 1)))
    add = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    numbers = {str(at): jnp.zeros(1) for at in range(len(jax.tree.leaves(state)))}
    times, bare = [], []
    for _ in range(calls + 10):
        jax.block_until_ready(state)
        began = time.perf_counter()
        state, _, _ = update(state, inputs, None)
        times.append(1000 * (time.perf_counter() - began))
        jax.block_until_ready((state, numbers))
        began = time.perf_counter()
        numbers = add(numbers)
        bare.append(1000 * (time.perf_counter() - began))
        jax.block_until_ready(numbers)
    return {
        "arrays of the state": len(numbers),
        "call ms": round(statistics.median(times[10:]), 3),
        "bare ms": round(statistics.median(bare[10:]), 3),
    }


def waited(data: Path, seconds: float) -> dict[str, Any]:
    """Return the share of time that a run with a fast device waits for its data."""
    cores = os.cpu_count() or 1
    config = DataConfig(
        source="coco",
        root=str(data / "coco_pose"),
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
        threads=cores,
    )
    mixture = prepare_mixture(config)
    batches = training_batches(
        mixture, config, AugmentConfig(), height=256, width=192, batch_size=BATCH, seed=0
    )
    of_step = BATCH / (CROPS_A_CORE * cores)
    next(batches)
    pace, began, step = Pace(0, BATCH), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        with pace.data_wait():
            next(batches)
        time.sleep(of_step)
        step += 1
    figures = pace.measure(step)
    batches.close()
    return {
        "crops a second that the device wants": CROPS_A_CORE * cores,
        "crops a second": round(figures["crops_per_second"], 1),
        "wait": round(figures["data_wait"], 4),
    }


if __name__ == "__main__":
    main()
