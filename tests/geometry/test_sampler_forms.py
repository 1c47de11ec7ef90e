"""Every form of the sampler, run on the CPU whatever its platform: the same numbers from each."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import ndimage

from rmpe_jax.geometry import (
    affine,
    pixels,
    sampler,
    sampler_gather,
    sampler_separable,
    sampler_tiles,
    sampler_transpose,
)
from tests import references

# Powers of two: the identity puts every point on a pixel centre exactly.
HEIGHT, WIDTH = 4, 8


class Form(NamedTuple):
    read: Callable
    gradients: Callable  # image, theta, points, upstream -> gradients of image and points


def gather(image, theta, points, upstream):
    d_image = sampler_gather.gradient_of_image(points, upstream, *image.shape[:2])
    return d_image, sampler_gather.gradient_of_points(image, points, upstream)


def transpose(image, theta, points, upstream):
    d_image = sampler_transpose.gradient_of_image(theta, points, upstream, *image.shape[:2])
    return d_image, sampler_gather.gradient_of_points(image, points, upstream)


def products(module):
    return lambda image, theta, points, upstream: module.gradients(image, points, upstream)


FORMS = {
    "gather": Form(sampler_gather.read, gather),
    "transpose": Form(sampler_gather.read, transpose),
    "tiles": Form(sampler_tiles.read, products(sampler_tiles)),
    "small tiles": Form(sampler_tiles.read, products(sampler_tiles)),
    "separable": Form(sampler_separable.read, products(sampler_separable)),
}
ALIGNED = {
    "identity": [[1, 0, 0], [0, 1, 0]],
    "crop": [[0.4, 0, 0.15], [0, 0.7, -0.2]],
    "crop reaching over the border": [[0.8, 0, 0.7], [0, 1.3, -0.6]],
    "mirrored": [[-0.9, 0, 0.05], [0, 1.1, 0.1]],
    "half a pixel beside": [[1, 0, 1 / WIDTH], [0, 1, -1 / HEIGHT]],
    "shrunk": [[3.3, 0, 0.2], [0, 2.7, -0.1]],
    "just outside": [[0.5, 0, 2], [0, 0.5, 0]],
    "far outside": [[1, 0, 1e9], [0, 1, -1e9]],
}
GENERAL = {
    "turned": [[0.7, -0.3, 0.15], [0.4, 0.9, -0.35]],
    "turned a quarter": [[0, -1, 0], [1, 0, 0]],
    "enlarged": [[0.3, -0.1, 0.2], [0.2, 0.25, -0.1]],
    "shrunk and turned": [[1.6, -2, 0.1], [1.9, 1.7, 0.3]],
    "flat": [[1, 0.5, 0], [2, 1, 0.1]],
}
MAPS = ALIGNED | GENERAL
CASES = [(form, name) for form in FORMS for name in (ALIGNED if form == "separable" else MAPS)]
every_form = pytest.mark.parametrize("form", FORMS)
every_case = pytest.mark.parametrize(("form", "name"), CASES)


@pytest.fixture(autouse=True)
def many_small_tiles(request, monkeypatch):
    """Make tiles take several passes over these small images where the form says so."""
    if getattr(request.node, "callspec", None) and "small tiles" in request.node.callspec.id:
        monkeypatch.setattr(sampler_tiles, "TILE", 2)
        monkeypatch.setattr(sampler_tiles, "WINDOW", 3)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def run(form, image, theta, upstream):
    """Return values and the gradients of image and theta."""
    height, width, _ = upstream.shape

    def points_of(theta):
        return affine.apply(theta, pixels.centres(height, width).astype(theta.dtype))

    points, back = jax.vjp(points_of, theta)
    d_image, d_points = FORMS[form].gradients(image, theta, points, upstream)
    return FORMS[form].read(image, points), d_image, *back(d_points)


@cache
def compiled(form):
    """Compile a form once for all tests of the same sizes and precision."""
    return jax.jit(partial(run, form))


def expected(image, theta, upstream):
    """Return the same by loops."""
    height, width, _ = upstream.shape
    centres = references.pixel_points(height, width)
    half = np.array([image.shape[1] / 2, image.shape[0] / 2])
    x_px, y_px = np.moveaxis((references.affine(theta, centres) + 1) * half, -1, 0)
    d_image, d_x, d_y = references.bilinear_gradients(image, x_px, y_px, upstream)
    steps = [[centres[..., 0], centres[..., 1], np.ones((height, width))]]
    d_points = np.stack([d_x * half[0], d_y * half[1]])[:, None]
    return (
        references.bilinear(image, x_px, y_px),
        d_image,
        (d_points * np.array(steps)).sum(axis=(2, 3)),
    )


def without_the_way_it_has_not(form, d_theta):
    """Off-diagonal entries have no gradient in the separable form."""
    d_theta = np.array(d_theta)
    if form == "separable":
        d_theta[[0, 1], [1, 0]] = 0
    return d_theta


def arguments(name, *sizes):
    height, width = sizes or (HEIGHT, WIDTH)
    theta = np.array(MAPS[name], np.float64)
    return random(HEIGHT, WIDTH, 3), theta, random(height, width, 3, seed=1)


@pytest.mark.usefixtures("float64")
@every_case
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (5, 3)])
def test_values_and_gradients_are_those_of_loops(form, name, size):
    inputs = arguments(name, *size)
    found = compiled(form)(*map(jnp.asarray, inputs))
    out, d_image, d_theta = expected(*inputs)
    np.testing.assert_allclose(found[0], out, atol=1e-12)
    np.testing.assert_allclose(found[1], d_image, atol=1e-12)
    found, d_theta = (without_the_way_it_has_not(form, d) for d in (found[2], d_theta))
    np.testing.assert_allclose(found, d_theta, rtol=1e-12, atol=1e-12)


@every_case
def test_single_precision_is_as_close_as_its_rounding(form, name):
    inputs = arguments(name)
    found = compiled(form)(*(jnp.asarray(array, jnp.float32) for array in inputs))
    out, d_image, d_theta = expected(*inputs)
    np.testing.assert_allclose(found[0], out, atol=2e-5)
    np.testing.assert_allclose(found[1], d_image, atol=5e-5)
    assert {array.dtype for array in found} == {jnp.dtype("float32")}
    if name not in ("half a pixel beside", "turned a quarter", "flat"):  # rounded across a kink
        found, d_theta = (without_the_way_it_has_not(form, d) for d in (found[2], d_theta))
        np.testing.assert_allclose(found, d_theta, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("float64")
@every_form
@pytest.mark.parametrize("name", ["crop reaching over the border", "turned"])
def test_gradients_agree_with_finite_differences(form, name):
    if form == "separable" and name == "turned":
        pytest.skip("not axis-aligned")
    image, theta, upstream = arguments(name, 5, 3)

    def loss(image, theta):
        image, theta = jnp.asarray(image), jnp.asarray(theta)
        points = affine.apply(theta, pixels.centres(5, 3).astype(theta.dtype))
        return (FORMS[form].read(image, points) * upstream).sum()

    _, d_image, d_theta = compiled(form)(*map(jnp.asarray, (image, theta, upstream)))
    finite = references.finite_differences(jax.jit(lambda image: loss(image, theta)), image)
    np.testing.assert_allclose(d_image, finite, atol=1e-7)
    finite = references.finite_differences(jax.jit(lambda theta: loss(image, theta)), theta)
    found, finite = (without_the_way_it_has_not(form, d) for d in (d_theta, finite))
    np.testing.assert_allclose(found, finite, atol=1e-6)


@pytest.mark.usefixtures("float64")
@every_form
def test_the_gradient_at_pixel_centres_is_scipys_one_sided_difference(form):
    image = random(HEIGHT, WIDTH, 1)
    one_hot = np.eye(HEIGHT * WIDTH).reshape(-1, HEIGHT, WIDTH, 1)
    one_output = lambda upstream: run(form, jnp.asarray(image), identity, upstream)[2]  # noqa: E731
    identity = jnp.asarray(affine.identity())
    d_shift = jax.jit(jax.vmap(one_output))(jnp.asarray(one_hot))[:, :, 2]
    step, (row, column) = 2.0**-20, np.indices((HEIGHT, WIDTH)).astype(float)
    padded = np.pad(image[..., 0], 1)
    for axis, (down, right, size) in enumerate(((0, step, WIDTH), (step, 0, HEIGHT))):
        ahead = ndimage.map_coordinates(padded, [row + 1 + down, column + 1 + right], order=1)
        difference = (ahead - image[..., 0]) / step * (size / 2)
        np.testing.assert_allclose(d_shift[:, axis], difference.reshape(-1), atol=1e-8)


@pytest.mark.usefixtures("float64")
@every_form
@pytest.mark.parametrize("theta", [[[0.5, 0, 0.25], [0, 0.5, 0.25]], [[0.3, 0, 0.2], [0, 0.2, 0]]])
def test_the_gradient_on_a_constant_image_is_zero_inside(form, theta):
    ones, theta = jnp.ones((HEIGHT, WIDTH, 2)), jnp.asarray(theta, jnp.float64)
    _, _, d_theta = compiled(form)(ones, theta, ones)
    np.testing.assert_allclose(d_theta, jnp.zeros((2, 3)), atol=1e-13)


@every_form
def test_nan_comes_out_as_nan(form):
    image, upstream = jnp.ones((HEIGHT, WIDTH, 2)), jnp.ones((HEIGHT, WIDTH, 2))
    out, _, _ = compiled(form)(image, jnp.full((2, 3), jnp.nan), upstream)
    assert np.isnan(out).all()
    theta = jnp.array([[1.0, 0, jnp.nan], [0, 1, 0]])
    assert np.isnan(compiled(form)(image, theta, upstream)[0]).all()


@every_form
def test_an_empty_batch_stays_empty(form):
    empty = [jnp.zeros((0, *shape)) for shape in ((HEIGHT, WIDTH, 3), (2, 3), (5, 3, 3))]
    found = jax.jit(jax.vmap(partial(run, form)))(*empty)
    assert [array.shape[0] for array in found] == [0, 0, 0]


@every_form
def test_eager_jit_and_vmap_agree(form):
    """In one batch: maps that need windows of every side, and the scatter."""
    zoom = np.array([0.9, 2.2, 0.5, 1.1, 0.3])[:, None, None]
    thetas = jnp.asarray(zoom * np.array(ALIGNED["crop"]), jnp.float32)
    images, upstream = (
        jnp.asarray(random(len(zoom), HEIGHT, WIDTH, 3, seed=seed), jnp.float32) for seed in (3, 4)
    )
    mapped = jax.jit(jax.vmap(partial(run, form)))(images, thetas, upstream)
    for number in range(len(zoom)):
        one = images[number], thetas[number], upstream[number]
        alone = compiled(form)(*one)
        for a, b in zip(mapped, alone, strict=True):
            np.testing.assert_allclose(a[number], b, rtol=1e-4, atol=1e-4)
    for a, b in zip(run(form, *one), alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("form", ["tiles", "separable", "transpose"])
def test_outputs_larger_than_a_tile_and_images_larger_than_a_window(form):
    """Real tiles: cut at both ends, in more than one pass, beside and beyond the image."""
    image, upstream = random(41, 70, 2), random(21, 50, 2, seed=1)
    for theta in ([[1.1, 0, 0.1], [0, -1.2, 0.2]], [[0.5, 0, 0.3], [0, 0.4, -0.1]]):
        if form != "separable":
            theta = affine.compose(np.array(theta), np.array([[0.9, -0.4, 0], [0.4, 0.9, 0]]))
        inputs = [jnp.asarray(array) for array in (image, theta, upstream)]
        found, other = compiled(form)(*inputs), compiled("gather")(*inputs)
        found, other = (
            [*both[:2], without_the_way_it_has_not(form, both[2])] for both in (found, other)
        )
        for a, b in zip(found, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("scale", "side"), [(1.3, 2), (0.9, 3), (0.6, 4), (0.45, 5), (0.3, 7), (0.0, np.nan)]
)
@pytest.mark.parametrize("turn", [0.0, 0.1, -3.0])
def test_each_window_holds_all_outputs_of_a_pixel(scale, side, turn):
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    theta = np.concatenate([scale * rotation, [[0.03], [-0.07]]], axis=1)
    image, upstream = random(9, 9, 2), random(9, 9, 2, seed=1)
    steps = sampler_transpose._steps(jnp.asarray(theta), 9, 9, 9, 9)
    if turn == 0:
        np.testing.assert_equal(float(sampler_transpose._side(steps)), side)
    found = compiled("transpose")(*map(jnp.asarray, (image, theta, upstream)))
    np.testing.assert_allclose(found[1], expected(image, theta, upstream)[1], atol=1e-12)


def known(value):
    """Return an integer that the program knows from the start, as it does its platform, or None."""
    operation = value.owner
    if operation.name == "stablehlo.constant":
        return next(iter(operation.attributes["value"]))
    if operation.name == "stablehlo.case" and known(operation.operands[0]) is not None:
        taken = operation.regions[known(operation.operands[0])]
        return known(list(taken.blocks[0].operations)[-1].operands[0])
    return None


def operations(function, *arguments, platform):
    """Return name and text of all operations of a program for one platform."""
    module = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,))
    module = module.compiler_ir("stablehlo")
    functions = {operation.name.value: operation for operation in module.body.operations}

    def walk(region):
        for operation in (each for block in region.blocks for each in block.operations):
            inner = list(operation.regions)
            if operation.name == "func.call":  # each function once
                called = functions.pop(operation.attributes["callee"].value, None)
                inner = list(called.regions) if called else []
            if operation.name == "stablehlo.case" and known(operation.operands[0]) is not None:
                inner = [inner[known(operation.operands[0])]]
            else:
                product = operation.name == "stablehlo.dot_general"
                yield operation.name, str(operation) if product else ""
            for region in inner:
                yield from walk(region)

    return list(walk(functions.pop("main").regions[0]))


@pytest.mark.parametrize("axis_aligned", [False, True])
def test_the_form_follows_from_the_platform_it_is_compiled_for(axis_aligned):
    """Compiled ahead of time on a host with a CPU, too."""
    image, theta = jnp.ones((HEIGHT, WIDTH, 3)), jnp.asarray(affine.identity(), jnp.float32)

    def loss(image, theta):
        return sampler.pull(image, theta, HEIGHT, WIDTH, axis_aligned=axis_aligned).sum()

    both = {
        platform: operations(jax.value_and_grad(loss, (0, 1)), image, theta, platform=platform)
        for platform in ("cpu", "cuda", "tpu")
    }
    names = {platform: {name for name, _ in found} for platform, found in both.items()}
    product, loop = "stablehlo.dot_general", "stablehlo.while"
    assert not {product, loop} & (names["cpu"] | names["cuda"])
    assert "stablehlo.scatter" in names["cuda"]
    windows = "stablehlo.case"
    assert windows in names["cpu"] and windows not in names["cuda"] | names["tpu"]
    products = [text for name, text in both["tpu"] if name == product]
    assert len(products) >= 4  # one or two of the values, the rest of their gradients
    for text in products:  # TF32 or bfloat16 would spoil the values
        assert text.count("HIGHEST") == 2
    # Separable: nothing but products. Tiles: a loop of passes, which takes windows.
    by_index = {"stablehlo.gather", "stablehlo.scatter", loop}
    assert (by_index & names["tpu"] == set()) == axis_aligned


def test_the_gradient_of_theta_alone_pays_for_nothing_else():
    """Neither for the image's gradient nor for memory of what the forward pass read."""
    images, thetas = jnp.ones((4, 64, 48, 3)), jnp.stack([jnp.eye(2, 3)] * 4)

    def loss(thetas):
        out = jax.vmap(lambda image, theta: sampler.pull(image, theta, 64, 48))(images, thetas)
        return (out**2).sum()

    program = jax.jit(jax.value_and_grad(loss)).lower(thetas).compile()
    text = program.as_text()
    assert "scatter" not in text and "conditional" not in text
    assert program.memory_analysis().temp_size_in_bytes < 4 * images.nbytes


