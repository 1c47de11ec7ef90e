"""Processes that were started by the same command: how they meet, once or for a whole run.

JAX finds the others by what a Cloud TPU, Slurm, Open MPI or Kubernetes tells each process, or by
the address of process 0, how many there are, and which of them this is.
"""

from typing import Any, NamedTuple

import jax

JOINING_SECONDS = 300  # that a process waits for the others to start
TELLING_SECONDS = 60  # and then for what they tell
KEY = "rmpe_jax/told/"


class Given(NamedTuple):
    """What the user says of the processes: all of it, or nothing where a cluster tells."""

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


class Told(NamedTuple):
    """Which process this is, and what each has told, in their order."""

    process: int
    texts: list[str]


def join(given: Given, *, option: str = "--", heartbeat_seconds: int = 100) -> None:
    """Meet the other processes. Raises ValueError if they cannot be found.

    Must come before anything is computed. `option` is how the flags of `given` begin.
    """
    if None in given and given != Given():
        raise ValueError(
            f"{option}coordinator HOST:PORT, {option}processes N and {option}process I (from "
            f"0) go together; came {given.coordinator}, {given.processes} and {given.process}"
        )
    # Not on all interfaces where the others are on this machine.
    alone = given.coordinator is not None and _is_loopback(given.coordinator)
    try:
        jax.distributed.initialize(
            *given,
            initialization_timeout=JOINING_SECONDS,
            heartbeat_timeout_seconds=heartbeat_seconds,
            coordinator_bind_address=given.coordinator if alone else None,
        )
    except ValueError as error:
        raise ValueError(
            f"--distributed: this process cannot tell which of how many it is ({error}). On a "
            "Cloud TPU, under Slurm or Open MPI JAX finds out by itself; elsewhere type "
            f"{option}coordinator HOST:PORT {option}processes N {option}process I"
        ) from error
    except RuntimeError as error:
        raise ValueError(
            f"--distributed: the other processes were not met ({str(error)[:300]}). Are all "
            "started, and can they reach the port of process 0?"
        ) from error


def meet(given: Given, text: str) -> Told:
    """Meet the other processes, tell them a text, hear theirs, and part for good.

    JAX's devices start after that, so that they are this process' own, and no process waits for
    another or falls with it. Raises ValueError if the others cannot be found.
    """
    # JAX's handler of SIGTERM would outlive the meeting and swallow the signal.
    jax.config.update("jax_enable_preemption_service", False)
    join(given)
    state = _state()
    process, count = state.process_id, state.num_processes
    state.client.key_value_set(f"{KEY}{process}", text)
    texts = [
        state.client.blocking_key_value_get(f"{KEY}{other}", 1000 * TELLING_SECONDS)
        for other in range(count)
    ]
    jax.distributed.shutdown()
    # JAX forgets the others here, but would still count this process among them.
    state.process_id, state.num_processes = 0, 1
    return Told(process, texts)


def service() -> Any:
    """Return the client of JAX's coordination service."""
    return _state().client


def _state() -> Any:
    """Return what JAX knows of the processes without its devices, which has no public name."""
    from jax._src import distributed

    return distributed.global_state


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    return host in ("localhost", "127.0.0.1", "[::1]")
