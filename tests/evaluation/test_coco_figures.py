"""COCO's figures of whole arrays against pycocotools, and of parts against physical repetition."""

import json

import numpy as np
import pytest

from rmpe_jax.data import coco as coco_files
from rmpe_jax.evaluation import coco, coco_figures, oks
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found, from_records
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Persons
from rmpe_jax.skeletons import COCO17, CROWDPOSE14
from tests import references_multi_person as plain
from tests.evaluation import cases


def reference(entries, found):
    truth = coco.ground_truth(entries, COCO17)
    return coco.average_precision(truth, cases.records(entries, found), COCO17)


@pytest.mark.parametrize("seed", range(6))
def test_the_ten_numbers_are_pycocotools(seed):
    generator = np.random.default_rng(seed)
    entries = cases.photographs(generator, 25, most=8)
    found = cases.found(generator, entries, spread=6.0)
    ours = coco_figures.table(coco_figures.judge(entries, found, COCO17))
    theirs = reference(entries, found)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_the_golden_predictions_score_as_the_reference_did(data_root):
    folder = data_root / "coco_pose/annotations"
    entries = coco_files.index(folder / "person_keypoints_val_original_coords.json")
    entries.sort(key=lambda entry: entry.image_id)
    records = json.loads((data_root / "golden/coco_val338_predictions.json").read_text())
    wanted = json.loads((data_root / "golden/coco_val338_metrics.json").read_text())["metrics"]
    found = from_records(records, entries, COCO17)
    ours = coco_figures.table(coco_figures.judge(entries, found, COCO17))
    assert {name: round(value, 4) for name, value in ours.items()} == wanted
    theirs = coco.average_precision(coco.ground_truth(entries, COCO17), records, COCO17)
    assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_matches_are_those_of_a_plain_rederivation(seed):
    generator = np.random.default_rng(seed)
    entries = cases.photographs(generator, 12, most=6)
    for entry in entries:
        entry.persons.is_ignored[:] = (
            False  # a flag of the file's, of which section 1 knows nothing
        )
    found = cases.found(generator, entries, spread=8.0)
    judged = coco_figures.judge(entries, found, COCO17).ranking
    for judge, (low, high) in enumerate(oks.RANGES.values()):
        for at, threshold in enumerate(oks.THRESHOLDS):
            row = judge * len(oks.THRESHOLDS) + at
            for image, entry in enumerate(entries):
                truth, poses = plain_image(entry, found, image)
                wanted = plain.oks_match(truth, poses, COCO17.sigmas, threshold, (low, high))
                mine = judged.image == image
                came = [
                    "true" if true else "false" if false else "ignored"
                    for true, false in zip(
                        judged.true[row, mine], judged.false[row, mine], strict=True
                    )
                ]
                assert came == wanted


def plain_image(entry, found, image):
    persons = entry.persons
    truth = [
        {
            "joints": [(x, y) if v > 0 else None for x, y, v in persons.joints_px[row]],
            "area": persons.area[row],
            "bbox": tuple(boxes.to_xywh(persons.boxes_px[row])),
            "iscrowd": bool(persons.is_crowd[row]),
        }
        for row in range(len(persons.area))
    ]
    poses = [
        {"joints": [tuple(p) for p in found.joints_px[row]], "score": found.score[row]}
        for row in np.flatnonzero(found.image == image)
    ]
    return truth, poses


def test_equal_similarities_go_to_the_last_person_as_in_pycocotools():
    entries = cases.photographs(np.random.default_rng(3), 6, most=3)
    twice = [
        entry._replace(persons=Persons(*(np.repeat(f, 2, axis=0) for f in entry.persons)))
        for entry in entries
    ]
    found = cases.found(np.random.default_rng(4), twice, spread=3.0)
    ours = coco_figures.table(coco_figures.judge(twice, found, COCO17))
    assert ours == pytest.approx(reference(twice, found), abs=1e-12)


def test_only_the_twenty_best_poses_of_a_photograph_count():
    generator = np.random.default_rng(5)
    entries = cases.photographs(generator, 2, most=4)
    one = cases.found(generator, entries, spread=2.0)
    many = Found(*(np.repeat(field, 15, axis=0) for field in one))
    many = many._replace(score=generator.permutation(len(many.score)) / len(many.score))
    assert np.bincount(many.image).max() > oks.MOST
    ours = coco_figures.table(coco_figures.judge(entries, many, COCO17))
    assert ours == pytest.approx(reference(entries, many), abs=1e-12)
    persons, image = everyone(entries, COCO17)
    assert oks.meeting(persons, image, 2, many, COCO17.sigmas).pose.shape[1] == oks.MOST