@pytest.mark.parametrize("axis_aligned", [False, True])
def test_axis_aligned_takes_off_diagonal_entries_as_zero(axis_aligned):
    image = jnp.asarray(random(HEIGHT, WIDTH, 3), jnp.float32)
    theta = jnp.asarray(GENERAL["turned"], jnp.float32)
    plain = theta.at[[0, 1], [1, 0]].set(0)

    def loss(theta):
        out = sampler.pull(image, theta, 5, 6, axis_aligned=axis_aligned)
        return (out**2).sum(), out

    (_, out), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(theta)
    if axis_aligned:
        np.testing.assert_allclose(out, sampler.pull(image, plain, 5, 6), atol=1e-6)
        np.testing.assert_array_equal(gradient[[0, 1], [1, 0]], [0, 0])
    else:
        assert np.abs(out - sampler.pull(image, plain, 5, 6)).max() > 0.1
        assert np.abs(gradient[[0, 1], [1, 0]]).min() > 0.1


@pytest.mark.parametrize("parallel", ["sharded", "shard_map"])
def test_a_batch_over_devices_has_the_gradients_of_one_device(parallel):
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    images = jnp.asarray(random(8, HEIGHT, WIDTH, 3), jnp.float32)
    zoom = np.linspace(0.3, 2, 8)[:, None, None]
    thetas = jnp.asarray(zoom * np.array(GENERAL["turned"]), jnp.float32)

    def gradients(images, thetas):
        def loss(images, thetas):
            pull = jax.vmap(lambda image, theta: sampler.pull(image, theta, 5, 6))
            return (pull(images, thetas) ** 2).sum()

        return jax.grad(loss, (0, 1))(images, thetas)

    one = jax.jit(gradients)(images, thetas)
    specification = PartitionSpec("data")
    shards = jax.device_put((images, thetas), NamedSharding(mesh, specification))
    if parallel == "shard_map":
        gradients = jax.shard_map(
            gradients, mesh=mesh, in_specs=specification, out_specs=specification
        )
    for a, b in zip(jax.jit(gradients)(*shards), one, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
        assert len(a.sharding.device_set) == 4
