"""Speed of the ResNet-50 pose network against PyTorch, interleaved in one process.

    pip install -e ".[bench]" && python experiments/benchmarks/network.py

Forward at batch 1 and 8, forward + backward at batch 8, at 256x192, float32. Each round runs
every job once; the median over the rounds counts, and the ratio of medians is ours over torch's
(below 1: ours is faster). Writes experiments/results/benchmark_network.json.
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
from torch import nn

from rmpe_jax.config import ModelConfig
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise

HEIGHT, WIDTH, JOINTS = 256, 192, 17


class Bottleneck(nn.Module):
    """torchvision's bottleneck, stride in the 3x3 convolution."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        """Build a block that ends with 4 x planes channels."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, planes, 1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            nn.Conv2d(planes, planes, 3, stride, 1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            nn.Conv2d(planes, 4 * planes, 1, bias=False),
            nn.BatchNorm2d(4 * planes),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != 4 * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return torch.relu(self.body(x) + self.shortcut(x))


def torch_network() -> nn.Module:
    """Return SimpleBaseline on ResNet-50: 34.0 M parameters."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for planes, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, planes, stride if block == 0 else 1))
            inputs = 4 * planes
    for _ in range(3):
        layers += [
            nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(inplace=True),
        ]
        inputs = 256
    return nn.Sequential(*layers, nn.Conv2d(inputs, JOINTS, 1))


def torch_jobs(batch: int, memory_format: torch.memory_format) -> dict[str, Callable[[], object]]:
    """Return the forward and the training job in torch."""
    network = torch_network().to(memory_format=memory_format)
    images = torch.rand(batch, 3, HEIGHT, WIDTH).to(memory_format=memory_format)

    def forward() -> None:
        network.eval()
        with torch.inference_mode():
            network(images)

    def backward() -> None:
        network.train()
        network.zero_grad()
        network(images).square().mean().backward()

    return {"forward": forward, "forward+backward": backward}


def our_jobs(batch: int) -> dict[str, Callable[[], object]]:
    """Return the same two jobs in JAX."""
    config = ModelConfig(
        family="simple_baseline",
        depth=50,
        input_height=HEIGHT,
        input_width=WIDTH,
        normalise="none",
    )
    module = build(config, JOINTS)
    variables = initialise(jax.random.key(0), module, config)
    images = jnp.asarray(np.random.default_rng(0).random((batch, HEIGHT, WIDTH, 3)), jnp.float32)

    def loss(params: dict, images: jax.Array) -> tuple[jax.Array, dict]:
        heatmaps, updated = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(heatmaps**2), updated

    forward = jax.jit(lambda variables, images: module.apply(variables, images, train=False))
    backward = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return {
        "forward": lambda: jax.block_until_ready(forward(variables, images)),
        "forward+backward": lambda: jax.block_until_ready(backward(variables["params"], images)),
    }


def medians(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each job, run in turn `rounds` times."""
    for job in jobs.values():
        job()
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def main() -> None:
    """Run all cases and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(os.cpu_count() or 1)
    cases = {}
    for what, batch in (("forward", 1), ("forward", 8), ("forward+backward", 8)):
        times = medians(
            {
                "ours": our_jobs(batch)[what],
                "torch": torch_jobs(batch, torch.contiguous_format)[what],
                "torch channels_last": torch_jobs(batch, torch.channels_last)[what],
            },
            rounds,
        )
        case = {**times, "ratio": round(times["ours"] / times["torch"], 2)}
        case["ratio to channels_last"] = round(times["ours"] / times["torch channels_last"], 2)
        cases[f"{what} batch {batch}"] = case
        print(f"{what} batch {batch}: {case}", flush=True)
    versions = {"jax": jax.__version__, "torch": torch.__version__}
    device = str(jax.devices()[0])
    common.write(
        "network", {"versions": versions, "device": device, "rounds": rounds, "cases": cases}
    )


if __name__ == "__main__":
    main()
