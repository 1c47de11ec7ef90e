"""What windows of photographs teach a human detector."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from rmpe_jax import detection_losses
from rmpe_jax.config import Config
from rmpe_jax.data.detector_batches import DetectorBatch
from rmpe_jax.models.detector import Found, points_px
from rmpe_jax.models.variables import learning
from rmpe_jax.records import Variables
from rmpe_jax.training.groups import apply_in_groups
from rmpe_jax.training.step import Figures, Learned, Lesson

BOX_WEIGHT = 2.0  # of the boxes' loss beside the scores' (Li et al., Generalized Focal Loss)
BATCH_AXES = Found(logit=0, boxes_px=0)  # type: ignore[arg-type]


class DetectorCounts(NamedTuple):
    """How many points have a person."""

    positive: Int[Array, ""]


def detector_lesson(module: nn.Module, config: Config, *, groups: int = 1) -> Lesson:
    """Return what a `DetectorBatch` teaches `module`.

    Losses are sums over all points of the batch divided by the number of those with a person. Batch
    norm takes its statistics over each of `groups` equal parts of what it sees.
    """
    return Lesson(_count, partial(_learn, module=module, config=config, groups=groups))


def _targets(batch: DetectorBatch) -> detection_losses.Targets:
    points, strides = (jnp.asarray(a, jnp.float32) for a in points_px(*batch.window.shape[1:3]))
    assign = partial(detection_losses.assign, points, strides)
    return jax.vmap(assign)(batch.boxes_px, batch.valid, batch.crowd)


def _count(batch: DetectorBatch) -> DetectorCounts:
    return DetectorCounts(jnp.sum(_targets(batch).person >= 0))


def _learn(
    params: Variables,
    batch_stats: Variables,
    batch: DetectorBatch,
    _: None,
    counts: DetectorCounts,
    *,
    module: nn.Module,
    config: Config,
    groups: int,
) -> Learned:
    images = jnp.asarray(batch.window, jnp.float32) / 255
    targets = _targets(batch)

    def loss_of(params: Variables) -> tuple[Float[Array, ""], tuple[Variables, Figures]]:
        variables = {"params": learning(config.model, params), "batch_stats": batch_stats}
        found: Any
        found, moved = apply_in_groups(
            module,
            variables,
            images,
            groups=groups,
            batch_axes=BATCH_AXES,
            remat=config.train.remat,
        )
        parts = jax.vmap(detection_losses.losses)(
            found.logit, found.boxes_px, batch.boxes_px, targets
        )
        score, box, positive = (jnp.sum(part) for part in parts)
        score, box = (part / jnp.maximum(counts.positive, 1) for part in (score, box))
        figures = {"loss_score": score, "loss_box": box, "points_with_a_person": positive}
        return score + BOX_WEIGHT * box, (moved, figures)

    (loss, (moved, figures)), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
    return Learned(gradient, moved, {"loss": loss, **figures}, {})
