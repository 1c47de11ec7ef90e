import json

import numpy as np
import pytest

from rmpe_jax import detection, hog, onnx_detector
from rmpe_jax.frames import Frame
from rmpe_jax.records import Detections


def frame(name: str, number: int = 0) -> Frame:
    return Frame(name, number, np.zeros((30, 40, 3), np.uint8), None)


def test_the_whole_picture_is_one_persons_box():
    found = detection.chosen(None)(frame("a.png"))
    assert found.boxes_px.tolist() == [[0, 0, 40, 30]]
    assert found.score.tolist() == [1] and found.valid.all()


def test_a_frame_without_an_image_has_no_size():
    with pytest.raises(ValueError, match="a.png has no image"):
        detection.whole_image(frame("a.png")._replace(image=None))


def test_one_box_is_that_of_every_frame():
    detect = detection.chosen("-5,1,20,30")
    assert detect(frame("a.png")).boxes_px.tolist() == [[-5, 1, 20, 30]]


@pytest.mark.parametrize("boxes", ["1,2,3", "a.txt", "1,2,3,x"])
def test_anything_else_is_refused_with_what_is_allowed(boxes):
    with pytest.raises(ValueError, match=r"allowed are a \.json file .* or one box"):
        detection.chosen(boxes)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a.png", "a.png"),
        ("a.png", "/x/a.png"),
        ("/x/a.png", "/x/a.png"),
        (7, "000007.jpg"),
        (7, "/x/7.jpg"),
        (7, "my.clip_000007"),
        ("a.png", "/x/a.png#2"),
        (7, "7.png#3"),
    ],
)
def test_a_file_names_an_image_by_name_path_or_number(tmp_path, key, name):
    row = {"image_id": key, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "boxes.json").write_text(json.dumps([row]))
    detect = detection.chosen(str(tmp_path / "boxes.json"))
    assert detect(frame(name)).boxes_px.tolist() == [[1, 2, 4, 6]]
    for other in ("b.png", "8.jpg", "clip7.jpg", "clip_000008"):
        assert len(detect(frame(other)).boxes_px) == 0


def test_boxes_of_a_lower_score_are_left_out(tmp_path):
    row = {"image_id": "a.jpg", "category_id": 1, "bbox": [1, 2, 3, 4]}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([row | {"score": score} for score in (0.9, 0.5, 0.1)]))
    frame = Frame("a.jpg", 0, np.zeros((9, 9, 3), np.uint8), None)
    for threshold, count in ((None, 3), (0.5, 2), (0.95, 0)):
        assert len(detection.chosen(str(path), threshold=threshold)(frame).score) == count


def test_the_word_hog_is_opencvs_detector(monkeypatch, tmp_path):
    boxes = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    found = Detections(boxes, np.array([0.9, 0.1]), np.ones(2, bool))
    monkeypatch.setattr(hog, "find", lambda image: found)
    detect = detection.chosen("hog")
    assert detect(frame("a.png")).boxes_px.tolist() == [[1, 2, 3, 4]]  # above what is sure
    detect = detection.chosen("hog", threshold=0.0)
    assert len(detect(frame("a.png")).score) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hog").mkdir()
    assert detection.detector("hog") is hog.find
    with pytest.raises(ValueError, match="holds no checkpoint"):
        detection.detector("./hog")


def test_an_onnx_file_is_read_with_the_layout_that_is_typed(monkeypatch):
    asked = []
    monkeypatch.setattr(onnx_detector, "load", lambda *given: asked.append(given) or hog.find)
    detection.detector("a/x.ONNX", onnx_layout="detr")
    detection.chosen("x.onnx", onnx_layout="yolox")
    assert asked == [("a/x.ONNX", "detr"), ("x.onnx", "yolox")]
    monkeypatch.undo()
    with pytest.raises(ValueError, match="no.onnx: no such file"):
        detection.chosen("no.onnx")


@pytest.mark.parametrize("name", ["x.json", "Hog", "x.pth", ""])
def test_what_is_no_detector_is_refused(name):
    with pytest.raises(ValueError, match=r"is no detector; allowed are the work .* \.onnx .* hog"):
        detection.detector(name)
