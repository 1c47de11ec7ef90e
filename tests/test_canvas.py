import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax import canvas

BOXES = np.asarray([[10.0, 10, 70, 110], [60, 20, 150, 100], [-20, 40, 60, 140]])


def picture(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        (np.zeros((4, 4, 3), np.float32), r"\(255 \* image\)\.round\(\)\.astype"),
        (np.zeros((4, 4, 3), np.int64), ""),
        (np.zeros((4, 4, 4), np.uint8), r"image\[:, :, :3\]"),
        (np.zeros((0, 4, 3), np.uint8), ""),
        (np.zeros((0, 4), np.uint8), ""),
        (np.zeros((2, 4, 4, 3), np.uint8), ""),
        (7, ""),
        ("photo.jpg", ""),
        (None, ""),
    ],
)
def test_a_wrong_picture_is_refused_with_what_is_allowed(image, hint):
    with pytest.raises(ValueError, match=rf"allowed is RGB uint8 \[height .*{hint}.*read_image"):
        canvas.checked_image(image)


def test_pictures_are_taken_in_any_memory_layout_and_from_jax():
    image = picture()
    for same in (jnp.asarray(image), np.asfortranarray(image), np.repeat(image, 2, 1)[:, ::2]):
        np.testing.assert_array_equal(canvas.checked_image(same), image)
    grey = canvas.checked_image(image[:, ::-1, 0])
    np.testing.assert_array_equal(grey, image[:, ::-1, :1].repeat(3, axis=2))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.5], "one for each of 3"),
        ([0.5, 37, 0.1], "a score is 37.0; scores are in"),
        ([0.5, -0.1, 0.1], "a score is -0.1"),
        ([0.5, np.nan, 0.1], "a score is nan"),
    ],
)
def test_wrong_scores_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        canvas.proposed(picture(), BOXES, scores)


def test_a_box_off_the_image_is_refused():
    with pytest.raises(ValueError, match=r"boxes\[2\] = .*outside the image, which is 160 wide"):
        canvas.proposed(picture(), [*BOXES[:2], [170, 0, 190, 9]], None)


def test_the_picture_keeps_its_corner_and_black_fills_up():
    given, detections = canvas.padded(canvas.proposed(picture(300, 200), BOXES, None))
    assert given.shape == (384, 256, 3)
    np.testing.assert_array_equal(given[:300, :200], picture(300, 200))
    assert not given[300:].any() and not given[:, 200:].any()
    np.testing.assert_array_equal(detections.boxes_px[:3], BOXES)


def test_rows_that_fill_up_are_not_valid_and_have_an_area():
    """A crop of a box without area could not be undone."""
    five = canvas.proposed(picture(), np.tile(BOXES[:1], (5, 1)), np.full(5, 0.5))
    _, detections = canvas.padded(five)
    rows = canvas.shapes(five)[2]
    assert detections.valid.tolist() == [True] * 5 + [False] * (rows - 5) and rows > 5
    assert detections.score.tolist() == [0.5] * 5 + [0.0] * (rows - 5)
    size = detections.boxes_px[:, 2:] - detections.boxes_px[:, :2]
    assert (size > 0).all()


@pytest.mark.parametrize(
    ("length", "side"), [(1, 256), (256, 256), (257, 384), (4097, 6144), (9000, 16384)]
)
def test_canvas_sides_are_few(length, side):
    assert canvas.rounded_up(length, canvas.CANVAS_SIDES) == side


@pytest.mark.parametrize(("count", "room"), [(1, 1), (3, 3), (5, 6), (32, 32), (33, 64)])
def test_person_counts_are_few(count, room):
    assert canvas.rounded_up(count, canvas.PERSON_COUNTS) == room


def test_things_of_one_shape_go_together_in_lists_of_one_length():
    assert canvas.batches([]) == []
    assert canvas.batches([(1,), (2,), (1,)]) == [[0, 2], [1]]
    parts = canvas.batches([(1,)] * 17 + [(2,)])
    assert [len(part) for part in parts] == [6, 6, 6, 1]
    assert [number for part in parts[:3] for number in part] == [*range(17), 16]
    assert [len(part) for part in canvas.batches([(1,)] * 16)] == [8, 8]
