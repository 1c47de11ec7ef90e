"""One training step: a pure function of (state, batch), on one device or on many.

What is learned from a batch is a `Lesson`. All that it says is a share: what the parts of a batch
say adds up to what the whole batch says, because every share is divided by counts of the whole
batch. So a step is the same function wherever a batch lies: seen whole by one program over all
devices (`jax.jit`), in one part on each (`jax.pmap`, `jax.shard_map`), or in parts one after the
other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rmpe_jax.records import Variables

Inputs = Any  # arrays with a leading batch dimension
Counts = Any  # sums over a batch
Figures = dict[str, Float[Array, ""]]
Rows = dict[str, Array]  # one value of each sample


class TrainState(NamedTuple):
    """Everything a run is at one moment; `step` batches have been used.

    `average` is the running average of parameters and batch statistics that is evaluated (None:
    the present ones are).
    """

    step: Int[Array, ""]
    key: PRNGKeyArray
    params: Variables
    batch_stats: Variables
    optimiser: optax.OptState
    average: Variables | None

    @property
    def evaluated(self) -> Variables:
        """Return the variables that evaluation and prediction use."""
        if self.average is not None:
            return self.average
        return {"params": self.params, "batch_stats": self.batch_stats}


class Learned(NamedTuple):
    """What a part of a batch teaches; gradient and figures are shares of the whole batch's."""

    gradient: Variables
    batch_stats: Variables
    figures: Figures
    rows: Rows


class Lesson(NamedTuple):
    """What is to be learned from a batch.

    `count` says how much there is to learn from in a part: what the shares are divided by.
    `learn` is called with (parameters, batch statistics, a part, what stays fixed, the counts of
    the whole batch).
    """

    count: Callable[[Inputs], Counts]
    learn: Callable[[Variables, Variables, Inputs, Any, Counts], Learned]


def start(
    key: PRNGKeyArray, variables: Variables, optimiser: optax.GradientTransformation, *, ema: float
) -> TrainState:
    """Return the state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        optimiser=optimiser.init(variables["params"]),
        # A copy: the step gives its input buffers away, and none may be given twice.
        average=jax.tree.map(jnp.copy, variables) if ema > 0 else None,
    )


def train_step(
    state: TrainState,
    inputs: Inputs,
    fixed: Any = None,
    *,
    lesson: Lesson,
    optimiser: optax.GradientTransformation,
    ema: float = 0.0,
    axis: str | None = None,
    parts: int = 1,
    devices: int = 1,
    gather: Callable[[Variables], Variables] = lambda params: params,
) -> tuple[TrainState, Figures, Rows]:
    """Return the state after a batch, the figures of the step, and what is told of each sample.

    `axis` names the mapped axis over which the batch is cut (None: all of it is seen here).
    `parts` are learned from one after the other, each with batch statistics of its own, before
    the one update; `devices` says over how many devices the batch that is seen here lies, so
    that each has its share of every part. `gather` makes parameters whole that lie in pieces.
    """
    whole = _sum_over(lesson.count(inputs), axis)
    params = gather(state.params)
    learned = _learn_in_parts(
        lambda batch_stats, part: lesson.learn(params, batch_stats, part, fixed, whole),
        state.batch_stats,
        inputs,
        parts,
        devices,
    )
    gradient, figures = _sum_over((learned.gradient, learned.figures), axis)
    # Running statistics of devices with statistics of their own are averaged.
    batch_stats = learned.batch_stats if axis is None else jax.lax.pmean(learned.batch_stats, axis)
    state, sizes = advanced(state, gradient, batch_stats, optimiser, decay=ema)
    return state, {**figures, **sizes}, learned.rows


def advanced(
    state: TrainState,
    gradient: Variables,
    batch_stats: Variables,
    optimiser: optax.GradientTransformation,
    *,
    decay: float,
) -> tuple[TrainState, Figures]:
    """Return the state after one update by a gradient, and the size of it and of the parameters.

    `decay` is that of the running average.
    """
    updates, optimiser_state = optimiser.update(gradient, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    moved = {"params": params, "batch_stats": batch_stats}
    figures = {
        "gradient_norm": optax.tree.norm(gradient),
        "parameter_norm": optax.tree.norm(params),
    }
    return TrainState(
        step=state.step + 1,
        key=state.key,
        params=params,
        batch_stats=batch_stats,
        optimiser=optimiser_state,
        average=_moved(state.average, moved, state.step, decay),
    ), figures


def _sum_over(tree: Any, axis: str | None) -> Any:
    """Return what the parts on all devices say together."""
    return tree if axis is None else jax.lax.psum(tree, axis)


def _learn_in_parts(
    learn: Callable[[Variables, Inputs], Learned],
    batch_stats: Variables,
    inputs: Inputs,
    parts: int,
    devices: int,
) -> Learned:
    """Return what all parts of a batch teach together; batch statistics pass from one to the next.

    Only one part's activations are in memory at a time.
    """
    if parts == 1:
        return learn(batch_stats, inputs)

    def cut(rows: Array) -> Array:
        """[b ...] -> [parts b/parts ...], every part from all devices."""
        each = rows.reshape(devices, parts, -1, *rows.shape[1:]).swapaxes(0, 1)
        return each.reshape(parts, -1, *rows.shape[1:])

    def joined(rows: Array) -> Array:
        each = rows.reshape(parts, devices, -1, *rows.shape[2:]).swapaxes(0, 1)
        return each.reshape(-1, *rows.shape[2:])

    def add(carried: tuple[Variables, Any], part: Inputs) -> tuple[tuple[Variables, Any], Rows]:
        before, sums = carried
        learned = learn(before, part)
        sums = jax.tree.map(jnp.add, sums, (learned.gradient, learned.figures))
        return (learned.batch_stats, sums), learned.rows

    cuts = jax.tree.map(cut, inputs)
    shapes = jax.eval_shape(learn, batch_stats, jax.tree.map(lambda rows: rows[0], cuts))
    nothing = jax.tree.map(
        lambda shape: jnp.zeros(shape.shape, shape.dtype), (shapes.gradient, shapes.figures)
    )
    (batch_stats, (gradient, figures)), rows = jax.lax.scan(add, (batch_stats, nothing), cuts)
    return Learned(gradient, batch_stats, figures, jax.tree.map(joined, rows))


def _moved(
    average: Variables | None, variables: Variables, step: Int[Array, ""], decay: float
) -> Variables | None:
    """Return the running average after one more set of variables.

    Early on the decay is (1 + t) / (10 + t), so that the average forgets the random start.
    """
    if average is None:
        return None
    time = jnp.asarray(step, jnp.float32)
    share = jnp.minimum(decay, (1 + time) / (10 + time))
    return jax.tree.map(lambda old, new: share * old + (1 - share) * new, average, variables)
