"""What one training step needs on a pod that is not there, compiled ahead of time for its chips.

The step is the run's own: network, transformer, parallel SPPE, optimiser, and the way it lies over
the devices. No data is read and nothing is computed.
"""

import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rmpe_jax.config import Config, from_dict, to_dict
from rmpe_jax.data import json_files
from rmpe_jax.data.dataset import expected_joints
from rmpe_jax.data.detector_batches import MOST_PEOPLE, DetectorBatch
from rmpe_jax.models import variables as model_variables
from rmpe_jax.models.build import build, build_detector
from rmpe_jax.planning import arithmetic, program
from rmpe_jax.planning.pod import RESERVED_BYTES, Pod
from rmpe_jax.planning.program import Collective
from rmpe_jax.records import Batch, Variables
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.detector_lesson import detector_lesson
from rmpe_jax.training.parallel import ParallelSPPE, of_module
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.sharding import Layout, batch_multiple, layout
from rmpe_jax.training.stages import stage_configs
from rmpe_jax.training.step import Inputs, Lesson, TrainState, start, train_step

PER_CHIP = 8  # people a chip of the first program; the second has twice as many, or half
TRIES = 4  # to find the largest batch, from where the line says it is
OUT_OF_MEMORY = re.compile(r"Used ([\d.]+)([KMG]) of ([\d.]+)([KMG]) hbm")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}

Say = Callable[[str], None]


class Memory(NamedTuple):
    """Bytes on a chip: what a step is given, what it keeps while it runs, and its program."""

    given: int
    while_running: int
    code: int

    @property
    def total(self) -> int:
        """Return what the chip must have."""
        return self.given + self.while_running + self.code


class Compiled(NamedTuple):
    """A step compiled for a batch of so many people a chip; all figures are of one chip.

    `moved` is bytes read and written, an estimate where the program has loops. A step that does
    not fit has its memory alone, and no more than its sum.
    """

    per_chip: int
    memory: Memory
    fits: bool
    flops: float
    moved: float
    collectives: list[Collective]
    seconds: float


@dataclass(frozen=True)
class Run:
    """A run as it would lie on a pod; `state` and `fixed` are shapes with their places."""

    config: Config
    pod: Pod
    layout: Layout
    step: Callable[..., Any]
    state: TrainState
    fixed: Variables | None
    inputs: Callable[[int], Inputs]


