"""TPU pods that are not there: their chips as the compiler knows them, and what each can do."""

import importlib.util
import os
import re
from typing import Any, NamedTuple

import jax

GIB = 2**30
# Of a chip's memory the runtime keeps this much: v5e's compiler gives a program 15.75 of 16 GiB.
RESERVED_BYTES = GIB // 4


class Chip(NamedTuple):
    """What a chip can do at most: bytes of memory, FLOPs (bfloat16) and bytes moved a second."""

    memory: int
    flops: float
    bandwidth: float


# By the compiler's name of a device; figures of the Google Cloud TPU documentation.
CHIPS = {
    "TPU v4": Chip(32 * GIB, 275e12, 1228e9),
    "TPU v5 lite": Chip(16 * GIB, 197e12, 819e9),
    "TPU v5": Chip(95 * GIB, 459e12, 2765e9),
    "TPU v6 lite": Chip(32 * GIB, 918e12, 1640e9),
}


class Pod(NamedTuple):
    """Devices to compile for, and what each of them can do."""

    topology: str
    devices: list[Any]
    chip: Chip


def pod(topology: str) -> Pod:
    """Return the chips of a pod slice such as "v5e:4x4". Raises ValueError if there is none."""
    shape = re.fullmatch(r"v\w+:\d+(x\d+){1,2}", topology)
    if shape is None:
        raise ValueError(
            f"--topology is {topology!r}; expected is a TPU's generation and the chips along each "
            "axis, such as v5e:4x4, v5e:16x16, v6e:8x8 or v4:2x2x4"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            f"--topology {topology}: the TPU compiler is missing; type pip install "
            "'rmpe_jax[tpu]' (no TPU is needed)"
        )
    # Read by libtpu: it asks a Google Cloud machine's metadata, which is not there, for long.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    # A TPU serves one program at a time, its compiler any number.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    try:
        described = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    except Exception as error:  # of several kinds
        raise ValueError(
            f"--topology {topology}: the TPU compiler knows no such slice. It said: {error}"
        ) from error
    devices = list(described.devices)
    kind = devices[0].device_kind
    if kind not in CHIPS:
        raise ValueError(
            f"--topology {topology}: its chips are of kind {kind!r}, of which nothing is known "
            f"here; known are {', '.join(CHIPS)}"
        )
    return Pod(topology, devices, CHIPS[kind])


def here() -> Pod:
    """Return the devices of this machine, for which a step can be planned as well."""
    devices = jax.devices()
    stats = devices[0].memory_stats() or {}
    limit = stats.get("bytes_limit", 0) or _host_memory()
    return Pod("here", devices, Chip(limit, float("nan"), float("nan")))


def _host_memory() -> int:
    """Return a device's share of this machine's memory, where devices are its processors."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return whole // len(jax.devices())
