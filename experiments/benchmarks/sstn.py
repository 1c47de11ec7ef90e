"""What STN and SDTN add to a training step of the 8-stack hourglass.

    python experiments/benchmarks/sstn.py

The paper's size: 256x256, 8 stacks, ResNet-18 localisation, RMSprop; without the parallel SPPE.
Steps of both networks take turns; medians over the rounds. Writes
experiments/results/benchmark_sstn.json.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import common
import jax
import numpy as np

from rmpe_jax.config import Config, ModelConfig, OptimiserConfig, STNConfig, TrainConfig
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.records import Batch
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.step import start, train_step

JOINTS, SIDE = 17, 256


def random_batch(size: int) -> Batch:
    """Return people of noise."""
    rng = np.random.default_rng(0)
    identity = np.tile(np.eye(2, 3, dtype=np.float32), (size, 1, 1))
    return Batch(
        crop=rng.integers(0, 256, (size, SIDE, SIDE, 3), dtype=np.uint8),
        joints_crop=rng.uniform(-0.9, 0.9, (size, JOINTS, 2)).astype(np.float32),
        weight=np.ones((size, JOINTS), np.float32),
        theta_crop=identity,
        theta_star=identity,
        image_id=np.arange(size),
        person_id=np.arange(size),
    )


def stepper(stn: STNConfig, stacks: int, batch: Batch) -> Callable[[], float]:
    """Return a function that takes one training step and returns its seconds."""
    config = Config(
        model=ModelConfig(
            family="hourglass", stacks=stacks, input_height=SIDE, input_width=SIDE, stn=stn
        ),
        optimiser=OptimiserConfig(name="rmsprop", learning_rate=1e-5, schedule="constant"),
        train=TrainConfig(sigma=1.75),
    )
    module = build(config.model, JOINTS)
    optimiser = optimisers.build(config)
    variables = initialise(jax.random.key(0), module, config.model)
    state = start(jax.random.key(1), variables, optimiser, ema=0.0)
    lesson = pose_lesson(module, config)
    update = jax.jit(partial(train_step, lesson=lesson, optimiser=optimiser), donate_argnums=0)

    def step() -> float:
        nonlocal state
        began = time.perf_counter()
        state, figures, _ = update(state, PoseInputs(batch))
        jax.block_until_ready((state, figures))
        return time.perf_counter() - began

    return step


def main() -> None:
    """Time both in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--stacks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    batch = random_batch(arguments.batch)
    steps = {
        "hourglass": stepper(STNConfig(), arguments.stacks, batch),
        "hourglass with STN and SDTN": stepper(STNConfig("affine"), arguments.stacks, batch),
    }
    measured: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(arguments.rounds + 1):
        for name, step in steps.items():
            seconds = step()
            if number > 0:  # the first compiles
                measured[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in measured.items()}
    plain, symmetric = medians.values()
    common.write(
        "sstn",
        {
            "input": f"{SIDE}x{SIDE}",
            "stacks": arguments.stacks,
            "batch": arguments.batch,
            "rounds": arguments.rounds,
            "seconds": {name: round(value, 3) for name, value in medians.items()},
            "added": round(symmetric / plain - 1, 4),
        },
    )


if __name__ == "__main__":
    main()
