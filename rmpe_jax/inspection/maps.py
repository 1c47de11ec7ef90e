"""Where a loss acts: on the photograph, on the crop, and on each point that a sampler reads.

Images are [h w 3] in [0, 1], points (x, y) in [-1, 1]. Networks look with their stored batch
statistics. The loss is that of training, for one person.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.config import Config
from rmpe_jax.geometry import affine, sampler
from rmpe_jax.inspection.branches import (
    COMPILED,
    Parallel,
    apply,
    checked_module,
    main_losses,
    parallel_losses,
)
from rmpe_jax.inspection.example import Example, crop_of
from rmpe_jax.models.rmpe import RMPE, read_back
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Array, Variables
from rmpe_jax.training.parallel import ParallelSPPE

STRIDE = 4  # of every pose network's heat-maps (`models.build`)


class ImageGradients(NamedTuple):
    """d loss / d brightness, of the photograph and of the crop.

    `crop_theta_held` is what reaches the crop through the sampler alone; the rest of `crop` goes
    by way of theta, through the localisation network.
    """

    image: Float[Array, "image_height image_width 3"]
    crop: Float[Array, "h w 3"]
    crop_theta_held: Float[Array, "h w 3"]


class PointGradients(NamedTuple):
    """d loss / d sampling point, in loss per unit of [-1, 1]; times 2 / width it is per pixel.

    `stn_points` are points of the crop, one for each pixel of the straight image; `main` and
    `parallel` are their gradients by branch. `sdtn_points` are points of the straight heat-maps,
    one for each pixel of the crop's heat-maps.
    """

    stn_points: Float[Array, "h w 2"]
    main: Float[Array, "h w 2"]
    parallel: Float[Array, "h w 2"]
    sdtn_points: Float[Array, "mh mw 2"]
    sdtn: Float[Array, "mh mw 2"]


class PixelRead(NamedTuple):
    """What the sampler reads for one pixel of its output: four corners of the input.

    In the order upper left, upper right, lower left, lower right. `row`, `column` count from 0 and
    may lie outside, where `inside` is False and the value 0. `slope_x` and `slope_y` are the
    weight's derivatives along the point, per pixel of the input: the right-hand ones.
    """

    point: Float[np.ndarray, " 2"]
    row: Int[np.ndarray, " 4"]
    column: Int[np.ndarray, " 4"]
    inside: Bool[np.ndarray, " 4"]
    weight: Float[np.ndarray, " 4"]
    slope_x: Float[np.ndarray, " 4"]
    slope_y: Float[np.ndarray, " 4"]
    value: Float[np.ndarray, "4 c"]


def image_gradients(
    model: PoseModel, person: Example, parallel: Parallel | None = None
) -> ImageGradients:
    """Return how much each pixel's brightness matters to the loss."""
    judge, variables = parallel or (None, None)
    module = checked_module(model)
    return _image_gradients(
        model.variables, variables, person, module=module, config=model.config, parallel=judge
    )


def point_gradients(
    model: PoseModel,
    person: Example,
    parallel: Parallel | None = None,
    *,
    theta: Float[Array, "2 3"] | None = None,
) -> PointGradients:
    """Return how the loss would have each sampling point move, against these gradients.

    At the theta that the model finds, or at another (straight point -> crop point).
    """
    judge, variables = parallel or (None, None)
    module = checked_module(model)
    given = None if theta is None else jnp.asarray(theta, jnp.float32)
    return _point_gradients(
        model.variables,
        variables,
        person,
        given,
        module=module,
        config=model.config,
        parallel=judge,
    )


