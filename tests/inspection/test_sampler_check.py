"""Each mistake by its name; nothing to say of samplers that are right."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rmpe_jax.geometry import sampler
from rmpe_jax.inspection import sampler_variants
from rmpe_jax.inspection.sampler_check import by_theta, check_sampler
from tests import references
from tests.inspection import samplers


def jitted(**mistakes):
    return jax.jit(partial(samplers.written, **mistakes))


@pytest.mark.parametrize("one", [samplers.ours, samplers.written])
def test_nothing_is_wrong_with_a_right_sampler(one):
    report = check_sampler(jax.jit(one))
    assert report.passed and report.findings == report.remarks == ()
    assert all(row.passed and row.error < 1e-9 for row in report.rows)
    assert {row.what for row in report.rows} == {
        "values",
        "gradient of image",
        "gradient of points",
    }


@pytest.mark.parametrize(
    ("mistakes", "named"),
    [
        ({"upper": "ceil"}, ["zero gradient at pixel centres.*corners by ceil"]),
        ({"order": (1, 0)}, ["x and y swapped"]),
        ({"clamp": True}, ["border clamped"]),
        ({"shrink": 1, "half": 0}, ["align_corners differs"]),
        ({"half": 0}, ["half a pixel off"]),
        (
            {"shrink": 1, "half": 0, "clamp": True, "order": (1, 0), "upper": "ceil"},
            ["align_corners", "swapped", "clamped", "corners by ceil"],
        ),
        ({"bounds": False}, ["index -1 reads the last column", "image's gradient is wrong"]),
    ],
)
def test_a_mistake_is_named_and_nothing_else(mistakes, named):
    report = check_sampler(jitted(**mistakes))
    assert not report.passed and not all(row.passed for row in report.rows)
    assert len(report.findings) == len(named)
    for finding, words in zip(report.findings, named, strict=True):
        assert pytest.raises(AssertionError, match=words).matches(AssertionError(finding))


def with_gradients(change):
    """Ours, with other gradients."""

    def gradients(image, points, upstream):
        with jax.enable_x64(True):
            back = jax.vjp(samplers.ours, jnp.asarray(image), jnp.asarray(points))[1]
            d_image, d_points = map(np.asarray, back(jnp.asarray(upstream)))
        return change(d_image, d_points, np.array(image.shape[1::-1]))

    def values(image, points):
        return samplers.scipy_sampler(image, points)

    return check_sampler(values, gradients=gradients)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda i, p, sides: (i, p * 2 / sides), "misses the factor (W/2)"),
        (lambda i, p, sides: (i, p * sides[::-1] / sides), "(W/2) and (H/2) exchanged"),
        (lambda i, p, sides: (i, p * (sides - 1) / sides), "align_corners differs between values"),
        (lambda i, p, sides: (i, p[:, ::-1]), "has x and y swapped"),
        (lambda i, p, sides: (i, -p), "wrong sign"),
        (lambda i, p, sides: (i, 2 * p), "W for (W/2)"),
        (lambda i, p, sides: (i, 0 * p), "no gradient reaches the points"),
        (lambda i, p, sides: (0 * i, p), "no gradient reaches the image"),
        (lambda i, p, sides: (i + 0.01, p), "the image's gradient is wrong"),
        (lambda i, p, sides: (i * np.nan, p), "the image's gradient is wrong"),
        (lambda i, p, sides: (i, p * np.nan), "not that of the values (inside)"),
        (lambda i, p, sides: (i, p + 0.5), "not that of the values (inside)"),
    ],
)
def test_a_mistake_of_the_gradient_alone_is_named(change, named):
    report = with_gradients(change)
    assert not report.passed
    assert named in report.findings[0]


def test_a_custom_gradient_without_the_factor_is_named():
    (finding,) = check_sampler(jax.jit(samplers.per_pixel)).findings
    assert "misses the factor (W/2)" in finding


def test_equation_5_under_autodiff_weighs_one_pixel_alone():
    (finding,) = check_sampler(jax.jit(samplers.by_kernel)).findings
    assert "-U[m]" in finding


def test_a_left_hand_derivative_is_different_and_not_wrong():
    def mirrored(image, points):
        """Read from the other side, right is left."""
        return samplers.ours(image[::-1, ::-1], -points)

    report = check_sampler(jax.jit(mirrored))
    assert report.passed and "left-hand derivative" in report.remarks[0]


def test_scipy_and_its_borders():
    report = check_sampler(samplers.scipy_sampler, gradients=None)
    assert report.passed and "gradients were not checked" in report.remarks[0]
    for mode, words in (
        ("constant", "cut off at the outer"),
        ("nearest", "border clamped"),
        ("grid-wrap", "wraps around"),
        ("mirror", "neither 0 outside nor any other way"),
    ):
        report = check_sampler(partial(samplers.scipy_sampler, mode=mode), gradients=None)
        assert words in report.findings[0] and len(report.findings) == 1, mode


def test_single_precision_is_held_to_single_precision():
    def single(image, points):
        return samplers.scipy_sampler(image, points).astype(np.float32)

    assert check_sampler(single, gradients=None).passed


def test_values_that_are_nothing_known():
    def smoothed(image, points):
        return samplers.scipy_sampler(ndimage.gaussian_filter(image, (1, 1, 0)), points)

    (finding,) = check_sampler(smoothed, gradients=None).findings
    assert "neither those of bilinear interpolation" in finding

    def broken(image, points):
        far = np.abs(points).max(axis=1, keepdims=True) > 1.2
        return np.where(far, np.nan, samplers.scipy_sampler(image, points))

    assert check_sampler(broken, gradients=None).findings == ("returns NaN or infinity: outside",)
    for kernel, words in (("nearest", "nearest pixel"), ("ceil", "0 at pixel centres")):
        read = partial(sampler_variants.read, sampler_variants.Variant(kernel=kernel))
        assert words in check_sampler(read, gradients=None).findings[0]


def test_a_pull_by_theta_is_checked_point_by_point():
    def pull(image, theta, height, width):
        points = references.affine(theta, references.pixel_points(height, width))
        return samplers.scipy_sampler(image, points.reshape(-1, 2)).reshape(height, width, -1)

    assert check_sampler(by_theta(pull), gradients=None).passed

    def swapped(image, theta, height, width):
        return pull(image, theta[::-1], height, width)

    (finding,) = check_sampler(by_theta(swapped), gradients=None).findings
    assert "x and y swapped" in finding
    image, points = jnp.ones((4, 8, 1)), jnp.asarray([[0.2, 0.3], [5.0, 0.0]])
    read = by_theta(jax.jit(sampler.pull, static_argnums=(2, 3)))(image, points)
    np.testing.assert_allclose(read, [[1], [0]])


def test_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def torch_sampler(image, points, align_corners=False):
        read = partial(torch.nn.functional.grid_sample, align_corners=align_corners)
        return read(image.permute(2, 0, 1)[None], points[None, None])[0, :, 0].T

    def values(image, points, **options):
        return torch_sampler(torch.tensor(image), torch.tensor(points), **options)

    def gradients(image, points, upstream, **options):
        inputs = [torch.tensor(part, requires_grad=True) for part in (image, points)]
        return torch.autograd.grad(
            torch_sampler(*inputs, **options), inputs, torch.tensor(upstream)
        )

    report = check_sampler(values, gradients=gradients)
    assert report.passed, report.findings
    aligned = {"align_corners": True}
    report = check_sampler(partial(values, **aligned), gradients=partial(gradients, **aligned))
    (finding,) = report.findings
    assert "align_corners differs" in finding


def test_what_is_no_sampler_in_jax_is_told_what_to_type():
    def in_numpy(image, points):
        return samplers.scipy_sampler(np.asarray(image), np.asarray(points))

    with pytest.raises(TypeError, match="returned a ndarray.*type gradients=None"):
        check_sampler(in_numpy)
    with pytest.raises(TypeError) as caught:
        check_sampler(samplers.scipy_sampler)
    assert "gradients=None" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match=r"shape \(3, \d+\).*due is \[n c\]"):
        check_sampler(lambda image, points: in_numpy(image, points).T, gradients=None)
    with pytest.raises(ValueError, match="the gradients have shapes"):
        check_sampler(in_numpy, gradients=lambda image, points, upstream: (image, points.T))
