"""Over which devices a run lies: its state, its batches, and the step that joins them.

One mesh of all devices of all processes with one axis, along which batches are cut. Three ways to
run the same `step.train_step` on it:

    jit        one program sees the whole batch; the compiler cuts it up. Parameters lie whole on
               every device, or in pieces (FSDP).
    pmap       one program a device, each with a replica of the state; of one process.
    shard_map  the same without a leading axis of replicas, of any number of processes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from rmpe_jax.config import DevicesConfig
from rmpe_jax.training.step import Figures, Inputs, Rows, TrainState

AXIS = "data"
SMALLEST_CUT = 1024  # elements; a smaller array is not worth the messages of cutting it

PyTree = Any
Step = Callable[..., tuple[TrainState, Figures, Rows]]


@dataclass(frozen=True)
class Layout:
    """The devices of a run and what is where on them."""

    mesh: Mesh
    config: DevicesConfig

    @property
    def devices(self) -> int:
        """Return how many devices take part, in all processes."""
        return self.mesh.size

    @property
    def process_index(self) -> int:
        """Return which of the processes this is."""
        return jax.process_index()

    @property
    def process_count(self) -> int:
        """Return how many processes there are."""
        return jax.process_count()

    @property
    def axis(self) -> str | None:
        """Return the mapped axis that a step sums over; under jit there is none."""
        return None if self.config.parallel == "jit" else AXIS

    @property
    def norm_groups(self) -> int:
        """Return how many groups the part of a batch that a program sees has for batch norm."""
        return (self.config.norm_groups or self.devices) if self.axis is None else 1

    @property
    def norm_axis(self) -> str | None:
        """Return the mapped axis over which batch norm takes its statistics."""
        return AXIS if self.axis and self.config.norm_groups == 1 else None

    @property
    def replicated(self) -> NamedSharding:
        """Return where an array lies that is whole on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def cut(self) -> NamedSharding:
        """Return where a batch lies: each device has its rows."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    @property
    def must_be_awaited(self) -> bool:
        """Return whether a step must be over before the next is begun.

        On CPU devices messages of several steps in flight wait for each other for ever.
        """
        return self.devices > 1 and self.mesh.devices.flat[0].platform == "cpu"

    def memory(self) -> dict[str, float]:
        """Return the most memory a device of this process has had in use, if it tells."""
        stats = [device.memory_stats() for device in self.mesh.local_devices]
        peaks = [told["peak_bytes_in_use"] for told in stats if told]
        return {"device_memory_mb": max(peaks) / 1e6} if peaks else {}

    def shardings(self, state: PyTree) -> PyTree:
        """Return where the arrays of a state lie: whole everywhere, or in pieces.

        One rule for parameters, averages and what the optimiser keeps of them: the longest side
        that the devices divide is cut, if the array is not small.
        """
        if self.config.parameters == "replicated":
            return jax.tree.map(lambda _: self.replicated, state)
        return jax.tree.map(self._piece, state)

    def _piece(self, array: Array | jax.ShapeDtypeStruct) -> NamedSharding:
        sides = [side if side % self.devices == 0 else 0 for side in array.shape]
        if array.size < SMALLEST_CUT or not any(sides):
            return self.replicated
        longest = int(np.argmax(sides))
        spec = [AXIS if side == longest else None for side in range(array.ndim)]
        return NamedSharding(self.mesh, PartitionSpec(*spec))

    def place(self, state: TrainState) -> TrainState:
        """Return a state that every process has whole, laid out."""
        return jax.tree.map(_laid_out, state, self.shardings(state))

    def place_fixed(self, fixed: PyTree) -> PyTree:
        """Return what does not change, whole on every device."""
        return jax.tree.map(lambda array: _laid_out(array, self.replicated), fixed)

    def place_batch(self, inputs: Inputs) -> Inputs:
        """Return this process' part of a batch, laid out."""
        if self.config.parallel == "pmap":
            each = (self.devices, -1)
            inputs = jax.tree.map(lambda rows: rows.reshape(*each, *rows.shape[1:]), inputs)
        if self.process_count == 1:
            return jax.device_put(inputs, self.cut)
        return jax.tree.map(
            lambda rows: jax.make_array_from_process_local_data(self.cut, rows), inputs
        )

    def compiled(self, step: Step, state: TrainState) -> Step:
        """Return the step for states laid out as `state`; it gives its input state away.

        `step` is `step.train_step` with its lesson and its optimiser.
        """
        parts = self.config.accumulate
        if self.axis is None:
            whole = partial(
                step,
                parts=parts,
                devices=self.devices,
                gather=lambda params: jax.lax.with_sharding_constraint(params, self.replicated),
            )
            out = (self.shardings(state), self.replicated, self.cut)
            return jax.jit(whole, donate_argnums=0, out_shardings=out)
        each = partial(step, axis=AXIS, parts=parts)
        if self.config.parallel == "pmap":
            devices = list(self.mesh.devices.flat)
            return jax.pmap(each, AXIS, in_axes=(0, 0, None), donate_argnums=0, devices=devices)
        whole, cut = PartitionSpec(), PartitionSpec(AXIS)
        # Without the check for what varies: it would count the gradient once for every device.
        mapped = jax.shard_map(
            each,
            mesh=self.mesh,
            in_specs=(whole, cut, whole),
            out_specs=(whole, whole, cut),
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=0)

    def to_step(self, state: TrainState) -> TrainState:
        """Return a state that was placed as the compiled step wants it; its arrays are given away.

        The replicas of pmap are one array with a leading axis. Nothing moves between devices.
        """
        if self.config.parallel != "pmap":
            return state

        def stack(array: Array) -> Array:
            each = [shard.data[None] for shard in array.addressable_shards]
            shape = (self.devices, *array.shape)
            return jax.make_array_from_single_device_arrays(shape, self.cut, each)

        return jax.tree.map(stack, state)

    def from_step(self, state: TrainState) -> TrainState:
        """Return a step's state as it was placed, to be saved."""
        if self.config.parallel != "pmap":
            return state

        def unstack(array: Array) -> Array:
            each = [shard.data[0] for shard in array.addressable_shards]
            shape = array.shape[1:]
            return jax.make_array_from_single_device_arrays(shape, self.replicated, each)

        return jax.tree.map(unstack, state)

    def __str__(self) -> str:
        """Return the devices in words."""
        device = self.mesh.devices.flat[0]
        if self.devices == 1:
            return str(device)
        processes = f" in {self.process_count} processes" if self.process_count > 1 else ""
        return f"{self.devices} x {device.device_kind}{processes} ({self.config.parallel})"


