"""d loss / d theta of each branch, for one person: which way each of them pulls the transformer.

The loss of training reaches theta by three ways: the main loss through the STN's sampler and
through the SDTN's grid, and the parallel loss through the STN's sampler. Each is a gradient of its
own here, for each stack of the network; their sum is what training backpropagates from theta.

Networks look as they do in use, with stored batch statistics; `train=True` takes those of the one
crop instead, as a training batch of one would.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmpe_jax.config import Config
from rmpe_jax.geometry import affine
from rmpe_jax.inspection.example import Example, crop_of
from rmpe_jax.losses import joints_loss
from rmpe_jax.models.rmpe import RMPE, pull_back, straighten
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array, Variables
from rmpe_jax.training.parallel import ParallelSPPE, centred

BRANCHES = ("stn", "sdtn", "parallel")
NO_PARALLEL = "no parallel network was given: its branch is empty"
Parallel = tuple[ParallelSPPE, Variables]  # as `training.parallel.load_parallel` returns it


class BranchGradients(NamedTuple):
    """What each branch says about one person's theta, for each of s (parallel: p) stacks.

    `stn` and `sdtn` are those of the main loss through sampler and grid; `parallel` and
    `loss_parallel` are multiplied by `train.parallel_weight`, as in training. Without a parallel
    network p is 0. `theta`, `theta_star`: straight point -> crop point, points in [-1, 1].
    `notes` says in words what is unusual.
    """

    theta: Float[Array, "2 3"]
    theta_star: Float[Array, "2 3"]
    loss_main: Float[Array, " s"]
    loss_parallel: Float[Array, " p"]
    stn: Float[Array, "s 2 3"]
    sdtn: Float[Array, "s 2 3"]
    parallel: Float[Array, "p 2 3"]
    notes: tuple[str, ...]

    @property
    def by_branch(self) -> Float[np.ndarray, "3 2 3"]:
        """Return the gradients of BRANCHES, summed over stacks."""
        parts = (self.stn, self.sdtn, self.parallel)
        return np.stack([np.asarray(part, np.float64).sum(axis=0) for part in parts])

    @property
    def total(self) -> Float[np.ndarray, "2 3"]:
        """Return the gradient of the whole training loss."""
        return self.by_branch.sum(axis=0)


class Cosines(NamedTuple):
    """How well gradients agree: 1 is the same direction, -1 the opposite, NaN where one is 0.

    `between` compares stn, sdtn, parallel and their sum; `toward_star` compares the step against
    each of these with theta* - theta, `*_toward_star` that of each stack. theta counts as six
    numbers.
    """

    between: Float[np.ndarray, "4 4"]
    toward_star: Float[np.ndarray, " 4"]
    stn_toward_star: Float[np.ndarray, " s"]
    sdtn_toward_star: Float[np.ndarray, " s"]
    parallel_toward_star: Float[np.ndarray, " p"]


def branch_gradients(
    model: PoseModel,
    person: Example,
    parallel: Parallel | None = None,
    *,
    theta: Float[Array, "2 3"] | None = None,
    train: bool = False,
    by_stack: bool = True,
) -> BranchGradients:
    """Return d loss / d theta of each branch and stack, at the theta that the model finds.

    Another may be given (straight point -> crop point). With no joint labelled losses and
    gradients are 0. Not `by_stack` they are summed over stacks, s and p are 1, by one backward pass
    in place of one for each stack.
    """
    run = runner(model, person, parallel, train=train)
    theta = run.theta() if theta is None else jnp.asarray(theta, jnp.float32)
    found = run.gradients(theta) if by_stack else run.summed(theta)
    (loss_main, loss_parallel), (stn, sdtn, by_parallel) = found
    return BranchGradients(
        theta=theta,
        theta_star=person.theta_star,
        loss_main=loss_main,
        loss_parallel=loss_parallel,
        stn=stn,
        sdtn=sdtn,
        parallel=by_parallel,
        notes=_notes(person, theta, parallel),
    )


def cosines(found: BranchGradients) -> Cosines:
    """Return how the branches agree with each other and with the way to theta*."""
    four = np.concatenate([found.by_branch, found.total[None]])
    star = np.asarray(found.theta_star, np.float64) - np.asarray(found.theta, np.float64)
    return Cosines(
        cosine(four[:, None], four[None]),
        *(cosine(-np.asarray(g), star) for g in (four, found.stn, found.sdtn, found.parallel)),
    )


def cosine(
    a: Float[np.ndarray, "*#n 2 3"], b: Float[np.ndarray, "*#n 2 3"]
) -> Float[np.ndarray, "*n"]:
    """Return the cosine of the angle between maps as vectors of six; NaN where one is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sizes = np.sqrt((a**2).sum(axis=(-2, -1)) * (b**2).sum(axis=(-2, -1)))
    product = (a * b).sum(axis=(-2, -1))
    return np.where(sizes > 0, product / np.where(sizes > 0, sizes, 1), np.nan)


