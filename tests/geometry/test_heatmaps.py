import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy import ndimage

from rmpe_jax.geometry import affine, heatmaps
from rmpe_jax.skeletons import COCO17, MPII16
from tests import references

HEIGHT, WIDTH = 64, 48
HALF_SIZES = np.array([WIDTH / 2, HEIGHT / 2])
encode = jax.jit(heatmaps.encode, static_argnums=(1, 2, 3))
decoders = {
    "argmax": jax.jit(heatmaps.decode_argmax),
    "taylor": jax.jit(heatmaps.decode_taylor),
    "taylor of smooth maps": jax.jit(functools.partial(heatmaps.decode_taylor, blur=2.0)),
    "expectation": jax.jit(heatmaps.decode_expectation),
}
every_decoder = pytest.mark.parametrize("name", decoders)


def joints_inside(count=17, seed=0, reach=0.8):
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 2)).astype(np.float32)


def error_px(found, joints):
    return np.abs((np.asarray(found) - joints) * HALF_SIZES)


@pytest.mark.usefixtures("float64")
def test_gaussians_agree_with_loops():
    joints = joints_inside(3, reach=1.2).astype(np.float64)
    expected = references.gaussian_maps(joints, 9, 7, 1.5)
    np.testing.assert_allclose(encode(jnp.asarray(joints), 9, 7, 1.5), expected, atol=1e-12)


def test_the_peak_is_one_at_a_pixel_centre():
    centre = affine.from_pixels(np.array([[10.5, 20.5]], np.float32), HEIGHT, WIDTH)
    maps = np.asarray(encode(centre, HEIGHT, WIDTH, 2.0))
    assert maps[20, 10, 0] == pytest.approx(1)
    np.testing.assert_allclose(maps[20, 12, 0], np.exp(-0.5), rtol=1e-5)


def test_the_same_joint_lies_at_the_same_place_in_maps_of_any_size():
    joints = joints_inside(5, reach=0.5)
    for height, width in ((64, 48), (256, 192)):
        found, _ = decoders["taylor"](encode(joints, height, width, 3.0))
        np.testing.assert_allclose(found, joints, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "tolerance_px"),
    [
        ("argmax", 0.2501),  # half a pixel, minus a quarter step
        ("taylor", 1e-4),
        ("taylor of smooth maps", 1e-4),
        ("expectation", 0.2),
    ],
)
def test_what_was_encoded_is_decoded(name, tolerance_px):
    joints = joints_inside(200, reach=0.6)
    maps = encode(joints, HEIGHT, WIDTH, 2.0)
    found, peak = decoders[name](maps)
    assert error_px(found, joints).max() < tolerance_px
    np.testing.assert_array_equal(peak, np.asarray(maps).max(axis=(0, 1)))


def test_the_quarter_step_has_no_preferred_side():
    joints = joints_inside(400)
    found, _ = decoders["argmax"](encode(joints, HEIGHT, WIDTH, 2.0))
    mean = ((np.asarray(found) - joints) * HALF_SIZES).mean(axis=0)
    np.testing.assert_allclose(mean, 0, atol=0.02)


@every_decoder
def test_a_mirrored_map_gives_the_mirrored_joint(name):
    joints = joints_inside(50, reach=1.0)
    maps = encode(joints, HEIGHT, WIDTH, 2.0)
    found, _ = decoders[name](maps)
    for flipped, mirror in ((maps[:, ::-1], [-1, 1]), (maps[::-1], [1, -1])):
        other, _ = decoders[name](flipped)
        np.testing.assert_allclose(other, np.asarray(found) * mirror, atol=1e-4)


def quarter_map(row, column, higher):
    maps = np.zeros((8, 8, 1), np.float32)
    maps[row, column] = 1
    if higher is not None:
        maps[higher] = 0.5
    return jnp.asarray(maps)