def layout(
    config: DevicesConfig, batch_size: int, available: Sequence[Any] | None = None
) -> Layout:
    """Return the devices of a run, of those that are there or of `available`.

    Raises ValueError if the batch cannot be cut as wanted.
    """
    available = jax.devices() if available is None else available
    count = config.count or len(available)
    if count > len(available):
        raise ValueError(
            f"devices.count is {config.count}, and there are {len(available)} devices; give at "
            "most as many, or 0 for all"
        )
    if count < len(available) and jax.process_count() > 1:
        raise ValueError("devices.count is for a single process: several use all their devices")
    if config.parallel == "pmap" and jax.process_count() > 1:
        raise ValueError(
            "devices.parallel is 'pmap', which is for the devices of one process; type "
            "--devices.parallel shard_map (the same with a program a device) or jit"
        )
    if config.parallel != "jit" and config.parameters == "sharded":
        raise ValueError(
            f"devices.parameters is 'sharded' and devices.parallel {config.parallel!r}; parameters "
            "in pieces need --devices.parallel jit"
        )
    groups = config.norm_groups or count
    if config.parallel != "jit" and groups not in (1, count):
        raise ValueError(
            f"devices.norm_groups is {groups} and devices.parallel {config.parallel!r}, where it "
            f"is 1 or the number of devices, {count}; other numbers need --devices.parallel jit"
        )
    multiple = batch_multiple(config, count)
    if batch_size % multiple:
        nearest = max(1, round(batch_size / multiple)) * multiple
        raise ValueError(
            f"train.batch_size is {batch_size}; {count} devices, {groups} groups of batch norm and "
            f"{config.accumulate} parts need a multiple of {multiple}: type --train.batch-size "
            f"{nearest}, or --devices.count for fewer devices"
        )
    mesh = jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,), devices=available[:count])
    return Layout(mesh, config)


def batch_multiple(config: DevicesConfig, count: int) -> int:
    """Return what the size of a batch must be a multiple of on `count` devices."""
    return math.lcm(count, config.norm_groups or count) * config.accumulate


def one_copy(tree: PyTree) -> PyTree:
    """Return the arrays whole on this process' first device, without copying where one is there.

    Every process must call it, if arrays lie in pieces.
    """

    def whole(array: Array) -> Array:
        if not array.is_fully_replicated:
            mesh = array.sharding.mesh  # type: ignore[attr-defined]
            array = jax.jit(lambda a: a, out_shardings=NamedSharding(mesh, PartitionSpec()))(array)
        return array.addressable_data(0)

    return jax.tree.map(whole, tree)


def fetched(figures: dict[str, Array]) -> dict[str, float]:
    """Return the figures of a step as numbers; waits until it is done."""
    # All devices have the same; those of pmap have a leading axis.
    return {name: np.asarray(x.addressable_data(0)).item() for name, x in figures.items()}


def fetched_rows(rows: Rows) -> dict[str, np.ndarray]:
    """Return what is told of this process' samples, in their order."""

    def local(array: Array) -> np.ndarray:
        shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
        return np.concatenate([np.ravel(shard.data) for shard in shards])

    return {name: local(array) for name, array in rows.items()}


def _laid_out(array: Array, sharding: NamedSharding) -> Array:
    """Return an array that every process has whole, as the part that each device is to have."""
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _laid_out(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    if jax.process_count() == 1:
        return jax.device_put(array, sharding)
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
