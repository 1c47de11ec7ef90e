import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from rmpe_jax.geometry import boxes
from tests import references

few = settings(max_examples=25, deadline=None)
BOXES = np.array([[10.0, 20, 40, 80], [0, 0, 5, 5], [30, 60, 90, 100], [7, 7, 7, 9]])
random_boxes = st.tuples(*[st.floats(-50, 300)] * 2, *[st.floats(0.5, 200)] * 2).map(
    lambda v: np.array([v[0], v[1], v[0] + v[2], v[1] + v[3]])
)


def test_xywh_goes_there_and_back():
    xywh = np.array([[10.0, 20, 30, 60], [0, 0, 5, 5]])
    np.testing.assert_array_equal(boxes.from_xywh(xywh), BOXES[:2])
    np.testing.assert_array_equal(boxes.to_xywh(BOXES[:2]), xywh)


def test_centre_size_and_area():
    np.testing.assert_array_equal(boxes.centre(BOXES[0]), [25, 50])
    np.testing.assert_array_equal(boxes.size(BOXES[0]), [30, 60])
    np.testing.assert_array_equal(boxes.area(BOXES), [1800, 25, 2400, 0])


def test_an_inverted_box_has_no_area():
    inverted = np.array([[9.0, 9, 2, 2], [9, 2, 2, 9]])
    np.testing.assert_array_equal(boxes.area(inverted), [0, 0])


@given(box=random_boxes, share=st.floats(0, 1))
@few
def test_extending_grows_both_sides_about_the_centre(box, share):
    grown = boxes.extend(box, share)
    np.testing.assert_allclose(boxes.centre(grown), boxes.centre(box), atol=1e-9)
    np.testing.assert_allclose(boxes.size(grown), boxes.size(box) * (1 + share), atol=1e-9)


def test_extending_by_thirty_percent_adds_fifteen_on_each_side():
    box = np.array([100.0, 200, 200, 400])
    np.testing.assert_allclose(boxes.extend(box, 0.3), [85, 170, 215, 430])


@given(box=random_boxes, aspect=st.floats(0.2, 5))
@few
def test_fitting_the_aspect_grows_only_the_short_side(box, aspect):
    fitted = boxes.fit_aspect(box, aspect)
    width, height = boxes.size(fitted)
    np.testing.assert_allclose(width / height, aspect, rtol=1e-9)
    np.testing.assert_allclose(boxes.centre(fitted), boxes.centre(box), atol=1e-9)
    before = boxes.size(box)
    kept = np.isclose([width, height], before, rtol=1e-9)
    assert kept.any() and width >= before[0] - 1e-9 and height >= before[1] - 1e-9


def test_clipping_keeps_what_is_inside():
    outside = np.array([[-10.0, -5, 500, 30], [400, 10, 500, 20], [1, 2, 3, 4]])
    expected = [[0, 0, 320, 30], [320, 10, 320, 20], [1, 2, 3, 4]]
    np.testing.assert_array_equal(boxes.clip(outside, 240, 320), expected)
    tall = np.array([1.0, 2, 3, 999])
    np.testing.assert_array_equal(boxes.clip(tall, 240, 320), [1, 2, 3, 240])


@given(a=st.lists(random_boxes, min_size=1, max_size=4), b=st.lists(random_boxes, max_size=3))
@few
def test_iou_agrees_with_loops(a, b):
    a, b = np.array(a), np.array(b).reshape(-1, 4)
    np.testing.assert_allclose(boxes.iou(a, b), references.iou(a, b), atol=1e-12)


def test_iou_of_known_boxes():
    a = np.array([[0.0, 0, 2, 2]])
    b = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(boxes.iou(a, b), [[1, 1 / 3, 0, 0]])


