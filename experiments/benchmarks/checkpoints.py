"""What a checkpoint costs: how long saving keeps the step waiting, the checksums, the verification.

    python experiments/benchmarks/checkpoints.py

A state of 64 MB of random values in the shapes of a ResNet (random values hardly compress, as
trained ones). `blocked` is how long `save` takes, and with it the step waits; `committed` until all
is on disk. `checksums` is what `save` spends on them, included in both; `crc32` is zlib's of the
same arrays on the host, for comparison. Medians over the rounds, in milliseconds. Writes
experiments/results/benchmark_checkpoints.json.
"""

import argparse
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import common
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from rmpe_jax.checkpoint import Checkpoints
from rmpe_jax.checksums import checksums

SHAPES = [(3, 3, 256, 256)] * 18 + [(1, 1, 512, 1024)] * 10 + [(256,)] * 60 + [(1024,)] * 20


def milliseconds(run: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Time everything in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    params = [jnp.asarray(generator.random(shape, np.float32)) for shape in SHAPES]
    state = {"params": {str(number): array for number, array in enumerate(params)}}
    model = {"step": jnp.zeros((), jnp.int32)}  # so that the 64 MB are written once
    names = ("blocked", "committed", "checksums", "crc32", "restored", "restored unverified")
    measured: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "checkpoints", keep=1)
        unverified = ocp.args.Composite(state=ocp.args.StandardRestore(state))

        def restore_unverified(step: int) -> None:
            restored = checkpoints.manager.restore(step, args=unverified)
            jax.block_until_ready(restored["state"])

        def one_round(step: int) -> tuple[float, ...]:
            blocked = milliseconds(lambda: checkpoints.save(step, state, model, {}))
            return (
                blocked,
                blocked + milliseconds(checkpoints.wait),
                milliseconds(lambda: checksums(state)),
                milliseconds(lambda: [zlib.crc32(np.asarray(array)) for array in params]),
                milliseconds(lambda: checkpoints.restore(step, "state", state)),
                milliseconds(lambda: restore_unverified(step)),
            )

        for step in range(arguments.rounds + 1):  # the first one compiles
            for name, figure in zip(names, one_round(step), strict=True):
                measured[name].append(figure)
        checkpoints.close()
    medians = {name: round(statistics.median(some[1:]), 1) for name, some in measured.items()}
    common.write(
        "checkpoints",
        {
            "state MB": round(sum(array.nbytes for array in params) / 1e6, 1),
            "arrays": len(params),
            "device": str(jax.devices()[0]),
            "rounds": arguments.rounds,
            "milliseconds": medians,
            "checksums of committed": round(medians["checksums"] / medians["committed"], 3),
        },
    )


if __name__ == "__main__":
    main()
