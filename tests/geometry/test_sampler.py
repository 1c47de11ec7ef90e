import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy import ndimage

from rmpe_jax.geometry import affine, sampler
from tests import references

# Sides are powers of two where a test means the pixel centres themselves: elsewhere rounding
# moves the identity off them, and a sampler without a gradient there would pass.
HEIGHT, WIDTH = 4, 8
THETA = np.array([[0.7, -0.3, 0.15], [0.4, 0.9, -0.35]])


pull = jax.jit(sampler.pull, static_argnums=(2, 3))  # compiled: quicker than operation by operation
sample = jax.jit(sampler.sample)


@jax.jit
def gradients(image, points, upstream):
    out, back = jax.vjp(sampler.sample, image, points)
    return out, *back(upstream)


def photograph(height=HEIGHT, width=WIDTH, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(height, width, channels))


def random_points(height, width, reach=1.3, seed=1):
    return np.random.default_rng(seed).uniform(-reach, reach, (height, width, 2))


def test_pixel_centres_lie_half_a_pixel_inside():
    expected = references.pixel_points(5, 7)
    np.testing.assert_allclose(sampler.pixel_centres(5, 7), expected, atol=1e-6)


def test_identity_returns_the_image():
    image = photograph().astype(np.float32)
    np.testing.assert_array_equal(pull(image, affine.identity(), HEIGHT, WIDTH), jnp.asarray(image))


@pytest.mark.parametrize("top", [np.uint8(255), np.int32(70001)])
def test_whole_numbers_come_out_as_they_were(top):
    image = (top - np.arange(HEIGHT * WIDTH * 3)).astype(top.dtype).reshape(HEIGHT, WIDTH, 3)
    out = pull(image, affine.identity(), HEIGHT, WIDTH)
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, image)


@pytest.mark.usefixtures("float64")
def test_agrees_with_loops_between_pixels_and_outside():
    image, points = photograph(5, 7), random_points(6, 9)
    expected = references.bilinear(image, *np.moveaxis((points + 1) * [7 / 2, 5 / 2], -1, 0))
    out = sample(jnp.asarray(image), jnp.asarray(points))
    np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_agrees_with_scipy_between_pixels_and_outside():
    image, points = photograph(5, 7), random_points(16, 16)
    x, y = np.moveaxis((points + 1) * [7 / 2, 5 / 2] - 0.5, -1, 0)
    # SciPy is zero from the last centre on: a rim of zeros gives the fading half pixel.
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    expected = np.stack(
        [
            ndimage.map_coordinates(padded[..., c], [y + 1, x + 1], order=1, cval=0.0)
            for c in range(3)
        ],
        axis=-1,
    )
    out = sample(jnp.asarray(image), jnp.asarray(points))
    np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_pull_shows_the_image_at_theta():
    image = photograph(6, 5)
    points = references.affine(THETA, references.pixel_points(7, 4))
    expected = references.bilinear(image, *np.moveaxis((points + 1) * [5 / 2, 6 / 2], -1, 0))
    out = pull(jnp.asarray(image), jnp.asarray(THETA), 7, 4)
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_halving_an_image_averages_four_pixels():
    image = photograph().astype(np.float32)
    expected = image.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    out = pull(image, affine.identity(), HEIGHT // 2, WIDTH // 2)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_a_mirror_map_mirrors_pixel_onto_pixel():
    image = photograph().astype(np.float32)
    mirror = np.array([[-1.0, 0, 0], [0, 1, 0]])
    out = pull(image, mirror, HEIGHT, WIDTH)
    np.testing.assert_array_equal(out, image[:, ::-1])


def test_a_joint_found_after_pulling_goes_back_by_theta():
    """Images are pulled, points travel the other way: the sentence of affine.py, once."""
    theta = affine.compose(np.array([[0.8, 0.1, 0.1], [-0.2, 0.7, 0.05]]), affine.identity())
    joint = np.array([0.1, -0.2])  # in the pulled image
    image = np.zeros((64, 64, 1), np.float32)
    x, y = affine.to_pixels(affine.apply(theta, joint), 64, 64)
    centres = np.arange(64) + 0.5
    image[..., 0] = np.exp(-((centres[:, None] - y) ** 2 + (centres[None] - x) ** 2) / 18)
    pulled = np.asarray(pull(image, theta, 64, 64))[..., 0].astype(np.float64)
    mean = [(pulled * axis).sum() / pulled.sum() for axis in (centres[None], centres[:, None])]
    np.testing.assert_allclose(affine.from_pixels(np.array(mean), 64, 64), joint, atol=2e-3)
    back = pull(pulled[..., None], affine.invert(theta), 64, 64)
    peak = np.unravel_index(np.argmax(back), back.shape)
    assert abs(peak[1] + 0.5 - x) <= 1 and abs(peak[0] + 0.5 - y) <= 1


@pytest.mark.usefixtures("float64")
def test_gradient_agrees_with_finite_differences():
    image, points = photograph(5, 7), random_points(4, 6)
    weights = photograph(4, 6, seed=2)

    def loss(image, points):
        return (sample(jnp.asarray(image), jnp.asarray(points)) * weights).sum()

    d_image, d_points = jax.jit(jax.grad(loss, (0, 1)))(jnp.asarray(image), jnp.asarray(points))
    expected = references.finite_differences(jax.jit(lambda image: loss(image, points)), image)
    np.testing.assert_allclose(d_image, expected, atol=1e-7)
    expected = references.finite_differences(jax.jit(lambda points: loss(image, points)), points)
    np.testing.assert_allclose(d_points, expected, atol=1e-7)


@pytest.mark.usefixtures("float64")
def test_gradient_of_theta_agrees_with_finite_differences():
    image, weights = photograph(5, 7), photograph(4, 6, seed=2)

    def loss(theta):
        return (pull(jnp.asarray(image), jnp.asarray(theta), 4, 6) * weights).sum()

    expected = references.finite_differences(jax.jit(loss), THETA)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(jnp.asarray(THETA)), expected, atol=1e-6)