def plan(
    config: Config,
    pod: Pod,
    *,
    parallel: Config | None = None,
    per_chip: int | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Return what a step of a run needs on each chip, and the largest batch that fits.

    Of a run in stages it is the last stage. `parallel` describes the run of the parallel SPPE,
    where `train.parallel` is not there yet. The step is compiled for two sizes of the batch; a line
    through both gives the largest, for which it is compiled again. With `per_chip`, for batches of
    so many people a chip alone. Raises ValueError if the settings do not suit the pod.
    """
    run = laid_out(config, pod, parallel=parallel)
    least = batch_multiple(run.config.devices, len(pod.devices)) // len(pod.devices)
    if per_chip is not None:
        if per_chip % least:
            raise ValueError(
                f"--per-chip is {per_chip}; the settings of the devices want a multiple of {least}"
            )
        return _result(run, [compiled(run, per_chip, say)])
    size = math.ceil(PER_CHIP / least) * least
    tried = [compiled(run, size, say)]
    other = 2 * size if tried[0].fits else max(size // 2 // least, 1) * least
    if other != size:
        tried.append(compiled(run, other, say))
        tried += _largest(run, tried, least, say)
    return _result(run, tried)


def laid_out(config: Config, pod: Pod, *, parallel: Config | None = None) -> Run:
    """Return the last stage of a run on the chips of a pod."""
    stages = stage_configs(config)
    config = stages[-1]
    if config.devices.parallel == "pmap":
        raise ValueError(
            "devices.parallel is 'pmap', whose programs are not compiled ahead of time; type "
            "--devices.parallel shard_map (the same with a program a device) or jit"
        )
    chips = len(pod.devices)
    fits = batch_multiple(config.devices, chips)
    devices = layout(config.devices, fits, pod.devices)
    module, lesson, fixed = _learning(config, stages, devices, parallel)
    optimiser = optimisers.build(config)
    step = partial(train_step, lesson=lesson, optimiser=optimiser, ema=config.optimiser.ema)
    first = partial(start, optimiser=optimiser, ema=config.optimiser.ema)
    state = jax.eval_shape(
        lambda key, variables: first(key, variables),
        jax.eval_shape(lambda: jax.random.key(0)),
        model_variables.shapes(module, config.model),
    )
    return Run(
        config=config,
        pod=pod,
        layout=devices,
        step=devices.compiled(step, state),
        state=jax.tree.map(_placed, state, devices.shardings(state)),
        fixed=jax.tree.map(lambda array: _placed(array, devices.replicated), fixed),
        inputs=lambda batch: jax.tree.map(
            lambda array: _placed(array, devices.cut), input_shapes(config, batch)
        ),
    )


def input_shapes(config: Config, batch: int) -> Inputs:
    """Return the shapes of what a step is given to learn from."""
    model, floats = config.model, jnp.float32

    def rows(dtype: Any, *sides: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((batch, *sides), dtype)

    pictures = rows(jnp.uint8, model.input_height, model.input_width, 3)
    if model.family == "detector":
        each = (MOST_PEOPLE,)
        boxes, flags = rows(floats, *each, 4), rows(jnp.bool_, *each)
        return DetectorBatch(pictures, boxes, flags, flags, rows(jnp.int32))
    joints = len(expected_joints(config.data).joints)
    theta, number = rows(floats, 2, 3), rows(jnp.int32)
    return PoseInputs(
        Batch(
            crop=pictures,
            joints_crop=rows(floats, joints, 2),
            weight=rows(floats, joints),
            theta_crop=theta,
            theta_star=theta,
            image_id=number,
            person_id=number,
        )
    )


def compiled(run: Run, per_chip: int, say: Say) -> Compiled:
    """Return the step as compiled for a batch of `per_chip` people on each chip."""
    chips = len(run.pod.devices)
    began = time.perf_counter()
    traced = run.step.trace(run.state, run.inputs(per_chip * chips), run.fixed)  # type: ignore[attr-defined]
    arithmetic_done = arithmetic.flops(traced.jaxpr) / chips
    try:
        with warnings.catch_warnings():
            # JAX's cache keeps a program for a pod, but cannot read it back without the pod.
            warnings.filterwarnings("ignore", "Error reading persistent compilation cache")
            made = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        used = OUT_OF_MEMORY.search(str(error))
        if used is None:
            raise
        memory = Memory(round(float(used[1]) * UNITS[used[2]]), 0, 0)
        seconds = time.perf_counter() - began
        say(_told(run, per_chip, memory, seconds))
        return Compiled(per_chip, memory, False, arithmetic_done, math.nan, [], seconds)
    seconds = time.perf_counter() - began
    stats = made.memory_analysis()
    memory = Memory(
        given=stats.argument_size_in_bytes,
        while_running=stats.temp_size_in_bytes
        + stats.output_size_in_bytes
        - stats.alias_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )
    read = program.parse(made.as_text())
    moved = made.cost_analysis().get("bytes accessed", math.nan) * program.loop_factor(read)
    sent = program.collectives(read)
    say(_told(run, per_chip, memory, seconds))
    fits = memory.total <= available(run.pod)
    return Compiled(per_chip, memory, fits, arithmetic_done, moved, sent, seconds)


def available(pod: Pod) -> int:
    """Return the bytes that a program may have on a chip."""
    return pod.chip.memory - RESERVED_BYTES


def _largest(run: Run, tried: list[Compiled], least: int, say: Say) -> Iterator[Compiled]:
    """Yield the step compiled for the batch that should just fit, and for less until it does."""
    slope, offset = _line(*tried)
    size = math.floor((available(run.pod) - offset) / slope)
    for _ in range(TRIES):
        size = max(size // least, 1) * least
        if any(each.per_chip == size for each in tried):
            return
        again = compiled(run, size, say)
        yield again
        if again.fits or size == least:
            return
        size = min(math.floor(0.97 * size), size - least)


def _line(one: Compiled, two: Compiled) -> tuple[float, float]:
    """Return slope and offset of the memory as a function of the people a chip has."""
    slope = (two.memory.total - one.memory.total) / (two.per_chip - one.per_chip)
    return slope, one.memory.total - slope * one.per_chip


def _learning(
    config: Config, stages: list[Config], devices: Layout, parallel: Config | None
) -> tuple[nn.Module, Lesson, Variables | None]:
    """Return the network, what it learns, and the shapes of what stays fixed beside it."""
    if config.model.family == "detector":
        network = build_detector(config.model, norm_axis=devices.norm_axis)
        return network, detector_lesson(network, config, groups=devices.norm_groups), None
    joints = len(expected_joints(config.data).joints)
    logits = config.train.loss == "cross_entropy"
    module = build(
        config.model,
        joints,
        logits=logits,
        norm_axis=devices.norm_axis,
        judge=config.train.centred == "unfrozen",
    )
    judge, fixed = _parallel(config, stages, joints, parallel)
    return module, pose_lesson(module, config, judge, groups=devices.norm_groups), fixed


def _parallel(
    config: Config, stages: list[Config], joints: int, given: Config | None
) -> tuple[ParallelSPPE | None, Variables | None]:
    """Return the parallel SPPE of a run and the shapes of its variables, if it has one."""
    path = config.train.parallel
    if path is None:
        return None, None
    described = given or next((stage for stage in stages if stage.workdir == path), None)
    settings = Path(path) / "config.json"
    if described is None and settings.is_file():
        described = from_dict(Config, json_files.load(settings))
    if described is None:
        raise ValueError(
            f"train.parallel is {path!r}, and there is no run; say what network it will be: "
            "--parallel-config CONFIG.py"
        )
    crops = (config.model.input_height, config.model.input_width)
    size = (described.model.input_height, described.model.input_width)
    if size != crops:
        raise ValueError(
            f"the parallel SPPE takes crops of {size[0]} x {size[1]}, those of the run are "
            f"{crops[0]} x {crops[1]}; give another --parallel-config"
        )
    module = build(described.model, joints, logits=described.train.loss == "cross_entropy")
    fixed = model_variables.shapes(module, described.model)
    return of_module(module, described.train), fixed


def _placed(array: Any, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)


def stored(tree: Any) -> int:
    """Return the bytes of arrays on one chip, without padding."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * _item_bytes(leaf.dtype)
        for leaf in jax.tree.leaves(tree)
    )