@pytest.mark.parametrize("decoder", [heatmaps.decode_argmax, heatmaps.decode_taylor])
@pytest.mark.parametrize(
    ("row", "column", "higher", "at_px"),
    [
        (3, 4, (3, 5), (4.75, 3.5)),  # right
        (3, 4, (3, 3), (4.25, 3.5)),
        (3, 4, (4, 4), (4.5, 3.75)),  # below
        (3, 4, (2, 4), (4.5, 3.25)),
        (3, 4, None, (4.5, 3.5)),  # equal neighbours
        (1, 1, (1, 2), (1.75, 1.5)),  # the last pixels with both neighbours
        (6, 6, (6, 5), (6.25, 6.5)),
        (0, 4, (0, 5), (4.75, 0.5)),  # at the upper border, x alone moves
        (0, 4, (1, 4), (4.5, 0.5)),
        (7, 4, (6, 4), (4.5, 7.5)),
        (3, 0, (3, 1), (0.5, 3.5)),
        (3, 7, (3, 6), (7.5, 3.5)),
        (3, 7, (4, 7), (7.5, 3.75)),
    ],
)
def test_the_quarter_step_goes_to_the_higher_neighbour(decoder, row, column, higher, at_px):
    """And decode_taylor does the same where its expansion has no maximum or no room."""
    maps = quarter_map(row, column, higher)
    if decoder is heatmaps.decode_taylor and 1 < row < 6 and 1 < column < 6:
        # A ridge along the diagonal outweighs the curvature of both axes: no maximum.
        for step in (-1, 1):
            maps = maps.at[row + step, column + step].set(0.9)
            maps = maps.at[row + 2 * step, column].set(0.5).at[row, column + 2 * step].set(0.5)
    joints, _ = decoder(maps)
    np.testing.assert_allclose(affine.to_pixels(joints, 8, 8), [at_px], atol=1e-5)


@every_decoder
def test_joints_beyond_the_border_stay_on_the_map(name):
    joints = np.array([[-1.1, 0], [1.1, 0], [0, -1.1], [0, 1.1], [1.1, 1.1], [-1, -1]], np.float32)
    found, _ = decoders[name](encode(joints, HEIGHT, WIDTH, 2.0))
    assert (np.abs(found) < 1).all()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_taylor_is_exact_for_a_slanted_gaussian(angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    precision = turn @ np.diag([1 / 2.5**2, 1 / 1.5**2]) @ turn.T
    x, y = 20.81, 30.27
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    offset = np.stack([columns - x, rows - y], axis=-1)
    maps = 0.6 * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", offset, precision, offset))
    joints, peak = heatmaps.decode_taylor(jnp.asarray(maps[..., None]))
    np.testing.assert_allclose(affine.to_pixels(joints, HEIGHT, WIDTH), [[x, y]], atol=1e-9)
    np.testing.assert_allclose(peak, [maps.max()])


def test_a_taylor_step_is_at_most_one_pixel():
    maps = np.full((9, 9, 1), 1e-3, np.float32)
    maps[4, 4], maps[4, 5], maps[4, 3] = 1.0, 0.9999, 1e-9
    maps[4, 6] = maps[4, 2] = 0.99  # nearly flat: the unclipped step would be far longer
    maps[2, 4] = maps[6, 4] = 0.9
    joints, _ = decoders["taylor"](jnp.asarray(maps))
    x, y = np.asarray(affine.to_pixels(joints, 9, 9))[0]
    assert x == pytest.approx(5.5, abs=1e-4) and abs(y - 4.5) <= 1


def test_blurring_agrees_with_scipy():
    maps = np.random.default_rng(0).uniform(0, 1, (16, 12, 3)).astype(np.float32)
    expected = ndimage.gaussian_filter(maps, (2, 2, 0), mode="constant", truncate=12)
    blurred = np.asarray(heatmaps._blur(jnp.asarray(maps), 2.0))
    np.testing.assert_allclose(blurred / (2 * np.pi * 2.0**2), expected, rtol=1e-3)


def test_blurring_finds_a_joint_under_noise():
    joints = joints_inside(100, reach=0.7)
    noise = np.random.default_rng(1).normal(0, 0.05, (HEIGHT, WIDTH, 100)).astype(np.float32)
    maps = encode(joints, HEIGHT, WIDTH, 2.0) + noise
    plain, peak = decoders["taylor"](maps)
    smooth, smooth_peak = decoders["taylor of smooth maps"](maps)
    assert error_px(smooth, joints).mean() < 0.7 * error_px(plain, joints).mean()
    np.testing.assert_array_equal(smooth_peak, peak)  # that of the map as it came


@every_decoder
def test_maps_without_a_joint_give_finite_joints(name):
    for level in (0.0, -1.0, 0.3):
        joints, peak = decoders[name](jnp.full((8, 8, 2), level))
        assert np.isfinite(joints).all() and (np.abs(joints) < 1).all()
        np.testing.assert_array_equal(peak, np.float32([level, level]))


@every_decoder
def test_no_joints_decode_to_no_joints(name):
    joints, peak = decoders[name](jnp.zeros((8, 8, 0)))
    assert joints.shape == (0, 2) and peak.shape == (0,)
    assert encode(jnp.zeros((0, 2)), 8, 8, 2.0).shape == (8, 8, 0)


@every_decoder
def test_half_precision_maps_give_joints_in_single_precision(name):
    joints, peak = decoders[name](jnp.ones((8, 8, 2), jnp.bfloat16))
    assert joints.dtype == peak.dtype == jnp.float32


def test_expectation_is_the_softmax_mean():
    maps = np.random.default_rng(0).uniform(0, 1, (5, 7, 1))
    weight = np.exp(3 * maps[..., 0])
    weight /= weight.sum()
    rows, columns = np.mgrid[:5, :7]
    expected = [[(weight * (columns + 0.5)).sum(), (weight * (rows + 0.5)).sum()]]
    joints, _ = heatmaps.decode_expectation(jnp.asarray(maps), sharpness=3.0)
    np.testing.assert_allclose(affine.to_pixels(joints, 5, 7), expected, rtol=1e-5)


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_the_expectation_agrees_with_finite_differences():
    maps = np.random.default_rng(0).uniform(0, 1, (5, 7, 2))

    @jax.jit
    def loss(maps):
        joints, _ = heatmaps.decode_expectation(jnp.asarray(maps), sharpness=3.0)
        return (joints * jnp.array([[1.0, -2], [0.5, 3]])).sum()

    expected = references.finite_differences(loss, maps)
    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(maps)), expected, atol=1e-8)