def test_iou_with_empty_boxes_is_zero_and_so_is_its_gradient():
    empty = jnp.asarray([[3.0, 3, 3, 3], [9, 9, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(boxes.iou(empty, empty), np.zeros((3, 3)))
    gradient = jax.jit(jax.grad(lambda a: boxes.iou(a, empty).sum()))(empty)
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))


def test_no_boxes_and_no_joints():
    none = np.zeros((0, 4))
    assert boxes.iou(none, BOXES).shape == (0, 4) and boxes.iou(BOXES, none).shape == (4, 0)
    for function in (boxes.from_xywh, boxes.to_xywh):
        assert function(none).shape == (0, 4)
    assert boxes.extend(none, 0.3).shape == (0, 4) and boxes.area(none).shape == (0,)
    assert boxes.fit_aspect(none, 0.75).shape == (0, 4) and boxes.clip(none, 9, 9).shape == (0, 4)
    assert boxes.check(none, 9, 9).shape == (0, 4) and boxes.check([], 9, 9).shape == (0, 4)
    nobody = boxes.of_joints(np.zeros((0, 2)), np.zeros(0, bool))
    np.testing.assert_array_equal(nobody, np.zeros(4))


def test_the_box_of_joints_is_tight_about_the_visible_ones():
    joints = np.array([[[1.0, 2], [30, 4], [5, 60]], [[1, 2], [3, 4], [5, 6]]])
    visible = np.array([[True, False, True], [False, False, False]])
    expected = [[1, 2, 5, 60], [0, 0, 0, 0]]
    np.testing.assert_array_equal(boxes.of_joints(joints, visible), expected)


@pytest.mark.usefixtures("float64")
def test_numpy_eager_jit_and_vmap_agree():
    def everything(box, other):
        grown = boxes.clip(boxes.fit_aspect(boxes.extend(box, 0.3), 0.75), 90, 70)
        tight = boxes.of_joints(other[:, :2], other[:, 0] > 5)
        xywh = boxes.from_xywh(boxes.to_xywh(other))
        return grown, tight, xywh, boxes.iou(grown, other), boxes.area(grown), boxes.centre(other)

    host = BOXES[:3], BOXES[1:]
    device = [jnp.asarray(value) for value in host]
    expected = everything(*host)
    assert all(isinstance(value, np.ndarray) for value in expected)
    mapped = jax.jit(jax.vmap(everything))(*[jnp.stack([value, value]) for value in device])
    for results in (everything(*device), jax.jit(everything)(*device), [m[1] for m in mapped]):
        for found, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_leading_dimensions_are_many_boxes():
    many = np.stack([BOXES, BOXES + 1.0])
    np.testing.assert_array_equal(boxes.extend(many, 0.3)[1], boxes.extend(many[1], 0.3))
    np.testing.assert_array_equal(boxes.clip(many, 50, 60)[1, 2], boxes.clip(many[1, 2], 50, 60))
    np.testing.assert_array_equal(boxes.fit_aspect(many, 2)[0], boxes.fit_aspect(many[0], 2))


def test_good_boxes_pass_unchanged():
    passed = boxes.check([[1, 2, 3, 4], [-5, -5, 400, 300]], 240, 320)
    assert passed.dtype == np.float64
    np.testing.assert_array_equal(passed, [[1, 2, 3, 4], [-5, -5, 400, 300]])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[1, 2, 3]], r"shape \[1, 3\].*zeros\(\(0, 4\)\)"),
        (np.zeros((2, 2, 4)), r"shape \[2, 2, 4\]"),
        ([1, 2, 3, 4], r"type \[box\]"),
        ([[1, 2], [1, 2, 3]], "must be numbers"),
        ("abc", "must be numbers"),
        ([[1, 2, 3, 4], [1, np.nan, 3, 4]], r"boxes\[1\].*nan.*finite"),
        ([[1, 2, np.inf, 4]], r"boxes\[0\].*inf.*finite"),
        ([[50, 60, 10, 20]], r"boxes\[0\] = \(50, 60, 10, 20\).*no area.*from_xywh"),
        ([[50, 60, 50, 80]], "no area"),
        ([[50, 60, 80, 60]], "no area"),
        ([[1, 2, 3, 4], [320, 0, 330, 9]], r"boxes\[1\].*320 wide and 240 high"),
        ([[0, 240, 330, 250]], "outside the image"),
        ([[-9, 0, 0, 9]], "outside the image"),
        ([[0, -9, 9, 0]], "outside the image"),
    ],
)
def test_bad_boxes_are_refused_by_row_and_remedy(bad, message):
    with pytest.raises(ValueError, match=message):
        boxes.check(bad, 240, 320)


def test_boxes_of_five_numbers_are_refused_with_names():
    with pytest.raises(TypeCheckError, match="box"):
        boxes.extend(np.zeros((3, 5)), 0.3)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_a_box_contains_its_edge_and_nothing_beyond(array):
    points = [[10, 20], [40, 80], [25, 50], [9.9, 50], [40.1, 50], [25, 19.9], [25, 80.1]]
    inside = boxes.contains(array(np.tile(BOXES[0], (7, 1))), array(points))
    assert inside.tolist() == [True] * 3 + [False] * 4
    assert not boxes.contains(BOXES[:1], np.array([[np.nan, 50.0]])).any()