def _item_bytes(dtype: Any) -> int:
    return 8 if jnp.issubdtype(dtype, jax.dtypes.prng_key) else np.dtype(dtype).itemsize


def _result(run: Run, tried: list[Compiled]) -> dict:
    """Return the plan as plain values; sizes are bytes of one chip, but where it says otherwise."""
    best = max((each.per_chip for each in tried if each.fits), default=0)
    chips, chip, state = len(run.pod.devices), run.pod.chip, run.state
    result: dict[str, Any] = {
        "topology": run.pod.topology,
        "chip": str(run.pod.devices[0].device_kind),
        "chips": chips,
        "chip_memory": chip.memory,
        "available": available(run.pod),
        "stored": {
            "parameters": stored(state.params),
            "optimiser": stored(state.optimiser),
            "running_average": stored(state.average),
            "batch_statistics": stored(state.batch_stats),
            "parallel_sppe": stored(run.fixed),
        },
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "gradient_and_statistics": _whole_bytes((state.params, state.batch_stats)),
        "compiled": [_as_dict(run, each) for each in tried],
        "largest_batch_per_chip": best,
        "config": to_dict(run.config),
        "versions": {"jax": jax.__version__},
    }
    if len(tried) > 1:
        slope, offset = _line(*tried[:2])
        result["memory_line"] = {"a_person": slope, "always": offset}
    return result


def _as_dict(run: Run, each: Compiled) -> dict[str, Any]:
    chip = run.pod.chip
    batch = each.per_chip * len(run.pod.devices)
    return {
        "per_chip": each.per_chip,
        "batch": batch,
        "fits": each.fits,
        "given": each.memory.given,
        "inputs": stored(run.inputs(batch)),
        "while_running": each.memory.while_running,
        "code": each.memory.code,
        "total": each.memory.total,
        "flops": each.flops,
        "moved": each.moved,
        "collectives": [sent._asdict() for sent in each.collectives],
        "arithmetic_seconds": each.flops / chip.flops,
        "memory_seconds": each.moved / chip.bandwidth,
        "compile_seconds": round(each.seconds, 1),
    }


def _whole_bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _told(run: Run, per_chip: int, memory: Memory, seconds: float) -> str:
    size = f"{memory.total / 2**30:.2f} of {available(run.pod) / 2**30:.2f} GiB"
    return f"{per_chip} a chip: {size}, compiled in {seconds:.0f} s"