def test_nothing_found_and_nobody_to_find():
    entries = cases.photographs(np.random.default_rng(6), 3, most=4)
    nothing = from_records([], entries, COCO17)
    ours = coco_figures.table(coco_figures.judge(entries, nothing, COCO17))
    assert ours == reference(entries, nothing) and ours["AP"] == 0.0
    nobody = cases.photographs(np.random.default_rng(6), 3, most=0)
    empty = coco_figures.table(coco_figures.judge(nobody, nothing, COCO17))
    assert empty == reference(nobody, nothing) and set(empty.values()) == {-1.0}


def test_weights_are_photographs_repeated():
    generator = np.random.default_rng(7)
    entries = cases.photographs(generator, 9)
    found = cases.found(generator, entries, spread=6.0)
    weights = np.array([0, 1, 2, 0, 3, 1, 1, 0, 2])
    rows = np.repeat(np.arange(9), weights)
    repeated = [entries[row]._replace(image_id=at + 1) for at, row in enumerate(rows)]
    places = [np.flatnonzero(found.image == row) for row in rows]
    chosen = np.concatenate(places)
    image = np.repeat(np.arange(len(rows)), [len(place) for place in places])
    physical = Found(*(field[chosen] for field in found))._replace(image=image)
    wanted = reference(repeated, physical)
    ours = coco_figures.table(coco_figures.judge(entries, found, COCO17), weights)
    assert ours == pytest.approx(wanted, abs=1e-12)


def test_crowdposes_levels_are_those_photographs_alone():
    generator = np.random.default_rng(8)
    entries = cases.photographs(generator, 30)
    index = [0.0, 0.1999, 0.2, 0.5, 0.7999, 0.8, 1.0]
    entries = [
        entry._replace(facts={"crowd_index": index[row % len(index)]})
        for row, entry in enumerate(entries)
    ]
    found = cases.found(generator, entries, spread=6.0)
    table = coco_figures.crowd_table(coco_figures.judge(entries, found, COCO17))
    assert list(table) == "AP AP50 AP75 AR AR50 AR75 APeasy APmedium APhard".split()
    for name, members in {"APeasy": (0, 1), "APmedium": (2, 3, 4), "APhard": (5, 6)}.items():
        rows = [row for row in range(30) if row % len(index) in members]
        mine = np.isin(found.image, rows)
        image = np.searchsorted(rows, found.image[mine])
        alone = Found(*(field[mine] for field in found))._replace(image=image)
        wanted = reference([entries[row] for row in rows], alone)["AP"]
        assert table[name] == pytest.approx(wanted, abs=1e-12)


def test_photographs_that_do_not_say_how_crowded_they_are_have_no_level():
    entries = [e._replace(facts={}) for e in cases.photographs(np.random.default_rng(9), 3)]
    found = from_records([], entries, COCO17)
    assert coco_figures.judge(entries, found, COCO17).level.tolist() == [-1, -1, -1]


def test_crowdposes_figures_on_its_own_annotations_are_those_of_the_reference(data_root):
    """The area of everybody is 0.53 of the box; levels by crowdIndex."""
    folder = data_root / "crowdpose_val_ann/crowdpose-api/annotations"
    entries = coco_files.index(folder / "crowdpose_val.json", CROWDPOSE14, area="box")[:250]
    entries.sort(key=lambda entry: entry.image_id)
    generator = np.random.default_rng(0)
    found = cases.found(generator, entries, spread=9.0)
    table = coco_figures.crowd_table(coco_figures.judge(entries, found, CROWDPOSE14))
    raw = json.loads((folder / "crowdpose_val.json").read_text())
    index = {image["id"]: image["crowdIndex"] for image in raw["images"]}
    chosen = {entry.image_id for entry in entries}
    truth = {
        "images": [image for image in raw["images"] if image["id"] in chosen],
        "categories": raw["categories"],
        "annotations": [
            person | {"area": 0.53 * person["bbox"][2] * person["bbox"][3]}
            for person in raw["annotations"]
            if person["image_id"] in chosen
        ],
    }
    records = cases.records(entries, found)

    def precision(low, high):
        images = [image for image in truth["images"] if low <= index[image["id"]] < high]
        ids = {image["id"] for image in images}
        people = [person for person in truth["annotations"] if person["image_id"] in ids]
        part = truth | {"images": images, "annotations": people}
        mine = [record for record in records if record["image_id"] in ids]
        return coco.average_precision(part, mine, CROWDPOSE14)["AP"]

    assert table["AP"] == pytest.approx(precision(-1, 2), abs=1e-12)
    assert table["APeasy"] == pytest.approx(precision(-1, 0.2), abs=1e-12)
    assert table["APmedium"] == pytest.approx(precision(0.2, 0.8), abs=1e-12)
    assert table["APhard"] == pytest.approx(precision(0.8, 2), abs=1e-12)
    assert len({round(table[name], 6) for name in coco_figures.LEVELS}) == 3
