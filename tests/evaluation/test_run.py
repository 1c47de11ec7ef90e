import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from rmpe_jax.config import EvaluationConfig
from rmpe_jax.data.dataset import prepare
from rmpe_jax.evaluation import report, run
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Detections, Persons, Photograph
from rmpe_jax.skeletons import COCO17
from tests import small


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """An untrained network and three drawn photographs."""
    config = small.config(tmp_path_factory.mktemp("run"))
    module = build(config.model, 17)
    variables = initialise(jax.random.key(0), module, config.model)
    return PoseModel(variables, module, config, COCO17, {"step": 7}), prepare(
        config.data, "validation"
    )


def test_every_annotated_person_gets_a_pose(case):
    model, source = case
    result, records, _ = run.evaluate(model, source)
    people = sum(
        int((shot.persons.joints_px[:, :, 2] > 0).any(1).sum()) for shot in source.annotations()
    )
    assert result["poses"] == len(records) == people
    assert {record["image_id"] for record in records} <= {
        shot.image_id for shot in source.annotations()
    }
    assert result["step"] == 7
    assert result["images"] == 3


def test_a_detectors_boxes_are_used_with_their_scores_and_threshold(case, tmp_path):
    model, source = case
    image_id = source.annotations()[0].image_id
    rows = [
        {"image_id": image_id, "category_id": 1, "bbox": [5, 5, 40, 60], "score": score}
        for score in (0.9, 0.3)
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(rows))
    settings = replace(model.config.evaluation, boxes=str(path), box_threshold=0.5)
    model = replace(model, config=replace(model.config, evaluation=settings))
    result, records, _ = run.evaluate(model, source)
    assert [record["box_score"] for record in records] == [pytest.approx(0.9)]
    assert result["boxes"] == str(path)
    assert result["box_threshold"] == 0.5


def test_people_without_labels_and_crowds_get_no_box():
    joints = np.zeros((3, 17, 3))
    joints[0, 0, 2] = joints[2, 0, 2] = 1
    persons = Persons(
        joints_px=joints,
        boxes_px=np.arange(12.0).reshape(3, 4),
        area=np.ones(3),
        is_crowd=np.asarray([False, False, True]),
        person_id=np.arange(3) + 1,
        head_size_px=np.full(3, np.nan),
        is_ignored=np.zeros(3, bool),
    )
    photograph = Photograph(1, "1.jpg", b"", 9, 9, persons, {})
    np.testing.assert_array_equal(
        run.proposed(photograph, None, EvaluationConfig()).boxes_px, [[0, 1, 2, 3]]
    )


def test_padding_rows_of_detections_are_never_used(case):
    photograph, settings = case[1][0], EvaluationConfig(box_threshold=0.5)
    detections = Detections(np.zeros((2, 4)), np.ones(2), np.asarray([True, False]))
    for key in (photograph.image_id, photograph.file_name):
        assert len(run.proposed(photograph, {key: detections}, settings).score) == 1
    assert len(run.proposed(photograph, {"other.jpg": detections}, settings).score) == 0


def test_boxes_without_area_or_off_the_image_are_left_out():
    boxes = np.asarray(
        [[0.0, 0, 5, 5], [3, 3, 3, 9], [20, 0, 30, 5], [-4, -4, 1, 1], [-9, 0, 0, 5]]
    )
    found = run.on_image(Detections(boxes, np.arange(5.0), np.ones(5, bool)), 10, 10)
    np.testing.assert_array_equal(found.score, [0, 3])


def test_a_box_off_the_image_is_counted_and_does_not_end_the_evaluation(case, tmp_path):
    model, source = case
    image_id = source.annotations()[0].image_id
    row = {"image_id": image_id, "category_id": 1, "score": 0.5}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([row | {"bbox": [5, 5, 40, 60]}, row | {"bbox": [5000, 5, 40, 60]}]))
    settings = replace(model.config.evaluation, boxes=str(path))
    result, records, _ = run.evaluate(
        replace(model, config=replace(model.config, evaluation=settings)), source
    )
    assert (len(records), result["boxes_left_out"]) == (1, 1)
    assert "1 boxes off the image left out" in report.table(result)


def test_boxes_of_other_images_are_refused(case, tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text('[{"image_id": 987, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    with pytest.raises(ValueError, match=r"none of the 1 images .* it names \[987\], here are"):
        run.read_proposals(EvaluationConfig(boxes=str(path)), case[1])


def test_the_table_says_what_the_figures_depend_on(case):
    result, *_ = run.evaluate(*case)
    text = report.table(result)
    for word in ("annotated", "flip: True", "decode: taylor", "nms: none", "AP75"):
        assert word in text


def test_jittered_boxes_are_moved_and_the_same_every_time(case):
    photograph = case[1][0]
    still, moved, again = (
        run.proposed(photograph, None, EvaluationConfig(jitter=jitter)).boxes_px
        for jitter in (0.0, 1.0, 1.0)
    )
    np.testing.assert_array_equal(moved, again)
    sides = np.tile(still[:, 2:] - still[:, :2], 2)
    offsets = np.abs(moved - still) / sides
    assert (offsets > 0).all() and offsets.max() < 0.5


def test_a_table_says_how_boxes_were_jittered(case):
    model, source = case
    settings = replace(model.config.evaluation, jitter=0.5)
    result, *_ = run.evaluate(
        replace(model, config=replace(model.config, evaluation=settings)), source
    )
    assert result["jitter"] == 0.5
    assert "boxes: annotated jittered by 0.5, flip" in report.table(result)


def test_pose_nms_keeps_one_of_the_poses_of_one_box(case, tmp_path):
    model, source = case
    image_id = source.annotations()[0].image_id
    box = {"image_id": image_id, "category_id": 1, "bbox": [5, 5, 40, 60]}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([box | {"score": score} for score in (0.9, 0.8, 0.3)]))

    def found(nms):
        settings = replace(model.config.evaluation, boxes=str(path), nms=nms)
        changed = replace(model, config=replace(model.config, evaluation=settings))
        return run.evaluate(changed, source)

    assert len(found("none")[1]) == 3
    result, records, _ = found("rmpe_mpii")
    assert [record["box_score"] for record in records] == [pytest.approx(0.9)]
    assert result["nms"] == "rmpe_mpii"
