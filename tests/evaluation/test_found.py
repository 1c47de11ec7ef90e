import numpy as np
import pytest

from rmpe_jax.evaluation.found import from_records, numbered
from rmpe_jax.skeletons import COCO17, MPII16
from tests.evaluation import cases


@pytest.fixture
def entries():
    return cases.photographs(np.random.default_rng(0), 4)


def record(**change):
    keypoints = [float(n) for n in range(51)]
    return {"image_id": 2, "category_id": 1, "keypoints": keypoints, "score": 0.5} | change


def test_records_come_back_as_the_arrays_they_were_made_of(entries):
    poses = cases.found(np.random.default_rng(1), entries, spread=4.0)
    again = from_records(cases.records(entries, poses), entries, COCO17)
    for field, came, wanted in zip(poses._fields, again, poses, strict=True):
        np.testing.assert_allclose(came, wanted, atol=1e-12, err_msg=field)


def test_no_poses_are_arrays_without_rows(entries):
    found = from_records([], entries, COCO17)
    assert found.joints_px.shape == (0, 17, 2) and found.boxes_px.shape == (0, 4)


def test_what_a_record_does_not_tell_is_marked(entries):
    assert from_records([record(person_id=None)], entries, COCO17).person_id.tolist() == [-1]
    found = from_records([record()], entries, COCO17)
    assert found.person_id.tolist() == [-1] and np.isnan(found.boxes_px).all()
    assert found.image.tolist() == [1]


def test_a_file_name_stands_for_the_id_of_the_one_photograph_that_has_it(entries):
    names = ["x/a.jpg", "x/b.jpg", "y/b.jpg", "c.jpg"]
    entries = [entry._replace(file_name=name) for entry, name in zip(entries, names, strict=True)]
    came = ["a.jpg", "b.jpg", "c.jpg", 2, "absent.jpg", [1]]
    kept = numbered([*({"image_id": name} for name in came), "no record"], entries)
    ids = [entry.image_id for entry in entries]
    wanted = [ids[0], "b.jpg", ids[3], 2, "absent.jpg", [1]]
    assert kept == [*({"image_id": name} for name in wanted), "no record"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_id": 9},
            "pose 0: image_id 9 is none of the 4 photographs' of this set; are",
        ),
        ({"keypoints": [0.0] * 50}, r"50 numbers came \(no multiple of 3\); COCO17 has 17 joints"),
        ({"keypoints": [0.0] * 48}, r"48 numbers came \(16 joints\); COCO17 has 17"),
        ({"keypoints": None}, "pose 0: keypoints: None came, a list of numbers"),
        ({"image_id": [1]}, r"pose 0: image_id \[1\] is none of"),
        ({"keypoints": ["a"] * 51}, "pose 0: keypoints: value 0 is 'a', finite"),
        ({"keypoints": [[0.0] * 3] * 17}, "pose 0: keypoints: value 0 is .*, finite"),
        ({"score": "0.5"}, "pose 0: score: value 0 is '0.5', finite"),
        ({"bbox": [1, 2]}, "pose 0: bbox: 2 values came, a list of 4"),
        ({"person_id": 1.7}, "pose 0: person_id is 1.7, which nobody on image 2 has; allowed are"),
        ({"person_id": 4711}, "pose 0: person_id is 4711, which nobody on image 2 has"),
        ({"score": float("nan")}, "pose 0: score: value 0 is nan, finite"),
        ({"keypoints": [float("inf")] * 51}, "pose 0: keypoints: value 0 is inf, finite"),
    ],
)
def test_what_cannot_be_scored_is_named(entries, change, message):
    with pytest.raises(ValueError, match=message):
        from_records([record(**change)], entries, COCO17)


def test_a_row_that_is_no_result_is_named(entries):
    with pytest.raises(ValueError, match=r"pose 1: no keypoints, score; COCO results have .*this"):
        from_records([record(), {"image_id": 2}], entries, COCO17)
    with pytest.raises(ValueError, match="pose 0: no image_id, keypoints, score; .*this has list"):
        from_records([[1, 2]], entries, COCO17)


def test_poses_of_another_skeleton_are_refused(entries):
    with pytest.raises(ValueError, match=r"51 numbers came \(17 joints\); MPII16 has 16 joints"):
        from_records([record()], entries, MPII16)


def test_poses_of_other_images_are_told_and_left_out(entries):
    told = []
    found = from_records([record(image_id=9), record()], entries, COCO17, on_skip=told.append)
    assert found.image.tolist() == [1]
    assert told == ["pose 0: image_id 9 is none of the 4 photographs' of this set"]
