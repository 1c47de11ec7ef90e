import numpy as np
import pytest

from rmpe_jax.evaluation import breakdown, coco
from rmpe_jax.evaluation.found import Found, from_records
from rmpe_jax.skeletons import COCO17
from tests.evaluation import cases


def entry(image_id, people, *, visibility=2.0):
    """Return a photograph with people side by side, each 100 wide and 300 high."""
    generator = np.random.default_rng(image_id)
    (made,) = cases.photographs(generator, 1, most=0)
    low = np.array([[150.0 * person, 50.0] for person in range(people)]).reshape(people, 2)
    share = generator.uniform(0.1, 0.9, (17, 2))
    joints = np.zeros((people, 17, 3))
    joints[..., :2] = low[:, None] + share * [100, 300]
    joints[..., 2] = visibility
    persons = made.persons._replace(
        joints_px=joints,
        boxes_px=np.concatenate([low, low + [100, 300]], axis=1),
        area=np.full(people, 20000.0),
        is_crowd=np.zeros(people, bool),
        person_id=np.arange(people) + 1,
        head_size_px=np.full(people, 30.0),
        is_ignored=np.zeros(people, bool),
    )
    return made._replace(image_id=image_id, width=2000, persons=persons)


def perfect(entries):
    """Return the annotated poses, in the annotated boxes."""
    rows = [(row, p) for row, e in enumerate(entries) for p in range(len(e.persons.area))]
    joints = np.array([entries[row].persons.joints_px[p] for row, p in rows]).reshape(-1, 17, 3)
    return Found(
        image=np.array([row for row, _ in rows]),
        joints_px=joints[..., :2].copy(),
        joint_score=np.ones((len(rows), 17)),
        score=np.linspace(1, 0.5, len(rows)),
        person_id=np.array([entries[row].persons.person_id[p] for row, p in rows]),
        boxes_px=np.array([entries[row].persons.boxes_px[p] for row, p in rows]).reshape(-1, 4),
    )


def test_perfect_poses_are_perfect_in_every_part():
    entries = [entry(number, people) for number, people in ((1, 1), (2, 2), (3, 4), (4, 12))]
    parts = breakdown.breakdown(entries, perfect(entries), COCO17)
    people = {name: of["people"] for name, of in parts["people"].items()}
    assert people == {"1": 1, "2": 2, "3-5": 4, "10+": 12}
    assert [of["AP"] for of in parts["people"].values()] == pytest.approx([1.0] * 4)
    assert parts["box_iou"] == {"0.9+": {"AP": pytest.approx(1.0), "people": 19}}
    assert "visible" not in parts, "nobody has a hidden joint"


def test_a_part_is_what_pycocotools_says_of_these_photographs_alone():
    generator = np.random.default_rng(0)
    entries = cases.photographs(generator, 30, most=8)
    found = cases.found(generator, entries, spread=5.0)
    parts = breakdown.breakdown(entries, found, COCO17)["people"]
    counts = [int(e.persons.to_find.sum()) for e in entries]
    assert 0 in counts
    for name, (low, high) in {"1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6-9": (6, 9)}.items():
        rows = [row for row, count in enumerate(counts) if low <= count <= high]
        if not rows:
            assert name not in parts
            continue
        mine = np.isin(found.image, rows)
        alone = Found(*(field[mine] for field in found))
        chosen = [entries[row] for row in rows]
        alone = alone._replace(image=np.searchsorted(rows, alone.image))
        truth = coco.ground_truth(chosen, COCO17)
        wanted = coco.average_precision(truth, cases.records(chosen, alone), COCO17)["AP"]
        assert parts[name]["AP"] == pytest.approx(wanted, abs=1e-12)
        assert parts[name]["people"] == sum(counts[row] for row in rows)


