"""Kill a run of several processes at random moments: does it end as if nothing had been?

    python experiments/kills.py --kills 10

Two processes of two virtual CPU devices each, on this machine, train on drawn people. One run is
left alone; others are killed (SIGKILL, or SIGTERM with --signal term) at random moments and started
again until they reach the end. All must end with the same bits in every array. Writes
experiments/results/kills_SIGNAL.json.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rmpe_jax.checkpoint import Checkpoints

RESULTS = Path(__file__).parent / "results"
PROCESSES, DEVICES, STEPS = 2, 2, 200
ROOM = 10  # steps that are left for each kill to come: a run that is at its end cannot be stopped
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}
SETTINGS = """
from rmpe_jax.config import *

config = Config(
    data=DataConfig(
        prepared={prepared!r}, synthetic_train=16, synthetic_validation=4,
        synthetic_height=96, synthetic_width=128,
    ),
    model=ModelConfig(
        family="pyramid", depth=10, trunk_stages=2, head_width=16, input_height=64, input_width=64
    ),
    optimiser=OptimiserConfig(warmup_steps=1, ema=0.9),
    train=TrainConfig(steps={steps}, batch_size=8, log_every=1, checkpoint_every=5),
    evaluation=EvaluationConfig(flip=False, resamples=0),
)
"""


def write_settings(folder: Path, steps: int) -> Path:
    """Write the configuration of a small run; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.py"
    file.write_text(SETTINGS.format(prepared=str(folder / "prepared"), steps=steps))
    return file


def started(
    file: Path,
    workdir: Path,
    *arguments: str,
    processes: int = PROCESSES,
    devices: int = DEVICES,
    of_process: dict[int, list[str]] | None = None,
) -> list[subprocess.Popen[str]]:
    """Start the processes of one run, on loopback; each has virtual devices of its own.

    `of_process` are more arguments of single ones.
    """
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-m", "rmpe_jax", "train", str(file), "--workdir", str(workdir)]
    command += arguments
    if processes == 1:
        commands = [command]
    else:
        together = ["--distributed", "--devices.coordinator", f"127.0.0.1:{free_port()}"]
        together += ["--devices.processes", str(processes), "--devices.process"]
        more = of_process or {}
        commands = [
            [*command, *together, str(number), *more.get(number, [])] for number in range(processes)
        ]
    return [
        subprocess.Popen(
            given, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for given in commands
    ]


def ended(run: list[subprocess.Popen[str]], seconds: float) -> tuple[list[int], list[str]]:
    """Wait for all processes; return their exit codes and outputs. After `seconds` all are killed.

    Raises TimeoutError if they had to be.
    """
    deadline, late = time.monotonic() + seconds, False
    outputs = []
    for process in run:
        try:
            outputs.append(process.communicate(timeout=max(0.1, deadline - time.monotonic()))[0])
        except subprocess.TimeoutExpired:
            late = True
            process.kill()
            outputs.append(process.communicate()[0])
    if late:
        raise TimeoutError("\n".join(["a process did not end in time", *outputs]))
    return [process.returncode for process in run], outputs


def last_step(workdir: Path) -> int:
    """Return the last step that is in the log of a run."""
    log = workdir / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def wait_for_step(
    run: list[subprocess.Popen[str]], workdir: Path, step: int, seconds: float
) -> bool:
    """Wait until the log has a step; False if the run ended before."""
    deadline = time.monotonic() + seconds
    while last_step(workdir) < step:
        if run[0].poll() is not None:
            return False
        if time.monotonic() > deadline:
            raise TimeoutError(f"no step {step} within {seconds} s")
        time.sleep(0.02)
    return True


def checksums(workdir: Path) -> dict[str, int]:
    """Return the checksum of every array of a run's last state."""
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    arrays = checkpoints.meta(checkpoints.steps()[-1])["arrays"]["state"]
    checkpoints.close()
    return {path: entry["checksum"] for path, entry in arrays.items()}


def campaign(folder: Path, kills: int, kind: str, seed: int = 0) -> dict[str, Any]:
    """Return what became of a run that was killed so often."""
    file = write_settings(folder, STEPS)
    codes, outputs = ended(started(file, folder / "alone"), 600)
    if any(codes):
        raise RuntimeError("\n".join(outputs))
    chance = random.Random(seed)
    moments = []
    workdir = folder / "killed"
    for number in range(kills):
        run = started(file, workdir)
        before, to_come = last_step(workdir), kills - number
        most = 2 * (STEPS - ROOM * to_come - before) // (to_come + 1)
        if not wait_for_step(run, workdir, before + chance.randint(1, max(1, most)), 300):
            raise RuntimeError("\n".join(ended(run, 60)[1]))
        time.sleep(chance.random() * 0.2)
        at, victim = last_step(workdir), chance.randrange(PROCESSES)
        if kind == "kill":
            for process in run:
                process.kill()
        else:
            run[victim].send_signal(SIGNALS[kind])
        codes, _ = ended(run, 120)
        moments.append({"step": at, "signalled": victim, "exit_codes": codes})
        print(f"{number + 1} of {kills}: {moments[-1]}", flush=True)
    codes, outputs = ended(started(file, workdir), 600)
    if any(codes):
        raise RuntimeError("\n".join(outputs))
    alone, killed = checksums(folder / "alone"), checksums(workdir)
    return {
        "processes": PROCESSES,
        "devices_of_each": DEVICES,
        "steps": STEPS,
        "signal": kind,
        "moments": moments,
        "arrays": len(alone),
        "arrays_that_differ": sum(alone[path] != killed[path] for path in alone),
    }


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main() -> None:
    """Kill, and keep what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--signal", choices=SIGNALS, default="kill")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = campaign(Path(folder), arguments.kills, arguments.signal)
    (RESULTS / f"kills_{arguments.signal}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['arrays_that_differ']} of {result['arrays']} arrays differ")


if __name__ == "__main__":
    main()
