import json

import numpy as np
import pytest

from rmpe_jax.data import detection_files


def read(tmp_path, rows):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(rows))
    return detection_files.read(path)


def row(**change):
    return {"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} | change


def test_detections_become_corners_by_image(tmp_path):
    rows = [row(), row(image_id=6, score=0.25), row(bbox=[0.5, 1, 2, 2]), row(category_id=18)]
    found = read(tmp_path, rows)
    assert list(found) == [5, 6]
    np.testing.assert_array_equal(found[5].boxes_px, [[1, 2, 4, 6], [0.5, 1, 2.5, 3]])
    np.testing.assert_array_equal(found[6].score, [0.25])
    assert found[5].valid.tolist() == [True, True]
    assert read(tmp_path, []) == {}


def test_images_without_a_number_are_named_by_their_file(tmp_path):
    unnumbered = {"category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "image": "b.jpg"}
    found = read(tmp_path, [row(image_id="a.jpg"), unnumbered])
    assert list(found) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, r"boxes\.json: a dict came where COCO results are a list"),
        ([row(), {}], "row 1: no category_id, bbox, score; it has"),
        ([row(), 5], "row 1: a int came, an object is expected"),
        ([row(), row(bbox=[1, 2, 0, 4])], r"row 1: bbox \[1, 2, 0, 4\] is empty or inverted"),
        ([row(bbox=[1, 2, -3, 4])], "row 0: bbox .* is empty or inverted"),
        ([row(bbox=[1, 2, float("nan"), 4])], "row 0: bbox: value 2 is nan"),
        ([row(bbox=[1, 2, 3])], "row 0: bbox: 3 values came"),
        ([row(score=float("inf"))], "row 0: score: value 0 is inf"),
        ([row(score="high")], "row 0: score: value 0 is 'high'"),
        ([row(image_id=2.5)], "row 0: image_id is 2.5; a whole number or a file name is exp"),
        ([{k: v for k, v in row().items() if k != "image_id"}], "row 0: image_id is None"),
    ],
)
def test_a_broken_detection_is_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, rows)


def test_real_detections_are_read_whole(data_root):
    path = data_root / "detections/nanodet_plus_m15x_coco_val.json"
    rows = json.loads(path.read_text())
    found = detection_files.read(path)
    assert sum(len(boxes.score) for boxes in found.values()) == len(rows)
    for image_id in (rows[0]["image_id"], rows[-1]["image_id"]):
        wanted = [r["score"] for r in rows if r["image_id"] == image_id]
        assert found[image_id].score.tolist() == wanted