def descent_arrows_px(
    points: Float[Array, "h w 2"],
    gradient: Float[Array, "h w 2"],
    height: int,
    width: int,
    *,
    every: int = 8,
    longest_px: float = 8.0,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Return (starts_px, ends_px) of arrows against the gradient, for `drawing.arrows`.

    One for each square of `every` x `every` points, of their mean; the longest arrow has that
    length, and the lengths are in proportion. `height`, `width` are those of the image that is read
    (of the crop, or of the straight heat-maps); without a gradient arrows have no length.
    """
    rows, columns = points.shape[0] // every, points.shape[1] // every
    if rows == 0 or columns == 0:
        raise ValueError(
            f"there are {points.shape[0]} x {points.shape[1]} points and one arrow for every "
            f"{every} x {every}; give a smaller `every`"
        )

    def means(values: Float[Array, "h w 2"]) -> Float[np.ndarray, "n 2"]:
        cut = np.asarray(values, np.float64)[: rows * every, : columns * every]
        return cut.reshape(rows, every, columns, every, 2).mean(axis=(1, 3)).reshape(-1, 2)

    starts_px = affine.to_pixels(means(points), height, width)
    # Steepest descent among pixels, not among points: they differ where the crop is no square.
    down = -means(gradient) * (2 / width, 2 / height)
    longest = np.linalg.norm(down, axis=-1).max()
    return starts_px, starts_px + down * (longest_px / longest if longest > 0 else 0.0)


def pixel_read(
    image: Float[Array, "h w c"],
    theta: Float[Array, "2 3"],
    row: int,
    column: int,
    height: int,
    width: int,
) -> PixelRead:
    """Return what one pixel of the `height` x `width` output of `sampler.pull` is made of.

    Jaderberg et al., Spatial Transformer Networks (2015), eq. 5: the pixel is the sum of
    weight x value.
    """
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"pixel ({row}, {column}) is not in an output of {height} rows and {width} columns"
        )
    image, theta = np.asarray(image, np.float64), np.asarray(theta, np.float64)
    if not np.isfinite(theta).all():
        raise ValueError(f"theta is {theta.tolist()}; it must be finite to read anything")
    centre = np.array([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1])
    point = affine.apply(theta, centre)
    x, y = affine.to_pixels(point, *image.shape[:2]) - 0.5
    left, top = np.floor(x), np.floor(y)
    down, right = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    share_x = np.where(right, x - left, 1 - (x - left))
    share_y = np.where(down, y - top, 1 - (y - top))
    rows, columns = top + down, left + right
    inside = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    at = np.where(inside, rows, 0).astype(int), np.where(inside, columns, 0).astype(int)
    return PixelRead(
        point=point,
        row=rows.astype(int),
        column=columns.astype(int),
        inside=inside,
        weight=share_x * share_y,
        slope_x=np.where(right, 1, -1) * share_y,
        slope_y=np.where(down, 1, -1) * share_x,
        value=np.where(inside[:, None], image[at], 0.0),
    )


class _Places(NamedTuple):
    """Where the samplers read, for each way that the loss takes to them."""

    main: Float[Array, "h w 2"]
    parallel: Float[Array, "h w 2"]
    sdtn: Float[Array, "mh mw 2"]


def _loss(
    crop: Float[Array, "h w 3"],
    places: _Places,
    variables: Variables,
    parallel_variables: Variables | None,
    person: Example,
    *,
    module: RMPE,
    config: Config,
    parallel: ParallelSPPE | None,
) -> Float[Array, ""]:
    """Return the training loss of what is read at these places."""
    straight = sampler.sample(crop, places.main)[None]
    heatmaps = apply(module, variables, straight, "heatmaps", False)
    back = read_back(
        heatmaps, lambda maps: sampler.sample(maps[0], places.sdtn)[None], logits=module.logits
    )
    straight = sampler.sample(crop, places.parallel)[None]
    judged = parallel_losses(straight, person, config, parallel, parallel_variables)
    return jnp.sum(main_losses(back, person, config)) + jnp.sum(judged)


def _places(theta: Float[Array, "2 3"], crop: Float[Array, "h w 3"]) -> _Places:
    """Return where the samplers read under theta."""
    height, width, _ = crop.shape
    points = affine.apply(theta, sampler.pixel_centres(height, width))
    maps = sampler.pixel_centres(height // STRIDE, width // STRIDE)
    back = affine.apply(affine.gamma(theta), maps)
    return _Places(points, points, back)


@partial(jax.jit, static_argnames=COMPILED)
def _image_gradients(
    variables: Variables, parallel_variables: Variables | None, person: Example, **known: Any
) -> ImageGradients:
    module, model = known["module"], known["config"].model

    def loss(crop: Float[Array, "h w 3"], shown: Float[Array, "h w 3"]) -> Float[Array, ""]:
        """`shown` is the crop that the localisation network sees."""
        theta = apply(module, variables, shown[None], "theta", False)[0]
        places = _places(theta, crop)
        return _loss(crop, places, variables, parallel_variables, person, **known)

    size = (model.input_height, model.input_width)
    crop, back = jax.vjp(lambda image: crop_of(image, person.theta_crop, *size), person.image)
    held, by_theta = jax.grad(loss, argnums=(0, 1))(crop, crop)
    (image,) = back(held + by_theta)
    return ImageGradients(image, held + by_theta, held)


@partial(jax.jit, static_argnames=COMPILED)
def _point_gradients(
    variables: Variables,
    parallel_variables: Variables | None,
    person: Example,
    theta: Float[Array, "2 3"] | None,
    **known: Any,
) -> PointGradients:
    module, model = known["module"], known["config"].model
    crop = crop_of(person.image, person.theta_crop, model.input_height, model.input_width)
    if theta is None:
        theta = apply(module, variables, crop[None], "theta", False)[0]
    places = _places(theta, crop)
    slopes = jax.grad(_loss, argnums=1)(
        crop, places, variables, parallel_variables, person, **known
    )
    return PointGradients(places.main, slopes.main, slopes.parallel, places.sdtn, slopes.sdtn)
