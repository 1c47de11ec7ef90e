import numpy as np
import pytest

from rmpe_jax.data import pairs
from rmpe_jax.records import Annotation, Detections, Persons

BOXES = np.array([(0, 0, 10, 20), (30, 0, 50, 20), (60, 60, 80, 100)], float)


def photograph(image_id=1, boxes_px=BOXES, crowd=(), unlabelled=()):
    count = len(boxes_px)
    joints_px = np.full((count, 17, 3), 2.0)
    joints_px[list(unlabelled), :, 2] = 0
    is_crowd = np.isin(np.arange(count), crowd)
    persons = Persons(
        joints_px=joints_px,
        boxes_px=boxes_px,
        area=np.ones(count),
        is_crowd=is_crowd,
        person_id=np.arange(count),
        head_size_px=np.full(count, np.nan),
        is_ignored=np.zeros(count, bool),
    )
    return Annotation(image_id, f"{image_id}.jpg", 200, 200, persons, {})


def detections(boxes_px, score=None):
    boxes_px = np.array(boxes_px, float).reshape(-1, 4)
    count = len(boxes_px)
    return Detections(
        boxes_px, np.ones(count) if score is None else np.array(score), np.ones(count, bool)
    )


def test_offsets_are_in_sides_of_the_annotated_box():
    moved = BOXES + np.array([(1, 2, -1, 4), (2, 0, -4, 0), (0, 0, 0, -8)])
    found = pairs.of_photographs([photograph()], {1: detections(moved[[2, 0, 1]])})
    assert found.person.tolist() == [0, 1, 2] and found.image.tolist() == [0, 0, 0]
    expected = [(0.1, 0.1, -0.1, 0.2), (0.1, 0, -0.2, 0), (0, 0, 0, -0.2)]
    np.testing.assert_allclose(found.offset, expected)


def test_the_best_pair_goes_first_and_nobody_has_two():
    two = np.array([(0, 0, 10, 10), (2, 0, 12, 10)], float)
    one = np.array([(2, 0, 12, 10)], float)
    assert pairs.match(two, one).tolist() == [-1, 0]
    assert pairs.match(one, two).tolist() == [1]
    assert pairs.match(one, np.zeros((0, 4))).tolist() == [-1]


def test_half_an_overlap_is_not_enough():
    annotated = np.array([(0, 0, 10, 10)], float)
    assert pairs.match(annotated, np.array([(0, 0, 10, 20)], float)).tolist() == [-1]
    assert pairs.match(annotated, np.array([(0, 0, 10, 19.9)], float)).tolist() == [0]


def test_crowds_people_without_joints_and_empty_boxes_make_no_pair():
    boxes_px = np.concatenate([BOXES, [(90, 90, 90, 120)]])
    entry = photograph(boxes_px=boxes_px, crowd=[0], unlabelled=[1])
    found = pairs.of_photographs([entry], {1: detections(BOXES)})
    assert found.person.tolist() == [2]


def test_a_person_without_joints_takes_the_detection():
    boxes_px = np.array([(0, 0, 10, 10), (0, 0, 10, 12)], float)
    entry = photograph(boxes_px=boxes_px, unlabelled=[1])
    found = {1: detections([(0, 0, 10, 12)]), 2: detections(BOXES)}
    kept = pairs.of_photographs([entry, photograph(2)], found)
    assert 0 not in kept.image


def test_detections_below_the_score_are_not_used():
    found = {1: detections(BOXES, [0.1, 0.5, 0.9])}
    kept = pairs.of_photographs([photograph()], found, least_score=0.5)
    assert kept.person.tolist() == [1, 2]


def test_detections_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"none of the 1 photographs has detections: .*\[7, 8\]"):
        pairs.of_photographs([photograph()], {7: detections(BOXES), 8: detections(BOXES)})


def test_detections_without_a_match_are_refused():
    with pytest.raises(ValueError, match="no detection has IoU above 0.5 .* over 1 photographs"):
        pairs.of_photographs([photograph()], {1: detections(BOXES + 500)})
