import numpy as np
import pytest

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data import dataset, images
from rmpe_jax.data import detector_batches as windows
from rmpe_jax.data.crop import Cropper
from rmpe_jax.geometry import affine

SIDE = 64
STILL = AugmentConfig(gain=0.0, contrast=0.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    config = DataConfig(prepared=str(tmp_path_factory.mktemp("prepared")), synthetic_train=5)
    return dataset.prepare(config, "train")


def make(source, augment=STILL, **change):
    settings = {"side": SIDE, "batch_size": 4, "seed": 0} | change
    return windows.detector_batches(source, DataConfig(), augment, **settings)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_has_the_shapes_and_types_of_the_record(source):
    batch = next(make(source))
    assert batch.window.shape == (4, SIDE, SIDE, 3) and batch.window.dtype == np.uint8
    assert batch.boxes_px.shape == (4, windows.MOST_PEOPLE, 4)
    assert batch.valid.any() and not (batch.crowd & ~batch.valid).any()


def test_batches_are_the_same_every_time_and_from_anywhere(source):
    first = make(source)
    wanted = [next(first) for _ in range(6)]
    again = make(source, start=3)
    assert again.state == 3
    for batch in wanted[3:]:
        same(next(again), batch)
    halves = [next(make(source, process_index=index, process_count=2)) for index in (0, 1)]
    same([np.concatenate(pair) for pair in zip(*halves, strict=True)], wanted[0])


def test_an_epoch_shows_each_photograph_once(source):
    batches = make(source, batch_size=5)
    for _ in range(2):
        assert sorted(next(batches).image_id) == sorted(p.image_id for p in source)


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_lie_where_the_pixels_are(flip):
    """A bright box in the photograph is bright in the window where the moved box says."""
    image = np.zeros((120, 200, 3), np.uint8)
    image[40:80, 60:130] = 255
    boxes_px = np.array([[60.0, 40.0, 130.0, 80.0]])
    window_px = np.array([20.0, -10.0, 170.0, 140.0])
    cut = Cropper(SIDE, SIDE)(image, affine.from_box(window_px, 120, 200, flip=flip))
    made, valid, crowd = windows.people_in_window(
        boxes_px, np.array([False]), window_px, 120, 200, SIDE, flip=flip
    )
    assert valid.sum() == 1 and not crowd.any()
    rows, columns = np.nonzero(cut[..., 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(made[0], found, atol=1.0)


def test_who_is_hardly_seen_or_tiny_is_nobodys_and_who_is_outside_is_not_there():
    boxes_px = np.array(
        [[10.0, 10, 60, 90], [95, 10, 195, 90], [150, 0, 190, 90], [5, 5, 6, 30], [0, 0, 90, 90]]
    )
    crowd = np.array([False, False, False, False, True])
    window_px = np.array([0.0, 0.0, 100.0, 100.0])
    made, valid, nobodys = windows.people_in_window(
        boxes_px, crowd, window_px, 200, 200, 100, flip=False
    )
    told = {
        tuple(box): flag for box, flag in zip(made[valid].tolist(), nobodys[valid], strict=True)
    }
    assert told == {
        (10, 10, 60, 90): False,
        (95, 10, 100, 90): True,
        (5, 5, 6, 30): True,
        (0, 0, 90, 90): True,
    }


def test_of_too_many_people_the_largest_are_taken():
    count = windows.MOST_PEOPLE + 5
    sides = np.arange(10, 10 + count, dtype=float)
    boxes_px = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    made, valid, _ = windows.people_in_window(
        boxes_px, np.zeros(count, bool), np.array([0.0, 0, 100, 100]), 100, 100, 100, flip=False
    )
    assert valid.all() and made[:, 2].min() == 15


def test_windows_are_of_many_sizes_and_always_show_some_of_the_photograph():
    generator = np.random.default_rng(0)
    drawn = [windows.draw_window(generator, 120, 200, 0.5) for _ in range(400)]
    boxes_px = np.array([window for window, _ in drawn])
    sides = boxes_px[:, 2] - boxes_px[:, 0]
    assert sides.min() < 90 and sides.max() > 270
    np.testing.assert_allclose(boxes_px[:, 3] - boxes_px[:, 1], sides)
    low, high = boxes_px[:, :2], boxes_px[:, 2:]
    shown = np.minimum(high, [200, 120]) - np.maximum(low, 0)
    assert (shown > 0.2 * np.minimum(sides[:, None], [200, 120])).all()
    assert 0.4 < np.mean([flip for _, flip in drawn]) < 0.6


def test_a_window_is_its_photograph_pulled(source):
    batch = next(make(source, batch_size=1))
    (photograph,) = [p for p in source if p.image_id == batch.image_id[0]]
    assert images.pixels(photograph).mean() > 0 and batch.window.mean() > 0
