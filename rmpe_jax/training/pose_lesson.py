"""What crops of people teach a pose network, with or without a transformer about it.

With a transformer the loss is that of the main network, in the frame of the crop, plus that of the
parallel network, in the straight frame, whose variables get no gradient (Fang et al., RMPE, ICCV
2017, section 3.1). What a teacher sees is learned beside the labelled joints.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from rmpe_jax.config import Config
from rmpe_jax.data.teacher_maps import TeacherBatch
from rmpe_jax.geometry import affine
from rmpe_jax.losses import joints_loss
from rmpe_jax.models.rmpe import RMPE, Taps
from rmpe_jax.models.variables import learning
from rmpe_jax.records import Batch, Variables
from rmpe_jax.training import distillation
from rmpe_jax.training.groups import apply_in_groups, recomputed
from rmpe_jax.training.parallel import ParallelSPPE, centred, centred_loss, parallel_loss
from rmpe_jax.training.step import Figures, Learned, Lesson

HEATMAP_STRIDE = 4  # of every pose network
HEATMAPS_BATCH_AXIS = 1  # [stacks b h w k]
TAPS_BATCH_AXES = Taps(theta=0, gamma=0, straight=0, heatmaps_straight=1, heatmaps_crop=1)  # type: ignore[arg-type]


class PoseInputs(NamedTuple):
    """People to learn from, and what the teacher sees in them (None: there is no teacher)."""

    batch: Batch
    teacher: TeacherBatch | None = None


class PoseCounts(NamedTuple):
    """How much there is to learn from: people, and sums of joints' weights.

    `centred` are those that the parallel network judges, `taught` those that the teacher sees.
    """

    people: Float[Array, ""]
    labelled: Float[Array, ""]
    centred: Float[Array, ""] | None
    taught: Float[Array, ""] | None


class Branches(NamedTuple):
    """One thing for each of the two branches."""

    main: Float[Array, "b 2 3"]
    parallel: Float[Array, "b 2 3"]


def pose_lesson(
    module: nn.Module, config: Config, parallel: ParallelSPPE | None = None, *, groups: int = 1
) -> Lesson:
    """Return what `PoseInputs` teach `module`; the fixed variables are those of `parallel`.

    Batch norm takes its statistics over each of `groups` equal parts of what it sees.
    """
    if parallel is not None:
        parallel = replace(parallel, network=recomputed(parallel.network, config.train.remat))
    settings = {"module": module, "config": config, "parallel": parallel}
    count = partial(_count, config=config, parallel=parallel)
    return Lesson(count, partial(_learn, **settings, groups=groups))


def _count(inputs: PoseInputs, *, config: Config, parallel: ParallelSPPE | None) -> PoseCounts:
    batch, teacher = inputs
    judged = taught = None
    if parallel is not None or config.train.centred == "main":
        judged = jnp.sum(jax.vmap(centred)(batch.joints_crop, batch.weight, batch.theta_star)[1])
    if teacher is not None:
        sides = (config.model.input_height, config.model.input_width)
        size = (side // HEATMAP_STRIDE for side in sides)
        taught = jnp.sum(distillation.targets(teacher, *size)[1])
    people = jnp.asarray(len(batch.weight), jnp.float32)
    return PoseCounts(people, jnp.sum(batch.weight), judged, taught)


def _learn(
    params: Variables,
    batch_stats: Variables,
    inputs: PoseInputs,
    parallel_variables: Variables | None,
    counts: PoseCounts,
    *,
    module: nn.Module,
    config: Config,
    parallel: ParallelSPPE | None,
    groups: int,
) -> Learned:
    batch, teacher = inputs
    images = jnp.asarray(batch.crop, jnp.float32) / 255
    kind = {"loss": config.train.loss, "sigma": config.train.sigma}

    def of_maps(maps: Float[Array, "stacks b h w k"]) -> tuple[Float[Array, ""], Figures]:
        """Return the loss of maps in the frame of the crop, and its part from the teacher."""
        joints = (batch.joints_crop, batch.weight)
        loss = joints_loss(maps, *joints, **kind, labelled=counts.labelled)
        if teacher is None:
            return loss, {}
        taught = distillation.teacher_loss(maps, teacher, counts.taught)
        return loss + config.train.teacher_weight * taught, {"loss_teacher": taught}

    def loss_of(params: Variables, shifts: Branches) -> tuple[Float[Array, ""], Any]:
        variables = {"params": learning(config.model, params), "batch_stats": batch_stats}
        remat = config.train.remat
        applied = partial(apply_in_groups, module, variables, groups=groups, remat=remat)
        if not isinstance(module, RMPE):
            predicted, moved = applied(images, batch_axes=HEATMAPS_BATCH_AXIS)
            loss, figures = of_maps(predicted)
            return loss, (moved, figures, None)
        taps, moved = applied(images, shifts.main, batch_axes=TAPS_BATCH_AXES, method="taps")
        loss, figures = of_maps(taps.heatmaps_crop)
        figures = {"loss_main": loss, **figures}
        if config.train.centred == "main":
            added = centred_loss(taps.heatmaps_straight, batch, counts.centred, **kind)
            loss, figures["loss_centred"] = loss + config.train.parallel_weight * added, added
        elif parallel is not None:
            frozen = config.train.centred == "parallel"
            judge = parallel_variables if frozen else _of_judge(variables)
            theta = taps.theta - shifts.main + shifts.parallel
            added = parallel_loss(
                parallel,
                judge,
                images,
                theta,
                batch,
                module.axis_aligned,
                counts.centred,
                frozen=frozen,
            )
            loss, figures["loss_parallel"] = loss + config.train.parallel_weight * added, added
        return loss, (moved, figures, taps.theta)

    shifts = Branches(*(jnp.zeros((len(images), 2, 3)) for _ in Branches._fields))
    (loss, (moved, figures, theta)), (gradient, by_branch) = jax.value_and_grad(
        loss_of, argnums=(0, 1), has_aux=True
    )(params, shifts)
    rows = {}
    if theta is not None:
        figures |= theta_figures(theta, batch.theta_star, counts.people)
        figures |= _theta_gradients(by_branch, batch.theta_star - theta, counts.people)
        rows = {"suspects": suspects(theta)}
    return Learned(gradient, moved, {"loss": loss, **figures}, rows)


def _of_judge(variables: Variables) -> Variables:
    """Return the variables of a parallel network that is learned as well."""
    return {kind: values.get("judge", {}) for kind, values in variables.items()}


def suspects(theta: Float[Array, "b 2 3"]) -> Bool[Array, " b"]:
    """Return the people whose theta is no number: where a loss that is none began."""
    return ~jnp.isfinite(theta).all(axis=(1, 2))


def theta_figures(
    theta: Float[Array, "b 2 3"], theta_star: Float[Array, "b 2 3"], people: Float[Array, ""]
) -> Figures:
    """Return how far theta is from what it should say, and whether it can be inverted at all.

    Shares of means over `people`, but for the number of clamped ones.
    """
    determinant = theta[:, 0, 0] * theta[:, 1, 1] - theta[:, 0, 1] * theta[:, 1, 0]
    return {
        "theta_error": jnp.sum(_size(theta - theta_star)) / people,
        "theta_error_identity": jnp.sum(_size(jnp.eye(2, 3)[None] - theta_star)) / people,
        "theta_determinant": jnp.sum(determinant) / people,
        "theta_clamped": jnp.sum(jax.vmap(affine.is_clamped)(theta)),
    }


def _theta_gradients(
    by_branch: Branches, to_star: Float[Array, "b 2 3"], people: Float[Array, ""]
) -> Figures:
    """Return what the branches' gradients of one person's theta are like, shares of means.

    Their sizes; the cosine between the two; and that of the step against each with the way to
    theta*. A cosine with nothing counts as 0.
    """
    figures = {"theta_cosine": jnp.sum(_cosine(by_branch.main, by_branch.parallel)) / people}
    for name, gradient in by_branch._asdict().items():
        # The loss is a mean over people: that of one person has a gradient `people` times as large.
        figures[f"theta_gradient_{name}"] = jnp.sum(_size(gradient))
        figures[f"theta_{name}_toward_star"] = jnp.sum(_cosine(-gradient, to_star)) / people
    return figures


def _cosine(a: Float[Array, "b 2 3"], b: Float[Array, "b 2 3"]) -> Float[Array, " b"]:
    sizes = _size(a) * _size(b)
    product = jnp.sum(a * b, axis=(1, 2))
    return jnp.where(sizes > 0, product / jnp.where(sizes > 0, sizes, 1), 0)


def _size(theta: Float[Array, "b 2 3"]) -> Float[Array, " b"]:
    return jnp.sqrt(jnp.sum(theta**2, axis=(1, 2)))
