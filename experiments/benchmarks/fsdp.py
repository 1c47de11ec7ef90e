"""Bytes that each of eight devices stores of a run's state, whole and in pieces.

    python experiments/benchmarks/fsdp.py [CONFIG.py ...]

Devices are virtual, of this machine's processor; the state is the real one, placed as a run places
it. Writes experiments/results/benchmark_fsdp.json, or --out.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

DEVICES = 8
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"

import jax  # noqa: E402

from rmpe_jax.config import Config, DevicesConfig, load  # noqa: E402
from rmpe_jax.planning.plan import laid_out  # noqa: E402
from rmpe_jax.planning.pod import here  # noqa: E402

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
CONFIGS = [ROOT / "configs" / name for name in ("coco.py", "coco_parallel.py", "synthetic.py")]


def main() -> None:
    """Place the states and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", type=Path, default=CONFIGS)
    parser.add_argument("--out", type=Path, default=RESULTS / "benchmark_fsdp.json")
    arguments = parser.parse_args()
    found = {}
    for path in arguments.configs:
        config = load(str(path))
        whole, pieces = (stored(config, kind) for kind in ("replicated", "sharded"))
        found[path.name] = {
            part: {"whole": whole[part], "in_pieces": pieces[part]} for part in whole
        }
        shares = {part: round(pieces[part] / whole[part], 4) for part in whole}
        print(f"{path.name}: {whole['parameters'] / 1e6:.1f} MB of parameters, shares {shares}")
    arguments.out.write_text(json.dumps({"devices": DEVICES, "bytes": found}, indent=1) + "\n")


def stored(config: Config, parameters: str) -> dict[str, int]:
    """Return the most bytes that a device has of the parameters and of what the optimiser keeps."""
    config = replace(config, stages=(), devices=DevicesConfig(parameters=parameters))
    run = laid_out(config, here())
    zeros = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), run.state.params)
    params = jax.device_put(zeros, run.layout.shardings(zeros))
    empty = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), run.state.optimiser)
    optimiser = jax.device_put(empty, run.layout.shardings(empty))
    return {"parameters": most(params), "optimiser": most(optimiser)}


def most(tree: object) -> int:
    """Return the bytes of the device that has most."""
    sizes = dict.fromkeys(jax.devices(), 0)
    for array in jax.tree.leaves(tree):
        for shard in array.addressable_shards:
            sizes[shard.device] += shard.data.nbytes
    return max(sizes.values())


if __name__ == "__main__":
    main()
