import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from rmpe_jax.geometry import affine
from tests import references

few = settings(max_examples=25, deadline=None)
numbers = st.floats(-2, 2, width=32)
thetas = st.lists(numbers, min_size=6, max_size=6).map(lambda v: np.array(v).reshape(2, 3))
boxes = st.tuples(*[st.floats(-50, 300)] * 2, *[st.floats(2, 200)] * 2).map(
    lambda v: np.array([v[0], v[1], v[0] + v[2], v[1] + v[3]])
)
THETA = np.array([[0.5, -0.25, 0.125], [0.75, 1.5, -0.5]])
CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def invertible(theta):
    return abs(np.linalg.det(theta[:, :2])) > 0.05


@given(theta=thetas, x=numbers, y=numbers)
@few
def test_apply_is_the_homogeneous_matrix(theta, x, y):
    point = np.array([x, y])
    np.testing.assert_allclose(
        affine.apply(theta, point), references.affine(theta, point), atol=1e-12
    )


@given(theta=thetas)
@few
def test_the_inverse_undoes_on_both_sides(theta):
    assume(invertible(theta))
    gamma = affine.invert(theta)
    np.testing.assert_allclose(affine.compose(gamma, theta), affine.identity(), atol=1e-9)
    np.testing.assert_allclose(affine.compose(theta, gamma), affine.identity(), atol=1e-9)


@given(theta=thetas)
@few
def test_the_inverse_is_that_of_the_3x3_matrix(theta):
    assume(invertible(theta))
    inverse = np.linalg.inv(np.vstack([theta, [0, 0, 1]]))
    np.testing.assert_allclose(affine.invert(theta), inverse[:2], atol=1e-9)


@given(a=thetas, b=thetas, c=thetas)
@few
def test_composition_is_associative(a, b, c):
    left = affine.compose(affine.compose(a, b), c)
    right = affine.compose(a, affine.compose(b, c))
    np.testing.assert_allclose(left, right, atol=1e-12)


@given(outer=thetas, inner=thetas)
@few
def test_composition_applies_the_inner_map_first(outer, inner):
    np.testing.assert_allclose(
        affine.apply(affine.compose(outer, inner), CORNERS),
        affine.apply(outer, affine.apply(inner, CORNERS)),
        atol=1e-12,
    )


def test_identity_is_neutral():
    np.testing.assert_array_equal(affine.compose(THETA, affine.identity()), THETA)
    np.testing.assert_array_equal(affine.compose(affine.identity(), THETA), THETA)
    np.testing.assert_array_equal(affine.apply(affine.identity(), CORNERS), CORNERS)
    np.testing.assert_array_equal(affine.invert(affine.identity()), affine.identity())


def test_a_crop_far_smaller_than_its_image_is_inverted_exactly():
    theta = affine.from_box(np.array([1000.0, 700, 1010, 728]), 2160, 3840)
    assert abs(np.linalg.det(theta[:, :2])) < 1e-4
    np.testing.assert_allclose(
        affine.compose(affine.invert(theta), theta), affine.identity(), atol=1e-10
    )