class Runner(NamedTuple):
    """The compiled parts of one inspection, with model and person filled in.

    `theta()`; `losses(theta)` -> (main [s], parallel [p]); `gradients(theta)` -> (the losses,
    (stn [s 2 3], sdtn [s 2 3], parallel [p 2 3])). `summed` is `gradients` summed over stacks, all
    arrays still with that axis, now of 1 (without a parallel network of 0).
    """

    theta: Callable[..., Any]
    losses: Callable[..., Any]
    gradients: Callable[..., Any]
    summed: Callable[..., Any]


def runner(
    model: PoseModel, person: Example, parallel: Parallel | None, *, train: bool = False
) -> Runner:
    """Return the functions of theta for one model and one person."""
    judge, judge_variables = parallel or (None, None)
    known = {"module": checked_module(model), "config": model.config, "train": train}
    inputs = (model.variables, judge_variables, person)
    return Runner(
        lambda: _theta(model.variables, person, **known),
        lambda theta: _losses_at(theta, *inputs, **known, parallel=judge),
        lambda theta: _gradients(theta, *inputs, **known, parallel=judge),
        lambda theta: _summed(theta, *inputs, **known, parallel=judge),
    )


def checked_module(model: PoseModel) -> RMPE:
    """Return the model's module, or raise ValueError if it has no transformer."""
    if isinstance(model.module, RMPE):
        return model.module
    raise ValueError(
        "this network has no spatial transformer to look into: its model.stn.form is "
        f"{model.config.model.stn.form!r}. Train one with configs/synthetic_rmpe.py, "
        "or with --model.stn.form affine"
    )


class Thetas(NamedTuple):
    """One theta for each way that the loss takes to it."""

    stn: Float[Array, "2 3"]
    sdtn: Float[Array, "2 3"]
    parallel: Float[Array, "2 3"]


def apply(
    module: RMPE, variables: Variables, images: Float[Array, "b h w 3"], method: str, train: bool
) -> Any:
    """Return what a part of the model makes of images; batch statistics stay as they were."""
    if not train:
        return module.apply(variables, images, train=False, method=method)
    return module.apply(variables, images, train=True, method=method, mutable=["batch_stats"])[0]


def main_losses(
    heatmaps_crop: Float[Array, "s 1 h w k"], person: Example, config: Config
) -> Float[Array, " s"]:
    """Return the main loss of each stack."""
    kind = {"loss": config.train.loss, "sigma": config.train.sigma}
    return _by_stack(heatmaps_crop, person.joints_crop, person.weight, kind)


def parallel_losses(
    straight: Float[Array, "1 h w 3"],
    person: Example,
    config: Config,
    parallel: ParallelSPPE | None,
    variables: Variables | None,
) -> Float[Array, " p"]:
    """Return the weighted parallel loss of each stack; none without a parallel network."""
    if parallel is None:
        return jnp.zeros(0)
    heatmaps = parallel.network(jax.lax.stop_gradient(variables), straight)
    joints, weight = centred(person.joints_crop, person.weight, person.theta_star)
    kind = {"loss": parallel.loss, "sigma": parallel.sigma}
    return config.train.parallel_weight * _by_stack(heatmaps, joints, weight, kind)


