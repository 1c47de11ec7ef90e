import json

import numpy as np
import pytest

from rmpe_jax.evaluation import coco
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import COCO17


def photograph(image_id: int, people: int, seed: int = 0) -> Annotation:
    rng = np.random.default_rng([seed, image_id])
    joints = np.concatenate(
        [rng.uniform(10, 190, (people, 17, 2)), np.full((people, 17, 1), 2.0)], axis=2
    )
    low, high = joints[:, :, :2].min(1), joints[:, :, :2].max(1)
    persons = Persons(
        joints_px=joints,
        boxes_px=np.concatenate([low, high], axis=1).reshape(people, 4),
        area=np.prod(high - low, axis=1) * 0.5,
        is_crowd=np.zeros(people, bool),
        person_id=np.arange(people) + 100 * image_id + 1,
        head_size_px=np.full(people, np.nan),
        is_ignored=np.zeros(people, bool),
    )
    return Annotation(image_id, f"{image_id}.jpg", 200, 200, persons, {})


def perfect_records(photographs: list[Annotation]) -> list[dict]:
    return [
        {
            "image_id": shot.image_id,
            "category_id": 1,
            "keypoints": joints.reshape(-1).tolist(),
            "score": 0.9,
        }
        for shot in photographs
        for joints in shot.persons.joints_px
    ]


def test_perfect_poses_have_precision_one():
    photographs = [photograph(1, 2), photograph(2, 1)]
    truth = coco.ground_truth(photographs, COCO17)
    figures = coco.average_precision(truth, perfect_records(photographs), COCO17)
    assert tuple(figures) == coco.NAMES
    assert figures["AP"] == pytest.approx(1.0)
    assert figures["AR"] == pytest.approx(1.0)


def test_a_missed_person_costs_recall_even_on_an_image_without_results():
    photographs = [photograph(1, 1), photograph(2, 1)]
    truth = coco.ground_truth(photographs, COCO17)
    figures = coco.average_precision(truth, perfect_records(photographs[:1]), COCO17)
    assert figures["AR"] == pytest.approx(0.5)


def test_mirrored_poses_score_lower():
    photographs = [photograph(1, 2)]
    records = perfect_records(photographs)
    for record in records:
        joints = np.asarray(record["keypoints"]).reshape(17, 3)[list(COCO17.flip_order)]
        record["keypoints"] = joints.reshape(-1).tolist()
    truth = coco.ground_truth(photographs, COCO17)
    assert coco.average_precision(truth, records, COCO17)["AP"] < 0.2


def test_no_results_at_all_give_zero():
    truth = coco.ground_truth([photograph(1, 1)], COCO17)
    figures = coco.average_precision(truth, [], COCO17)
    assert figures["AP"] == figures["AR"] == figures["APl"] == 0.0
    assert figures["APm"] == -1.0, "nobody is of that size"


def test_images_without_people_are_allowed():
    truth = coco.ground_truth([photograph(1, 0), photograph(2, 1)], COCO17)
    assert len(truth["images"]) == 2
    figures = coco.average_precision(truth, perfect_records([photograph(2, 1)]), COCO17)
    assert figures["AP"] == pytest.approx(1.0)


def test_nobody_to_find_is_minus_one_and_not_zero():
    truth = coco.ground_truth([photograph(1, 0)], COCO17)
    assert set(coco.average_precision(truth, [], COCO17).values()) == {-1.0}
    assert coco.average_precision(truth, perfect_records([photograph(1, 1)]), COCO17)["AP"] == -1


def test_a_person_numbered_zero_is_counted_too():
    """COCO's matching takes an id of 0 for 'no match'."""
    shot = photograph(1, 1)
    shot = shot._replace(persons=shot.persons._replace(person_id=np.zeros(1, int)))
    truth = coco.ground_truth([shot], COCO17)
    figures = coco.average_precision(truth, perfect_records([shot]), COCO17)
    assert figures["AP"] == pytest.approx(1.0)


def test_the_records_are_not_changed_and_nothing_is_printed(capsys):
    photographs = [photograph(1, 1)]
    records = perfect_records(photographs)
    before = json.dumps(records)
    coco.average_precision(coco.ground_truth(photographs, COCO17), records, COCO17)
    assert json.dumps(records) == before
    assert capsys.readouterr().out == ""


def test_agrees_with_the_reference_figures(data_root):
    """Perturbed ground truth of 338 photographs, scored elsewhere by pycocotools 2.0.11."""
    golden = data_root / "golden"
    annotations = data_root / "coco_pose" / "annotations"
    expected = json.loads((golden / "coco_val338_metrics.json").read_text())["metrics"]
    records = json.loads((golden / "coco_val338_predictions.json").read_text())
    truth = json.loads((annotations / "person_keypoints_val_original_coords.json").read_text())
    figures = coco.average_precision(truth, records, COCO17)
    assert {name: round(value, 4) for name, value in figures.items()} == expected
