import json

import cv2
import numpy as np
import pytest

from rmpe_jax.predict import PoseModel
from rmpe_jax.predict_files import predict_files
from tests.test_predict import model, picture  # noqa: F401  (the fixture)


def write(path, image) -> str:
    assert cv2.imwrite(str(path), image)
    return str(path)


def test_writes_coco_results_and_a_picture_an_image(model: PoseModel, tmp_path):  # noqa: F811
    first = write(tmp_path / "a.png", picture())
    second = write(tmp_path / "b.jpg", picture(seed=1))
    written = predict_files(model, [first, second], "10,10,70,110", tmp_path / "out")
    assert [path.name for path in written] == ["a_poses.png", "b_poses.png", "poses.json"]
    records = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert [record["image_id"] for record in records] == ["a.png", "b.jpg"]
    drawn = cv2.imread(str(written[0]))
    assert drawn.shape == (120, 160, 3)
    assert not np.array_equal(drawn, cv2.imread(first))


def test_without_boxes_the_whole_image_is_one_person(model, tmp_path):  # noqa: F811
    path = write(tmp_path / "a.png", picture())
    predict_files(model, [path], None, tmp_path)
    (record,) = json.loads((tmp_path / "poses.json").read_text())
    assert record["bbox"] == [0, 0, 160, 120]


@pytest.mark.parametrize("key", ["000000000007.png", 7])
def test_a_file_of_detections_is_found_by_name_or_number(model, tmp_path, key):  # noqa: F811
    path = write(tmp_path / "000000000007.png", picture())
    empty = write(tmp_path / "000000000008.png", picture())
    rows = [
        {"image_id": key, "category_id": 1, "bbox": [10, 10, 60, 100], "score": 0.5},
        {"image_id": key, "category_id": 1, "bbox": [60, 20, 90, 80], "score": 0.25},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    predict_files(model, [path, empty], str(tmp_path / "boxes.json"), tmp_path / "out")
    records = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert [record["box_score"] for record in records] == [0.5, 0.25]


def test_pose_nms_leaves_one_pose_of_two_boxes_of_one_person(model, tmp_path):  # noqa: F811
    path = write(tmp_path / "a.png", picture())
    box = {"image_id": "a.png", "category_id": 1, "bbox": [10, 10, 60, 100]}
    (tmp_path / "boxes.json").write_text(json.dumps([box | {"score": s} for s in (0.5, 0.25)]))
    predict_files(model, [path], str(tmp_path / "boxes.json"), tmp_path, nms="rmpe_mpii")
    (record,) = json.loads((tmp_path / "poses.json").read_text())
    assert record["box_score"] == 0.5


def test_an_unreadable_file_is_reported_and_skipped(model, tmp_path, capsys):  # noqa: F811
    good = write(tmp_path / "a.png", picture())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    written = predict_files(model, [str(bad), good], None, tmp_path / "out")
    assert len(written) == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "skipped" in said and "bad.jpg" in said and "1 files skipped" in said


def test_a_box_that_cannot_be_used_costs_its_image_only(model, tmp_path, capsys):  # noqa: F811
    first = write(tmp_path / "000000000007.png", picture())
    second = write(tmp_path / "000000000008.png", picture())
    rows = [
        {"image_id": 7, "category_id": 1, "bbox": [900, 10, 60, 100], "score": 0.5},
        {"image_id": 8, "category_id": 1, "bbox": [10, 10, 60, 100], "score": 0.5},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    predict_files(model, [first, second], str(tmp_path / "boxes.json"), tmp_path / "out")
    records = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert [record["image_id"] for record in records] == ["000000000008.png"]
    assert "skipped" in capsys.readouterr().out


def test_files_of_the_same_name_get_pictures_of_their_own(model, tmp_path):  # noqa: F811
    (tmp_path / "b").mkdir()
    paths = [write(tmp_path / "a.png", picture()), write(tmp_path / "b" / "a.png", picture())]
    written = predict_files(model, paths, None, tmp_path / "out")
    assert [path.name for path in written[:2]] == ["a_poses.png", "a_2_poses.png"]


def test_only_unreadable_files_are_an_error(model, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="none of the 1 files could be used"):
        predict_files(model, [str(tmp_path / "absent.jpg")], None, tmp_path / "out")


def test_boxes_that_are_neither_file_nor_box_are_refused(model, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match=r"allowed are a \.json file .* or one box"):
        predict_files(model, ["a.png"], "10,10,70", tmp_path)