def test_a_map_without_an_inverse_gives_no_finite_one():
    gamma = affine.invert(jnp.zeros((2, 3)))
    assert not np.isfinite(gamma).any()


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_the_inverse_agrees_with_finite_differences():
    weights = np.arange(1.0, 7).reshape(2, 3)
    gradient = jax.grad(lambda theta: (affine.invert(theta) * weights).sum())(jnp.asarray(THETA))
    expected = references.finite_differences(
        lambda theta: (affine.invert(theta) * weights).sum(), THETA
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_gamma_is_the_exact_inverse_of_a_theta_far_from_singular():
    np.testing.assert_array_equal(affine.gamma(THETA), affine.invert(THETA))
    np.testing.assert_array_equal(affine.gamma(affine.identity()), affine.identity())
    assert not affine.is_clamped(THETA)


@given(theta=thetas)
@few
def test_gamma_agrees_with_equations_3_and_4(theta):
    assume(invertible(theta))
    np.testing.assert_allclose(affine.gamma(theta), references.gamma(theta), atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_of_gamma_agrees_with_equations_5_and_6(seed):
    generator = np.random.default_rng(seed)
    theta = THETA + generator.normal(0, 0.2, (2, 3))
    upstream = generator.normal(size=(2, 3))
    _, back = jax.vjp(affine.gamma, jnp.asarray(theta))
    expected = references.gradient_of_gamma(theta, upstream)
    np.testing.assert_allclose(back(jnp.asarray(upstream))[0], expected, rtol=1e-9, atol=1e-9)
    finite = references.finite_differences(lambda t: (affine.gamma(t) * upstream).sum(), theta)
    np.testing.assert_allclose(expected, finite, rtol=1e-6, atol=1e-6)


# Rows of a theta, and the determinant that gamma takes it to have.
NEARLY_SINGULAR = {
    "tiny": ([[1e-3, 0, 0.5], [0, 1e-2, -0.25]], 1e-4),
    "tiny and mirrored": ([[-1e-3, 0, 0.5], [0, 1e-2, -0.25]], -1e-4),
    "zero": ([[0.5, 0.25, 0.5], [1, 0.5, -0.25]], 1e-4),
    "nothing": ([[0, 0, 0], [0, 0, 0]], 1e-4),
    "just allowed": ([[1e-2, 0, 0.5], [0, 1.001e-2, -0.25]], 1.001e-4),
    "mirrored, just allowed": ([[-1e-2, 0, 0.5], [0, 1.001e-2, -0.25]], -1.001e-4),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", NEARLY_SINGULAR)
def test_gamma_of_a_nearly_singular_theta_is_finite_and_keeps_the_sign(case):
    theta, determinant = NEARLY_SINGULAR[case]
    theta = np.array(theta, np.float64)
    np.testing.assert_allclose(
        affine.gamma(theta), references.gamma(theta, determinant), rtol=1e-12
    )
    assert affine.is_clamped(theta) == ("allowed" not in case)
    gradient = jax.grad(lambda theta: affine.gamma(theta).sum())(jnp.asarray(theta))
    assert np.isfinite(gradient).all()
    # Where the determinant is clamped, it is a constant to the gradient too.
    if affine.is_clamped(theta) and case != "zero" and case != "nothing":
        finite = references.finite_differences(lambda t: affine.gamma(t).sum(), theta, step=1e-6)
        np.testing.assert_allclose(gradient, finite, rtol=1e-4)


def test_gamma_of_nan_is_nan_and_not_clamped():
    theta = np.full((2, 3), np.nan)
    assert np.isnan(affine.gamma(theta)).all() and not affine.is_clamped(theta)


def test_clamped_thetas_of_a_batch_are_counted():
    batch = jnp.asarray(np.stack([THETA, 0 * THETA, -0.001 * THETA]))
    clamped = jax.jit(affine.is_clamped)(batch)
    np.testing.assert_array_equal(clamped, [False, True, True])


def test_a_small_person_in_a_large_image_is_inverted_exactly_but_would_be_clamped():
    theta = affine.from_box(np.array([1000.0, 700, 1010, 728]), 2160, 3840)
    assert affine.is_clamped(theta)
    assert not np.allclose(affine.gamma(theta), affine.invert(theta))


@given(box=boxes, flip=st.booleans())
@few
def test_the_corners_of_the_crop_are_those_of_the_box(box, flip):
    x_min, y_min, x_max, y_max = box
    if flip:
        x_min, x_max = x_max, x_min
    theta = affine.from_box(box, 240, 320, flip=flip)
    np.testing.assert_allclose(
        affine.to_pixels(affine.apply(theta, CORNERS), 240, 320),
        [[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]],
        atol=1e-9,
    )


def test_the_box_of_the_whole_image_is_the_identity():
    theta = affine.from_box(np.array([0.0, 0, 320, 240]), 240, 320)
    np.testing.assert_allclose(theta, affine.identity(), atol=1e-15)


@given(box=boxes, turn=st.floats(-3, 3), flip=st.booleans())
@few
def test_a_turn_keeps_centre_and_lengths_in_pixels(box, turn, flip):
    straight = affine.from_box(box, 240, 320, flip=flip)
    turned = affine.from_box(box, 240, 320, turn=turn, flip=flip)
    before = affine.to_pixels(affine.apply(straight, CORNERS), 240, 320)
    after = affine.to_pixels(affine.apply(turned, CORNERS), 240, 320)
    centre = (box[:2] + box[2:]) / 2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    np.testing.assert_allclose(after, (before - centre) @ rotation.T + centre, atol=1e-8)


def test_a_quarter_turn_is_clockwise_on_the_screen():
    theta = affine.from_box(np.array([0.0, 0, 100, 100]), 100, 100, turn=np.pi / 2)
    right = affine.apply(theta, np.array([1.0, 0]))
    np.testing.assert_allclose(right, [0, 1], atol=1e-12)


def test_the_flip_mirrors_the_crop_before_it_is_turned():
    box, turn = np.array([20.0, 30, 80, 150]), 0.4
    mirror = np.array([[-1.0, 0, 0], [0, 1, 0]])
    plain = affine.from_box(box, 240, 320, turn=turn)
    flipped = affine.from_box(box, 240, 320, turn=turn, flip=True)
    np.testing.assert_allclose(flipped, affine.compose(plain, mirror), atol=1e-15)


def test_pixels_start_at_the_outer_edge():
    points = np.array([[-1.0, -1], [0, 0], [1, 1]])
    pixels = np.array([[0.0, 0], [4, 2], [8, 4]])
    np.testing.assert_array_equal(affine.to_pixels(points, 4, 8), pixels)
    np.testing.assert_array_equal(affine.from_pixels(pixels, 4, 8), points)


def test_no_points_stay_no_points():
    none = np.zeros((0, 2))
    assert affine.apply(THETA, none).shape == (0, 2)
    assert affine.to_pixels(none, 4, 8).shape == (0, 2)
    assert affine.from_pixels(none, 4, 8).shape == (0, 2)


def test_numpy_stays_numpy_in_double_precision():
    theta = affine.from_box(np.array([1.0, 2, 3, 4]), 5, 6, turn=0.1, flip=True)
    results = [
        theta,
        affine.invert(theta),
        affine.gamma(theta),
        affine.compose(theta, theta),
        affine.apply(theta, CORNERS),
        affine.to_pixels(CORNERS, 5, 6),
        affine.from_pixels(CORNERS, 5, 6),
    ]
    for result in results:
        assert isinstance(result, np.ndarray) and result.dtype == np.float64


def test_single_precision_stays_single_precision():
    box = np.array([1, 2, 3, 4], np.float32)
    assert affine.from_box(box, 5, 6, turn=0.1).dtype == np.float32
    assert affine.invert(affine.from_box(box, 5, 6)).dtype == np.float32
    assert affine.gamma(affine.from_box(box, 5, 6)).dtype == np.float32


@pytest.mark.usefixtures("float64")
def test_numpy_eager_jit_and_vmap_agree():
    def chain(theta, box, turn):
        crop = affine.from_box(box, 240, 320, turn=turn, flip=True)
        points = affine.from_pixels(affine.to_pixels(theta[:, :2], 7, 9), 7, 9)
        both = affine.compose(affine.invert(theta), affine.gamma(theta))
        return affine.apply(affine.compose(both, crop), points)

    box, turn = np.array([10.0, 20, 60, 90]), np.asarray(0.3)
    expected = chain(THETA, box, turn)
    arguments = [jnp.asarray(value) for value in (THETA, box, turn)]
    np.testing.assert_allclose(chain(*arguments), expected, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(chain)(*arguments), expected, rtol=1e-12)
    many = jax.jit(jax.vmap(chain))(*[jnp.stack([value, value]) for value in arguments])
    np.testing.assert_allclose(many, np.stack([expected, expected]), rtol=1e-12)


def test_a_host_map_serves_device_points():
    points = jax.jit(lambda points: affine.apply(affine.identity(), points))(jnp.ones((3, 2)))
    assert isinstance(points, jax.Array)
    np.testing.assert_array_equal(points, np.ones((3, 2)))


def test_a_batch_is_refused_with_names():
    with pytest.raises(TypeCheckError, match="theta"):
        affine.apply(np.zeros((5, 2, 3)), CORNERS)
    with pytest.raises(TypeCheckError, match="box_px"):
        affine.from_box(np.zeros((5, 4)), 10, 10)