def _by_stack(
    heatmaps: Float[Array, "s 1 h w k"],
    joints: Float[Array, "k 2"],
    weight: Float[Array, " k"],
    kind: dict[str, Any],
) -> Float[Array, " s"]:
    return jax.vmap(lambda maps: joints_loss(maps[None], joints[None], weight[None], **kind))(
        heatmaps
    )


def _losses(
    thetas: Thetas,
    variables: Variables,
    parallel_variables: Variables | None,
    person: Example,
    *,
    module: RMPE,
    config: Config,
    parallel: ParallelSPPE | None,
    train: bool,
) -> tuple[Float[Array, " s"], Float[Array, " p"]]:
    """Return the losses (main, parallel) of each stack."""
    aligned = {"axis_aligned": module.axis_aligned}
    crops = _crop(person, config)[None]
    straight = straighten(crops, thetas.stn[None], **aligned)
    heatmaps = apply(module, variables, straight, "heatmaps", train)
    gamma = affine.gamma(thetas.sdtn)[None]
    main = main_losses(pull_back(heatmaps, gamma, logits=module.logits, **aligned), person, config)
    straight = straighten(crops, thetas.parallel[None], **aligned)
    return main, parallel_losses(straight, person, config, parallel, parallel_variables)


COMPILED = ("module", "config", "parallel", "train")


@partial(jax.jit, static_argnames=COMPILED)
def _losses_at(theta: Float[Array, "2 3"], *inputs: Any, **known: Any) -> Any:
    return _losses(Thetas(theta, theta, theta), *inputs, **known)


@partial(jax.jit, static_argnames=COMPILED)
def _gradients(theta: Float[Array, "2 3"], *inputs: Any, **known: Any) -> Any:
    """Return the losses of each stack, and theta's gradients of them by way."""

    def losses(thetas: Thetas) -> Any:
        found = _losses(thetas, *inputs, **known)
        return found, found

    (main, parallel), found = jax.jacrev(losses, has_aux=True)(Thetas(theta, theta, theta))
    return found, (main.stn, main.sdtn, parallel.parallel)


@partial(jax.jit, static_argnames=COMPILED)
def _summed(theta: Float[Array, "2 3"], *inputs: Any, **known: Any) -> Any:
    """Return what `_gradients` returns, summed over stacks: one backward pass for all of it."""

    def loss(thetas: Thetas) -> Any:
        main, parallel = _losses(thetas, *inputs, **known)
        return jnp.sum(main) + jnp.sum(parallel), (main, parallel)

    slopes, (main, parallel) = jax.grad(loss, has_aux=True)(Thetas(theta, theta, theta))
    judged = min(1, len(parallel))
    sums = jnp.sum(main)[None], jnp.sum(parallel)[None][:judged]
    return sums, (slopes.stn[None], slopes.sdtn[None], slopes.parallel[None][:judged])


@partial(jax.jit, static_argnames=("module", "config", "train"))
def _theta(
    variables: Variables, person: Example, *, module: RMPE, config: Config, train: bool
) -> Float[Array, "2 3"]:
    return apply(module, variables, _crop(person, config)[None], "theta", train)[0]


def _crop(person: Example, config: Config) -> Float[Array, "h w 3"]:
    size = (config.model.input_height, config.model.input_width)
    return crop_of(person.image, person.theta_crop, *size)


def _notes(
    person: Example, theta: Float[Array, "2 3"], parallel: Parallel | None
) -> tuple[str, ...]:
    """Return in words what makes these gradients unusual."""
    numbers = np.asarray(theta, np.float64)
    determinant = numbers[0, 0] * numbers[1, 1] - numbers[0, 1] * numbers[1, 0]
    said = []
    if not (np.asarray(person.weight) > 0).any():
        said.append("no joint is labelled inside the crop: losses and gradients are 0")
    if not np.isfinite(numbers).all():
        said.append("theta is not finite, and neither is what follows from it")
    elif affine.is_clamped(numbers):
        said.append(
            f"theta is all but singular (determinant {determinant:.2g}): gamma clamps the "
            "determinant and no gradient flows through it"
        )
    if parallel is None:
        said.append(NO_PARALLEL)
    return tuple(said)