def test_people_are_parted_by_the_best_box_and_false_poses_go_with_their_person():
    """One person has a good box and pose, the other a bad one; a third pose is nobody's."""
    one = entry(1, 2)
    poses = perfect([one])
    poses.boxes_px[1] += [60, 0, 60, 0]  # IoU 0.25
    poses.joints_px[1] += 40  # too far, yet over the second person
    parts = breakdown.breakdown([one], poses, COCO17)["box_iou"]
    assert parts == {
        "below 0.5": {"AP": 0.0, "people": 1},
        "0.9+": {"AP": pytest.approx(1.0), "people": 1},
    }
    far = Found(*(np.concatenate([field, field[:1]]) for field in poses))
    far.joints_px[2] += 5000
    far.score[2] = 2.0
    worse = breakdown.breakdown([one], far, COCO17)["box_iou"]
    assert worse["0.9+"]["AP"] == pytest.approx(0.5), "what overlaps nobody counts everywhere"


def test_parts_by_visibility():
    hidden = np.where(np.arange(17) < 12, 1.0, 2.0)
    entries = [entry(1, 1), entry(2, 1, visibility=hidden), entry(3, 1, visibility=hidden[::-1])]
    parts = breakdown.breakdown(entries, perfect(entries), COCO17)["visible"]
    assert {name: of["people"] for name, of in parts.items()} == {"below half": 2, "all": 1}


def test_boxes_that_are_not_told_give_no_parts_by_box():
    found = perfect([entry(1, 2)])._replace(boxes_px=np.full((2, 4), np.nan))
    assert set(breakdown.breakdown([entry(1, 2)], found, COCO17)) == {"people"}


def test_part_of_takes_the_lowest_value_with_it():
    values = np.array([-1.0, 0.49, 0.5, 0.7, 0.95])
    assert breakdown.part_of(values, breakdown.IOU).tolist() == [0, 0, 1, 2, 3]


def test_the_worst_photographs_come_first_and_of_equals_the_fullest():
    entries = [entry(1, 1), entry(2, 3), entry(3, 1), entry(4, 0), entry(5, 2)]
    found = perfect(entries)
    found.joints_px[found.image == 0] += 500
    found.joints_px[found.image == 1] += 500
    worst = breakdown.worst(entries, found, COCO17)
    assert worst[:2] == [(1, 0.0), (0, 0.0)]
    assert [row for row, _ in worst] == [1, 0, 4, 2]
    assert worst[2][1] == pytest.approx(1.0)
    assert len(breakdown.worst(entries, found, COCO17, count=3)) == 3


def test_the_ap_of_a_photograph_is_its_own():
    generator = np.random.default_rng(2)
    entries = cases.photographs(generator, 12)
    found = cases.found(generator, entries, spread=7.0)
    for row, value in breakdown.worst(entries, found, COCO17, count=12):
        mine = found.image == row
        alone = Found(*(field[mine] for field in found))._replace(image=np.zeros(mine.sum(), int))
        truth = coco.ground_truth([entries[row]], COCO17)
        records = cases.records([entries[row]], alone)
        wanted = coco.average_precision(truth, records, COCO17)["AP"]
        assert value == pytest.approx(wanted, abs=1e-12)


def test_nothing_found():
    entries = [entry(1, 2)]
    nothing = from_records([], entries, COCO17)
    parts = breakdown.breakdown(entries, nothing, COCO17)
    assert parts == {"people": {"2": {"AP": 0.0, "people": 2}}}
    assert breakdown.worst(entries, nothing, COCO17) == [(0, 0.0)]


def test_false_poses_on_photographs_without_people_are_in_no_part():
    entries = [entry(1, 1), entry(2, 0)]
    one = perfect(entries[:1])
    both = Found(*(np.concatenate([field, field]) for field in one))
    both = both._replace(image=np.array([0, 1]), score=np.array([0.5, 0.9]))
    parts = breakdown.breakdown(entries, both, COCO17)
    assert parts["people"] == {"1": {"AP": pytest.approx(1.0), "people": 1}}
    assert parts["box_iou"]["0.9+"]["AP"] == pytest.approx(0.5), "there it overlaps nobody"
