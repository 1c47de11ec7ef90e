"""Several processes that train together: that they agree, and do things in the same order.

Every process runs the same command.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from rmpe_jax import interrupts, processes
from rmpe_jax.config import Config, DevicesConfig, to_dict
from rmpe_jax.training.workdir import differences

OWN = ("root", "prepared", "threads")  # settings of data that are each machine's own


def join(config: DevicesConfig) -> None:
    """Meet the other processes. Raises ValueError if they cannot be found.

    Must come before anything is computed.
    """
    processes.join(
        processes.Given(config.coordinator, config.processes, config.process),
        option="--devices.",
        # Much later than our own watch, whose message says more than an abort.
        heartbeat_seconds=int(3 * config.stall_seconds + 60),
    )


def check_agreement(config: Config, facts: dict[str, Any]) -> None:
    """Raise ValueError, in every process, if any was started with other settings or data.

    `facts` are compared like settings. Where data lie may differ.
    """
    if jax.process_count() == 1:
        return
    told = to_dict(config)
    told["data"] = {name: value for name, value in told["data"].items() if name not in OWN}
    told["data"]["also"] = [
        {name: value for name, value in entry.items() if name not in OWN}
        for entry in told["data"]["also"]
    ]
    told["devices"] = {**told["devices"], "process": None}
    everybody = _gathered({**told, "facts": facts})
    for process, other in enumerate(everybody):
        found = differences(everybody[0], other)
        if found:
            raise ValueError(
                f"process {process} was started otherwise than process 0: {'; '.join(found[:5])}. "
                "Start all with the same command, configuration and data"
            )


def of_first(value: Any) -> Any:
    """Return the first process' number or truth value, in every process."""
    if jax.process_count() == 1:
        return value
    return type(value)(multihost_utils.broadcast_one_to_all(np.asarray(value)))


def of_all(value: bool) -> bool:
    """Return whether it is true in every process, in every process."""
    if jax.process_count() == 1:
        return value
    return bool(np.all(multihost_utils.process_allgather(np.asarray(value))))


def wait_for_all(name: str) -> None:
    """Wait until every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextmanager
def first_alone(name: str) -> Iterator[None]:
    """Let the others in when the first process is through."""
    if jax.process_index() > 0:
        wait_for_all(name)
    yield
    if jax.process_index() == 0:
        wait_for_all(name)


@contextmanager
def stop_requests() -> Iterator[Callable[[int], int]]:
    """Turn Ctrl-C and SIGTERM into a question that is asked after each step.

    The answer is the signal's number, or 0. Of several processes any may get the signal, a
    preemption notice of the cluster for example: JAX sees to it that all say yes after the same
    step.
    """
    if jax.process_count() == 1:
        with interrupts.stop_requests() as requested:
            yield lambda step: requested()
        return
    previous = signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield (
            lambda step: (
                signal.SIGTERM if multihost_utils.reached_preemption_sync_point(step) else 0
            )
        )
    finally:
        signal.signal(signal.SIGINT, previous)


def _gathered(value: Any) -> list[Any]:
    """Return the values of all processes, JSON each, in their order."""
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.array([len(text)]))).ravel()
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: len(text)] = text
    texts = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(sizes), -1)
    return [
        json.loads(row[:size].astype(np.uint8).tobytes().decode())
        for row, size in zip(texts, sizes, strict=True)
    ]
