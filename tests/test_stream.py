import gc
import threading
import weakref
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax import canvas, sources
from rmpe_jax.chain import poses_on_canvas
from rmpe_jax.frames import Frame
from rmpe_jax.pipeline import ROOM
from rmpe_jax.pose_nms import RMPE_MPII, NmsSet
from rmpe_jax.records import Detections, Poses
from rmpe_jax.stream import stream
from tests import videos
from tests.test_predict import model, picture  # noqa: F401  (the fixture)

BOX = [10.0, 10, 90, 110]


def fake(image: np.ndarray, boxes, scores=None) -> Poses:
    """Return poses whose joints lie in the middle of the boxes."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    joints = np.repeat((boxes[:, None, :2] + boxes[:, None, 2:]) / 2, 17, axis=1)
    ones = np.ones((count, 17), np.float32)
    score = np.asarray(np.ones(count) if scores is None else scores, np.float32)
    return Poses(joints, ones, ones, boxes, score, score, np.ones(count, bool))


def detections(boxes, scores=None) -> Detections:
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    scores = np.ones(len(boxes)) if scores is None else np.asarray(scores, float)
    return Detections(boxes, scores, np.ones(len(boxes), bool))


def one(frame: Frame) -> Detections:
    return detections([[frame.number, 1, frame.number + 9, 11]])


def frames(count: int, broken: tuple[int, ...] = ()):
    for number in range(count):
        image = None if number in broken else np.zeros((20, 30, 3), np.uint8)
        yield Frame(f"{number}", number, image, "no picture" if number in broken else None)


def test_one_result_a_frame_in_order_also_of_broken_and_empty_ones():
    def detect(frame: Frame) -> Detections:
        return detections([]) if frame.number == 2 else one(frame)

    results = list(stream(fake, frames(12, (5,)), detect))
    assert [result.number for result in results] == list(range(12))
    assert [len(result.poses.valid) for result in results] == [1, 1, 0, 1, 1, 0, *[1] * 6]
    assert [result.problem for result in results] == [None] * 5 + ["no picture"] + [None] * 6
    assert results[7].poses.joints_px[0, 0].tolist() == [11.5, 6]
    assert results[5].image is None and results[5].poses.joints_px.shape == (0, 17, 2)


def test_boxes_that_cannot_be_used_cost_their_frame_only():
    def detect(frame: Frame) -> Detections:
        return detections([[500, 500, 600, 600]]) if frame.number == 1 else one(frame)

    results = list(stream(fake, frames(3), detect))
    assert [len(result.poses.valid) for result in results] == [1, 0, 1]
    assert "1: boxes[0] = (500, 500, 600, 600): it lies" in (results[1].problem or "")


def test_scores_that_cannot_be_used_cost_their_frame_only():
    def detect(frame: Frame) -> Detections:
        return detections([BOX], [7.0]) if frame.number == 1 else one(frame)

    results = list(stream(fake, frames(3), detect))
    assert [len(result.poses.valid) for result in results] == [1, 0, 1]
    assert "1: a score is 7.0; scores are in [0, 1]" in (results[1].problem or "")


def test_of_many_people_the_best_are_kept_in_their_order():
    boxes = [[i, 0, i + 5, 9] for i in range(200)]
    scores = np.random.default_rng(0).permutation(200) / 200
    picture = np.zeros((20, 300, 3), np.uint8)
    found = detections(boxes, scores)
    (result,) = stream(fake, [Frame("a", 0, picture, None)], lambda frame: found, most=100)
    assert result.left_out == 100 and len(result.poses.valid) == 100
    assert (result.poses.box_score >= np.float32(0.5)).all()
    assert (np.diff(result.poses.boxes_px[:, 0]) > 0).all()
    with pytest.raises(ValueError, match="--most .* is 0; at least 1"):
        stream(fake, [], one, most=0)


def test_rows_that_are_not_valid_are_no_people():
    found = detections([[0, 0, 5, 5], [0, 0, 9, 9]])._replace(valid=np.asarray([False, True]))
    (result,) = stream(fake, frames(1), lambda frame: found)
    assert result.poses.boxes_px.tolist() == [[0, 0, 9, 9]] and result.left_out == 0


def test_what_detect_raises_ends_the_stream_after_what_was_before():
    before = set(threading.enumerate())

    def detect(frame: Frame) -> Detections:
        if frame.number == 3:
            raise RuntimeError("no detector")
        return one(frame)

    seen = []
    with pytest.raises(RuntimeError, match="no detector"):
        for result in stream(fake, frames(10**9), detect):
            seen.append(result.number)
    assert seen == [0, 1, 2]
    assert set(threading.enumerate()) <= before


def test_few_images_are_alive_however_long_the_source():
    alive, most = set(), 0

    def counted():
        nonlocal most
        for frame in frames(300):
            weakref.finalize(frame.image, alive.discard, frame.number)
            alive.add(frame.number)
            most = max(most, len(alive))
            yield frame
            del frame

    for result in stream(fake, counted(), one):
        del result
    gc.collect()
    assert not alive
    assert most <= 3 * (ROOM + 1) + 3  # loops of the generators here hold one each


def test_a_consumer_who_stops_leaves_no_thread():
    before = set(threading.enumerate())
    through = stream(fake, frames(10**9), one)
    assert next(through).number == 0
    through.close()
    assert set(threading.enumerate()) <= before


def test_the_model_streams_what_it_finds_in_single_images(model, tmp_path):  # noqa: F811
    images = [picture(seed=seed) for seed in range(3)]
    results = list(model.stream(images))
    for image, result in zip(images, results, strict=True):
        expected = model(image, [[0, 0, 160, 120]])
        np.testing.assert_allclose(result.poses.joints_px, expected.joints_px, atol=1e-3)
        np.testing.assert_array_equal(result.image, image)


def test_the_models_own_detector_and_nms_are_the_default(model):  # noqa: F811
    own = replace(model, detect=lambda frame: detections([BOX, BOX]), nms=RMPE_MPII)
    (result,) = own.stream(picture())
    assert result.poses.boxes_px.tolist() == [BOX]
    other = NmsSet(RMPE_MPII.parameters._replace(eta=1e6), RMPE_MPII.options)
    (result,) = own.stream(picture(), nms=other)
    assert len(result.poses.valid) == 2
    (result,) = own.stream(picture(), one)
    assert result.poses.boxes_px.tolist() == [[0, 1, 9, 11]]


def test_what_is_no_image_costs_its_frame_only(model):  # noqa: F811
    given = [picture(), np.zeros((9, 9, 3)), picture()[:, ::-1], None, picture()[..., 0]]
    results = list(model.stream([*given, jnp.asarray(picture())]))
    assert [len(result.poses.valid) for result in results] == [1, 0, 1, 0, 1, 1]
    assert "000001: the image has shape (9, 9, 3)" in (results[1].problem or "")
    assert "000003: " in (results[3].problem or "")
    (single,) = model.stream(jnp.asarray(picture()))
    np.testing.assert_array_equal(single.poses.joints_px, results[0].poses.joints_px)


def test_real_frames_of_a_video_come_one_by_one(model, tmp_path, data_root):  # noqa: F811
    path = videos.write(
        tmp_path / "bonn.mp4", videos.pictures(data_root / "bonn_video/images", 180, 320)[:8]
    )
    results = list(model.stream(path, one))
    assert [result.number for result in results] == list(range(8))
    assert all(len(result.poses.valid) == 1 and result.problem is None for result in results)


def test_thirty_sizes_compile_few_programs(model):  # noqa: F811
    """At most one for each size of canvas and each count of people, padded."""
    random = np.random.default_rng(0)
    shapes = [(int(h), int(w)) for h, w in random.integers(40, (257, 380), (30, 2))]
    counts = [5, 1, 6] * 10

    def detect(frame: Frame) -> Detections:
        return detections([[5, 5, 30, 30]] * counts[frame.number])

    def padded(shape: tuple[int, int], count: int) -> tuple[int, ...]:
        image = np.zeros((*shape, 3), np.uint8)
        return canvas.shapes(canvas.proposed(image, [[5, 5, 30, 30]] * count, None))

    due = {padded(*given) for given in zip(shapes, counts, strict=True)}
    assert len(due) == 4 and len(set(shapes)) == 30
    through = replace(model, nms=RMPE_MPII)
    before = poses_on_canvas._cache_size()
    results = list(through.stream([picture(*shape) for shape in shapes], detect))
    assert [len(result.poses.valid) for result in results] == [1] * 30
    assert poses_on_canvas._cache_size() - before <= len(due)
    compiled = poses_on_canvas._cache_size()
    list(through.stream([picture(*shape, seed=1) for shape in shapes], detect))
    assert poses_on_canvas._cache_size() == compiled


def test_a_source_that_is_none_is_an_error(model, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="no pictures"):
        list(model.stream(tmp_path))
    assert list(sources.of([])) == []