@pytest.mark.usefixtures("float64")
def test_gradient_at_pixel_centres_is_the_right_hand_derivative():
    image = photograph()
    points = references.pixel_points(HEIGHT, WIDTH)
    ones = jnp.ones((HEIGHT, WIDTH, 3))
    _, _, gradient = gradients(jnp.asarray(image), jnp.asarray(points), ones)
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)))
    right = (padded[:-1, 1:] - padded[:-1, :-1]).sum(axis=-1) * WIDTH / 2
    below = (padded[1:, :-1] - padded[:-1, :-1]).sum(axis=-1) * HEIGHT / 2
    np.testing.assert_allclose(gradient, np.stack([right, below], axis=-1), atol=1e-12)
    # The closed form is itself the one-sided difference of the function.
    step = 1e-6
    for axis in (0, 1):
        ahead = points + step * np.eye(2)[axis]
        value = sample(jnp.asarray(image), jnp.asarray(ahead)) - image
        np.testing.assert_allclose(gradient[..., axis], value.sum(axis=-1) / step, atol=1e-6)


def test_gradient_of_theta_is_alive_at_the_identity():
    column = jnp.arange(WIDTH, dtype=jnp.float32)
    ramp = jnp.broadcast_to(column[None, :, None], (HEIGHT, WIDTH, 1))

    def one_pixel(theta):
        return pull(ramp, theta, HEIGHT, WIDTH)[1, 2, 0]

    gradient = jax.jit(jax.grad(one_pixel))(jnp.asarray(affine.identity()))
    np.testing.assert_allclose(gradient[0, 2], WIDTH / 2)  # one grey level a pixel


def test_gradient_on_a_constant_image_is_zero_inside():
    ones = jnp.ones((HEIGHT, WIDTH, 3))
    gradient = jax.jit(jax.grad(lambda points: sampler.sample(ones, points).sum()))
    inside = gradient(sampler.pixel_centres(HEIGHT, WIDTH))[:-1, :-1]
    np.testing.assert_array_equal(inside, jnp.zeros((HEIGHT - 1, WIDTH - 1, 2)))
    between = jnp.asarray(random_points(5, 5, reach=0.7), dtype=jnp.float32)
    np.testing.assert_allclose(gradient(between), jnp.zeros((5, 5, 2)), atol=1e-5)


