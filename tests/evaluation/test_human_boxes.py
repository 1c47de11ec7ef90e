import numpy as np
import pytest

from rmpe_jax.evaluation import human_boxes
from rmpe_jax.records import Detections
from rmpe_jax.skeletons import COCO17
from tests.evaluation import cases


def perfect(entries):
    found = []
    for entry in entries:
        people = entry.persons.boxes_px[~entry.persons.is_crowd]
        count = len(people)
        detections = Detections(people, np.linspace(0.9, 0.5, count), np.ones(count, bool))
        found += human_boxes.records(detections, entry.image_id)
    return found


@pytest.fixture
def entries():
    return cases.photographs(np.random.default_rng(0), 8)


def test_the_annotated_boxes_are_perfect(entries):
    for entry in entries:
        entry.persons.is_ignored[:] = False
    figures = human_boxes.average_precision(entries, COCO17, perfect(entries))
    for name in ("AP", "AP50", "AR100", "recall50"):
        assert figures[name] == pytest.approx(1.0)


def test_half_of_the_people_is_half_of_the_recall(entries):
    found = perfect(entries)
    figures = human_boxes.average_precision(entries, COCO17, found[::2])
    assert figures["recall50"] == pytest.approx(len(found[::2]) / len(found))


def test_nothing_found_is_zero(entries):
    figures = human_boxes.average_precision(entries, COCO17, [])
    assert figures["AP"] == figures["recall50"] == 0.0


def test_padding_is_no_record():
    detections = Detections(np.ones((2, 4)), np.ones(2), np.array([True, False]))
    assert len(human_boxes.records(detections, 1)) == 1
