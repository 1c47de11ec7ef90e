import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import ModelConfig
from rmpe_jax.models.build import build, build_detector
from rmpe_jax.models.detector import STRIDES, HumanDetector, points_px
from rmpe_jax.models.variables import initialise

MODEL = ModelConfig(
    family="detector", depth=10, head_width=16, head_blocks=1, input_height=64, input_width=64
)


@pytest.fixture(scope="module")
def network():
    module = build_detector(MODEL)
    return module, initialise(jax.random.key(0), module, MODEL)


def test_there_is_a_point_for_each_cell_of_each_stride(network):
    module, variables = network
    found = module.apply(variables, jnp.zeros((2, 64, 96, 3)), train=False)
    count = sum((64 // stride) * (96 // stride) for stride in STRIDES)
    assert found.logit.shape == (2, count) and found.boxes_px.shape == (2, count, 4)
    points, strides = points_px(64, 96)
    assert points.shape == (count, 2) and sorted(set(strides)) == list(STRIDES)


def test_a_box_is_about_its_point_and_few_points_show_a_person_at_first(network):
    module, variables = network
    found = module.apply(variables, jnp.zeros((1, 64, 96, 3)), train=False)
    points, strides = points_px(64, 96)
    boxes_px = np.asarray(found.boxes_px[0])
    assert (boxes_px[:, :2] < points).all() and (points < boxes_px[:, 2:]).all()
    sides = boxes_px[:, 2:] - boxes_px[:, :2]
    np.testing.assert_allclose(sides / strides[:, None], 8, rtol=0.05)
    assert np.allclose(jax.nn.sigmoid(found.logit), 0.01, atol=2e-3)


def test_points_lie_in_the_middle_of_their_cells_row_by_row():
    points, strides = points_px(32, 64)
    np.testing.assert_array_equal(points[:2], [[4, 4], [12, 4]])
    np.testing.assert_array_equal(points[8], [4, 12])
    np.testing.assert_array_equal(points[strides == 32], [[16, 16], [48, 16]])


def test_each_stride_sees_what_lies_at_its_points(network):
    """A bright square changes the points about it more than those far away."""
    module, variables = network
    dark = jnp.zeros((1, 64, 64, 3))
    lit = dark.at[0, 40:56, 40:56].set(1.0)
    change = jnp.abs(
        module.apply(variables, lit, train=False).logit
        - module.apply(variables, dark, train=False).logit
    )[0]
    points, strides = points_px(64, 64)
    near = np.abs(points - 48).max(axis=1) < 12
    finest = strides == 8
    assert change[near & finest].mean() > 2 * change[~near & finest].mean()


def test_it_has_at_most_four_million_parameters():
    module = HumanDetector()
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    shapes = jax.eval_shape(lambda k, x: module.init(k, x, train=False), key, images)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) <= 4_000_000


@pytest.mark.parametrize("sides", [(64, 96), (80, 80)])
def test_an_input_that_does_not_fit_is_refused(sides):
    height, width = sides
    model = ModelConfig(family="detector", input_height=height, input_width=width)
    with pytest.raises(ValueError, match="a detector's are equal and a multiple of 32"):
        build_detector(model)


def test_a_detector_is_no_pose_network():
    with pytest.raises(ValueError, match="which finds boxes and no joints; take hourglass"):
        build(MODEL, 17)