@pytest.mark.usefixtures("float64")
def test_gradient_of_the_image_is_the_transposed_operator():
    """<A x, y> = <x, A^T y>, with A made of loops."""
    points = random_points(5, 6)
    pixels = np.moveaxis((points + 1) * [WIDTH / 2, HEIGHT / 2], -1, 0)
    basis = np.eye(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, HEIGHT * WIDTH)
    operator = references.bilinear(basis, *pixels).reshape(5 * 6, HEIGHT * WIDTH)
    x, y = photograph(), photograph(5, 6, seed=3)
    out, transposed, _ = gradients(*[jnp.asarray(value) for value in (x, points, y)])
    np.testing.assert_allclose((out * y).sum(), (transposed * x).sum(), rtol=1e-12)
    expected = (operator.T @ y.reshape(30, 3)).reshape(HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(transposed, expected, atol=1e-12)


def test_far_points_read_zero_and_have_no_gradient():
    points = jnp.array([[[1e30, 0.0], [0.0, -1e30], [jnp.inf, -jnp.inf], [3.0, 3.0]]])
    image = jnp.asarray(photograph(), dtype=jnp.float32)
    for array in gradients(image, points, jnp.ones((1, 4, 3))):
        np.testing.assert_array_equal(array, jnp.zeros_like(array))


def test_no_points_read_nothing():
    image = jnp.ones((HEIGHT, WIDTH, 3))
    out, d_image, d_points = gradients(image, jnp.zeros((0, 5, 2)), jnp.zeros((0, 5, 3)))
    assert out.shape == (0, 5, 3) and d_points.shape == (0, 5, 2)
    np.testing.assert_array_equal(d_image, jnp.zeros_like(image))


@pytest.mark.parametrize("precision", [jnp.float16, jnp.bfloat16])
def test_half_precision_images_are_read_in_the_precision_of_the_points(precision):
    image = jnp.asarray(photograph(), dtype=precision)
    out, d_image, _ = gradients(image, sampler.pixel_centres(4, 8), jnp.ones((4, 8, 3)))
    assert out.dtype == jnp.float32 and d_image.dtype == precision
    np.testing.assert_array_equal(out, image.astype(jnp.float32))


def test_eager_jit_and_vmap_agree():
    images = jnp.stack([jnp.asarray(photograph(seed=s), dtype=jnp.float32) for s in range(3)])
    thetas = jnp.asarray(np.stack([THETA, 2 * THETA, -THETA]), dtype=jnp.float32)

    def values(image, theta):
        out, back = jax.vjp(lambda i, t: sampler.pull(i, t, 5, 6), image, theta)
        return out, *back(out)

    eager = values(images[1], thetas[1])
    compiled = jax.jit(values)(images[1], thetas[1])
    mapped = [result[1] for result in jax.jit(jax.vmap(values))(images, thetas)]
    for found in (compiled, mapped):
        for a, b in zip(found, eager, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_many_crops_of_one_image_share_its_gradient():
    image = jnp.asarray(photograph(), dtype=jnp.float32)
    thetas = jnp.asarray(np.stack([THETA, -THETA]), dtype=jnp.float32)
    crops = jax.vmap(lambda image, theta: sampler.pull(image, theta, 5, 6), in_axes=(None, 0))
    together = jax.jit(jax.grad(lambda image: (crops(image, thetas) ** 2).sum()))(image)
    one = jax.jit(jax.grad(lambda image, theta: (sampler.pull(image, theta, 5, 6) ** 2).sum()))
    apart = one(image, thetas[0]) + one(image, thetas[1])
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)


def test_forward_mode_is_refused():
    image, points = jnp.ones((HEIGHT, WIDTH, 1)), jnp.zeros((1, 1, 2))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda points: sampler.sample(image, points), (points,), (points,))


def test_a_batch_is_refused_with_names():
    with pytest.raises(TypeCheckError, match="image"):
        sampler.pull(jnp.zeros((2, 4, 4, 3)), affine.identity(), 4, 4)
    with pytest.raises(TypeCheckError, match="points"):
        sampler.sample(jnp.zeros((4, 4, 3)), jnp.zeros((2, 4, 4, 2)))
