"""The parallel SPPE: a frozen pose network that tells the spatial transformer to centre people.

It looks at the straight image and gives heat-maps there. They are compared with the joints where
they would be in the crop of the annotated box, so that only an image in which the person is placed
alike costs nothing (Fang et al., RMPE, ICCV 2017, section 3.1). It is not used after training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rmpe_jax.checkpoint import CheckpointError
from rmpe_jax.config import TrainConfig
from rmpe_jax.geometry import affine
from rmpe_jax.losses import joints_loss
from rmpe_jax.models.rmpe import RMPE, straighten
from rmpe_jax.predict import load
from rmpe_jax.records import Batch, Variables
from rmpe_jax.skeletons import Skeleton


@dataclass(frozen=True)
class ParallelSPPE:
    """What judges the straight images: any pure function (variables, images) -> heat-maps.

    `loss` and `sigma` are those that it was trained with.
    """

    network: Callable[[Variables, Float[Array, "b h w 3"]], Float[Array, "stacks b _ _ k"]]
    loss: Literal["squared", "cross_entropy"] = "squared"
    sigma: float = 2.0


def parallel_loss(
    parallel: ParallelSPPE,
    variables: Variables,
    crops: Float[Array, "b h w 3"],
    theta: Float[Array, "b 2 3"],
    batch: Batch,
    axis_aligned: bool,
    labelled: Float[Array, ""] | None = None,
    *,
    frozen: bool = True,
) -> Float[Array, ""]:
    """Return how badly the parallel network finds the joints of `batch` where they belong.

    The gradient reaches theta, and the network only if it is not `frozen`. `labelled` is the number
    of joints that belong somewhere in the whole batch (None: this is the whole batch).
    """
    straight = straighten(crops, theta, axis_aligned=axis_aligned)
    variables = jax.lax.stop_gradient(variables) if frozen else variables
    kind = {"loss": parallel.loss, "sigma": parallel.sigma}
    return centred_loss(parallel.network(variables, straight), batch, labelled, **kind)


def centred_loss(
    heatmaps: Float[Array, "stacks b _ _ k"],
    batch: Batch,
    labelled: Float[Array, ""] | None,
    *,
    loss: Literal["squared", "cross_entropy"],
    sigma: float,
) -> Float[Array, ""]:
    """Return how far heat-maps of straight images are from the joints of well-centred people."""
    joints = jax.vmap(centred)(batch.joints_crop, batch.weight, batch.theta_star)
    return joints_loss(heatmaps, *joints, loss=loss, sigma=sigma, labelled=labelled)


def centred(
    joints_crop: Float[Array, "k 2"], weight: Float[Array, " k"], theta_star: Float[Array, "2 3"]
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    """Return where one person's joints belong in the straight image, and their weights.

    They belong where the crop of the annotated box has them; a joint outside of that crop does
    not count.
    """
    joints_straight = affine.apply(affine.invert(theta_star), joints_crop)
    return joints_straight, weight * (jnp.abs(joints_straight) <= 1).all(axis=-1)


def load_parallel(
    path: str, skeleton: Skeleton, height: int, width: int
) -> tuple[ParallelSPPE, Variables]:
    """Return the network of an earlier run as parallel SPPE for these joints and crops."""
    try:
        model = load(path)
    except CheckpointError as error:
        raise ValueError(
            f"train.parallel: {error}. The parallel SPPE is a network that was trained before: "
            "train one without a transformer (rmpe train CONFIG --model.stn.form none --workdir "
            "DIR) and give its DIR, or set train.parallel to None to do without"
        ) from error
    size = (model.config.model.input_height, model.config.model.input_width)
    if size != (height, width):
        raise ValueError(
            f"train.parallel: the network in {path} takes crops of {size[0]} x {size[1]}, this "
            f"run's are {height} x {width}; train one with this size"
        )
    if model.skeleton.joints != skeleton.joints:
        raise ValueError(
            f"train.parallel: the network in {path} finds the joints of {model.skeleton.name}, "
            f"this run is to learn those of {skeleton.name}; train one with these joints"
        )
    return of_module(model.module, model.config.train), model.variables


def of_module(module: nn.Module, trained: TrainConfig) -> ParallelSPPE:
    """Return a network of this project as parallel SPPE; `trained` says how it learned."""
    return ParallelSPPE(partial(heatmaps_of, module), trained.loss, trained.sigma)


def heatmaps_of(
    module: nn.Module, variables: Variables, straight: Float[Array, "b h w 3"]
) -> Float[Array, "stacks b _ _ k"]:
    """Return what a network of this project sees, in evaluation mode."""
    method: Any = "heatmaps" if isinstance(module, RMPE) else None
    maps: Any = module.apply(variables, straight, train=False, method=method)
    return maps
