"""What one theta shows of one person: the straight image, the heat-maps, the pose in each frame.

Points are (x, y) in [-1, 1]; heat-maps are those of the last stack, 1 where a joint surely is. As
the losses see them: without the mirrored crop that evaluation may average with.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from rmpe_jax.chain import decoded
from rmpe_jax.geometry import affine, heatmaps
from rmpe_jax.inspection.branches import COMPILED, Parallel, apply, checked_module
from rmpe_jax.inspection.example import Example, crop_of
from rmpe_jax.models.rmpe import symmetric
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array, Variables


class View(NamedTuple):
    """Images and heat-maps under one theta; `heatmaps_parallel` is None without such a network.

    The pose is decoded from the straight heat-maps; theta takes it back to the crop and
    `theta_crop` to the photograph. `confidence` is each joint's peak, clipped to [0, 1].
    """

    crop: Float[Array, "h w 3"]
    straight: Float[Array, "h w 3"]
    heatmaps_straight: Float[Array, "mh mw k"]
    heatmaps_crop: Float[Array, "mh mw k"]
    heatmaps_parallel: Float[Array, "_ _ k"] | None
    joints_straight: Float[Array, "k 2"]
    joints_crop: Float[Array, "k 2"]
    joints_image: Float[Array, "k 2"]
    confidence: Float[Array, " k"]


def view(
    model: PoseModel,
    person: Example,
    parallel: Parallel | None = None,
    *,
    theta: Float[Array, "2 3"],
) -> View:
    """Return what there is to see under theta (straight point -> crop point)."""
    judge, variables = parallel or (None, None)
    return _view(
        model.variables,
        variables,
        person,
        jnp.asarray(theta, jnp.float32),
        module=checked_module(model),
        config=model.config,
        parallel=judge,
    )


@partial(jax.jit, static_argnames=COMPILED)
def _view(
    variables: Variables,
    parallel_variables: Variables | None,
    person: Example,
    theta: Float[Array, "2 3"],
    **known: Any,
) -> View:
    module, config, parallel = known["module"], known["config"], known["parallel"]
    crop = crop_of(
        person.image, person.theta_crop, config.model.input_height, config.model.input_width
    )
    taps = symmetric(
        crop[None],
        theta[None],
        lambda straight: apply(module, variables, straight, "heatmaps", False),
        logits=module.logits,
        axis_aligned=module.axis_aligned,
    )
    straight_maps, crop_maps = (
        _shown(maps[-1, 0], module.logits, config.train.sigma)
        for maps in (taps.heatmaps_straight, taps.heatmaps_crop)
    )
    judged = None
    if parallel is not None:
        maps = parallel.network(parallel_variables, taps.straight)[-1, 0]
        judged = _shown(maps, parallel.loss == "cross_entropy", parallel.sigma)
    (joints_straight,), (peak,) = decoded(straight_maps[None], config.evaluation)
    joints_crop = affine.apply(theta, joints_straight)
    return View(
        crop=crop,
        straight=taps.straight[0],
        heatmaps_straight=straight_maps,
        heatmaps_crop=crop_maps,
        heatmaps_parallel=judged,
        joints_straight=joints_straight,
        joints_crop=joints_crop,
        joints_image=affine.apply(person.theta_crop, joints_crop),
        confidence=jnp.clip(peak, 0.0, 1.0),
    )


def _shown(maps: Float[Array, "h w k"], logits: bool, sigma: float) -> Float[Array, "h w k"]:
    """Return a network's maps as heat-maps."""
    return heatmaps.from_logits(maps, sigma) if logits else maps