def test_the_bias_of_the_expectation_goes_to_the_middle():
    joints = np.array([[-0.8, 0.8]], np.float32)
    for height in (1.0, 0.4):
        maps = height * encode(joints, HEIGHT, WIDTH, 2.0)
        found, _ = heatmaps.decode_expectation(maps, sharpness=10.0)
        assert -0.8 < found[0, 0] < 0.8 and 0.8 > found[0, 1] > -0.8
    assert error_px(found, joints).max() > 3  # a low peak: the docstring's warning


@pytest.mark.parametrize("skeleton", [COCO17, MPII16])
def test_merging_the_maps_of_a_mirror_image_gives_them_back(skeleton):
    count = len(skeleton.joints)
    joints = joints_inside(count)
    maps = encode(joints, HEIGHT, WIDTH, 2.0)
    mirrored_joints = (joints * np.array([-1, 1], np.float32))[list(skeleton.flip_order)]
    mirrored = encode(mirrored_joints, HEIGHT, WIDTH, 2.0)
    merged = heatmaps.merge_flip(maps, mirrored, skeleton.flip_order)
    np.testing.assert_allclose(merged, maps, atol=1e-5)


def test_merging_is_the_mean():
    maps, mirrored = jnp.ones((4, 6, 2)), 3 * jnp.ones((4, 6, 2))
    np.testing.assert_array_equal(heatmaps.merge_flip(maps, mirrored, (1, 0)), 2 * maps)


def test_the_flip_order_of_another_skeleton_is_refused():
    maps = jnp.ones((4, 6, 17))
    with pytest.raises(ValueError, match="16 joints, the heat-maps have 17: pass the"):
        heatmaps.merge_flip(maps, maps, MPII16.flip_order)


@every_decoder
def test_eager_jit_and_vmap_agree(name):
    maps = encode(joints_inside(4), 16, 12, 2.0)
    compiled = decoders[name](maps)
    eager = decoders[name].__wrapped__(maps)
    mapped = jax.jit(jax.vmap(decoders[name]))(jnp.stack([maps, maps]))
    for found, again, many in zip(compiled, eager, mapped, strict=True):
        np.testing.assert_allclose(found, again, atol=1e-6)
        np.testing.assert_allclose(found, many[1], atol=1e-6)


def test_a_batch_is_refused_with_names():
    with pytest.raises(TypeCheckError, match="heatmaps"):
        heatmaps.decode_argmax(jnp.zeros((2, 8, 8, 3)))
    with pytest.raises(TypeCheckError, match="joints"):
        heatmaps.encode(jnp.zeros((2, 3, 2)), 8, 8, 2.0)


def test_logits_of_a_perfect_network_become_the_target_itself():
    joint = jnp.asarray([[0.1, -0.2]])
    target = heatmaps.encode(joint, 32, 24, 1.5)
    logits = jnp.log(jnp.maximum(target, 1e-30)) + 7.0
    np.testing.assert_allclose(heatmaps.from_logits(logits, 1.5), target, atol=1e-3)


def test_logits_that_say_nothing_become_a_low_flat_map():
    flat = heatmaps.from_logits(jnp.zeros((32, 24, 1)), 1.5)
    np.testing.assert_allclose(flat, 2 * np.pi * 1.5**2 / (32 * 24), rtol=1e-5)
