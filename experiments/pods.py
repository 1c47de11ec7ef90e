"""What the paper's recipe needs on TPU pods of 16, 64 and 256 chips, none of which is here.

    pip install 'rmpe_jax[tpu]'
    python experiments/pods.py                    # v5e 4x4, 8x8, 16x16
    python experiments/pods.py --otherwise        # 4x4, with other settings

The second stage of configs/coco_rmpe.py: an 8-stack hourglass with its transformer on crops of
256 x 256, judged by the 4-stack network of configs/coco_parallel.py; batch norm by chips, one body
for all stacks of a network. Writes experiments/results/plan_v5e_16x16.json and so on. --otherwise
compiles stacks one by one, for one size of the batch, with batch norm by chips and over the whole
batch, and writes plan_v5e_4x4_otherwise.json.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"  # the compiler wants no device

from rmpe_jax.config import Config, DevicesConfig, load  # noqa: E402
from rmpe_jax.planning.plan import compiled, laid_out, plan  # noqa: E402
from rmpe_jax.planning.pod import pod  # noqa: E402
from rmpe_jax.planning.table import table  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
TOPOLOGIES = ("v5e:4x4", "v5e:8x8", "v5e:16x16")
PER_CHIP = 8


def main() -> None:
    """Plan and keep the plans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--otherwise", action="store_true")
    parser.add_argument("topologies", nargs="*", default=TOPOLOGIES)
    arguments = parser.parse_args()
    run, parallel = (load(str(ROOT / f"configs/coco_{name}.py")) for name in ("rmpe", "parallel"))
    if arguments.otherwise:
        whole = replace(run, devices=DevicesConfig(norm_groups=1))
        runs = {"one by one, norm by chips": run, "one by one, norm over the batch": whole}
        keep("plan_v5e_4x4_otherwise", {name: one(each, parallel) for name, each in runs.items()})
        return
    for topology in arguments.topologies:
        # What a chip has does not depend on how many there are: the largest batch is sought once.
        size = None if topology == TOPOLOGIES[0] else PER_CHIP
        made = plan(scanned(run), pod(topology), parallel=scanned(parallel), per_chip=size)
        print(f"\n{table(made)}\n")
        keep(f"plan_{topology.replace(':', '_')}", made)


def one(config: Config, parallel: Config) -> dict:
    """Return what one program for 4x4 is like."""
    made = compiled(laid_out(config, pod(TOPOLOGIES[0]), parallel=parallel), PER_CHIP, print)
    return {
        "per_chip": made.per_chip,
        "fits": made.fits,
        "total": made.memory.total,
        "collectives": [sent._asdict() for sent in made.collectives],
        "compile_seconds": round(made.seconds, 1),
    }


def scanned(config: Config) -> Config:
    """Return a run whose hourglass is compiled as one body for all stacks."""
    return replace(config, model=replace(config.model, scan_stacks=True))


def keep(name: str, told: dict) -> None:
    """Write a plan."""
    (RESULTS / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
