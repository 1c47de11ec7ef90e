"""Speed of the sampler against PyTorch's grid_sample, interleaved in one process.

    pip install -e ".[bench]" && python experiments/benchmarks/sampler.py

Values and gradients, float32, as training asks for them: `jax.vmap` of the public `pull`, one
theta a person. Both sides compute the same: bilinear, zeros outside, align_corners=False. Each
round runs every job once; the median over the rounds counts, and the ratio of medians is ours over
torch's (below 1: ours is faster). Writes experiments/results/benchmark_sampler.json.

What was measured on the way on two cores, for the next who wants it faster:

- XLA scatters on one core, 20 ns a pixel of three channels: 120 ms of the 32x256x192x3 case. The
  transposed gather that replaced it takes 35 to 60 ms, the more the larger the widest window of
  the batch (5 outputs a side here, by one map of 32). Sorting a batch by its windows, or fewer
  operations for each of the 25 outputs (no test of the borders inside), is the way on.
- The barrier before the backward pass halves the theta-only case: without it XLA keeps the four
  corners of all points from the forward pass.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import common
import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from rmpe_jax.geometry import affine, sampler

# Batch, height, width, channels; what the theta is; whether the image needs a gradient; target.
CASES = {
    "stn, gradient to theta": ((32, 256, 192, 3), "theta", False, 1.0),
    "sdtn, gradient to both": ((32, 64, 48, 128), "gamma", True, 1.0),
    "stn, gradient to both": ((32, 256, 192, 3), "theta", True, 1.5),
    "stn of scale and translation, gradient to theta": ((32, 256, 192, 3), "aligned", False, 1.0),
    "sdtn of scale and translation, gradient to both": ((32, 64, 48, 128), "aligned", True, 1.0),
}


def thetas(number: int, kind: str) -> np.ndarray:
    """Return maps as a transformer learns them: scale 0.7 to 1, turned by some 20 degrees."""
    generator = np.random.default_rng(0)
    scale = generator.uniform(0.7, 1.0, number)
    turn = generator.normal(0, 0.4, number) * (kind != "aligned")
    shift = generator.uniform(-0.3, 0.3, (number, 2))
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    rows = [[cosine, -sine, shift[:, 0]], [sine, cosine, shift[:, 1]]]
    theta = np.moveaxis(np.array(rows), -1, 0)
    if kind == "gamma":
        theta = np.stack([affine.gamma(one) for one in theta])
    return theta.astype(np.float32)


def torch_job(
    image: np.ndarray, theta: np.ndarray, upstream: np.ndarray, of_image: bool
) -> Callable[[], object]:
    """Return the job in torch, channels first as its users have them."""
    first = (0, 3, 1, 2)
    image_t = torch.tensor(image.transpose(first)).contiguous().requires_grad_(of_image)
    upstream_t = torch.tensor(upstream.transpose(first)).contiguous()
    theta_t = torch.tensor(theta, requires_grad=True)
    inputs = (image_t, theta_t) if of_image else (theta_t,)

    def run() -> object:
        grid = functional.affine_grid(theta_t, list(image_t.shape), align_corners=False)
        out = functional.grid_sample(image_t, grid, align_corners=False, padding_mode="zeros")
        return out, torch.autograd.grad(out, inputs, upstream_t)

    return run


def our_job(
    image: np.ndarray,
    theta: np.ndarray,
    upstream: np.ndarray,
    of_image: bool,
    axis_aligned: bool,
) -> Callable[[], object]:
    """Return the same job in JAX."""
    _, height, width, _ = image.shape

    def pull(image: jax.Array, theta: jax.Array) -> jax.Array:
        return sampler.pull(image, theta, height, width, axis_aligned=axis_aligned)

    @jax.jit
    def job(image: jax.Array, theta: jax.Array, upstream: jax.Array) -> object:
        if of_image:
            out, back = jax.vjp(jax.vmap(pull), image, theta)
        else:
            out, back = jax.vjp(lambda theta: jax.vmap(pull)(image, theta), theta)
        return out, back(upstream)

    arrays = [jnp.asarray(array) for array in (image, theta, upstream)]
    return lambda: jax.block_until_ready(job(*arrays))


def medians(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Return median milliseconds of each job, run in turn: by the clock, and of all processors.

    Other programs slow torch more than JAX: its threads wait for the slowest one. The processors'
    time shows what would remain of a ratio on a machine of one's own.
    """
    for job in jobs.values():
        job()
        job()
    clocks = {"ms": time.perf_counter, "processor_ms": time.process_time}
    times: dict[str, list[list[float]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = [clock() for clock in clocks.values()]
            job()
            ended = [clock() for clock in clocks.values()]
            times[name].append(
                [1e3 * (end - begin) for begin, end in zip(began, ended, strict=True)]
            )
    return {
        clock: {name: round(statistics.median(t[i] for t in times[name]), 1) for name in jobs}
        for i, clock in enumerate(clocks)
    }


def main() -> None:
    """Run all cases and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(os.cpu_count() or 1)
    load = os.getloadavg()[0]
    cases = {}
    for name, (shape, kind, of_image, target) in CASES.items():
        generator = np.random.default_rng(1)
        image, upstream = (generator.normal(size=shape).astype(np.float32) for _ in range(2))
        arguments = image, thetas(shape[0], kind), upstream, of_image
        jobs = {"ours": our_job(*arguments, kind == "aligned"), "torch": torch_job(*arguments)}
        times = medians(jobs, rounds)
        ratios = {
            name.replace("ms", "ratio"): round(clock["ours"] / clock["torch"], 2)
            for name, clock in times.items()
        }
        cases[name] = {"shape": list(shape), **times, **ratios, "target": target}
        print(f"{name}: {cases[name]}", flush=True)
    versions = {"jax": jax.__version__, "torch": torch.__version__}
    common.write(
        "sampler",
        {
            "versions": versions,
            "device": str(jax.devices()[0]),
            "rounds": rounds,
            "load_before": round(load, 1),
            "cases": cases,
        },
    )


if __name__ == "__main__":
    main()
