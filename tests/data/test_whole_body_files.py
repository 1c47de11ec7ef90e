import copy
import json

import numpy as np
import pytest

from rmpe_jax.data import coco, whole_body_files
from rmpe_jax.skeletons import COCO17
from rmpe_jax.whole_body import HALPE26, HALPE136, WHOLEBODY133

KEYS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


@pytest.fixture
def wholebody(data_root):
    return data_root / "mmpose_min/coco/test_coco_wholebody.json"


@pytest.fixture
def document(wholebody):
    return json.loads(wholebody.read_text())


def people(entries):
    return {
        int(number): entry.persons.joints_px[row]
        for entry in entries
        for row, number in enumerate(entry.persons.person_id)
    }


def changed(tmp_path, document, **change):
    document = copy.deepcopy(document)
    document["annotations"][0].update(change)
    (tmp_path / "a.json").write_text(json.dumps(document))
    return tmp_path / "a.json"


def test_parts_follow_one_another_on_real_data(wholebody, document):
    found = people(whole_body_files.index_wholebody(wholebody))
    assert len(found) == len(document["annotations"]) == 14
    for record in document["annotations"]:
        raw = np.concatenate([np.reshape(record[key], (-1, 3)) for key in KEYS])
        joints = found[record["id"]]
        assert joints.shape == (133, 3)
        np.testing.assert_array_equal(joints[:, :2], raw[:, :2])
        np.testing.assert_array_equal(joints[:, 2] > 0, raw[:, 2] > 0)
        whole = np.isin(raw[:, 2], (0, 1, 2))
        np.testing.assert_array_equal(joints[whole, 2], raw[whole, 2])
        assert (joints[~whole, 2] == 2).all()
    assert any(
        (np.reshape(r["righthand_kpts"], (-1, 3))[:, 2] % 1 > 0).any()
        for r in document["annotations"]
    )


def test_boxes_and_bodies_are_those_of_coco(wholebody):
    whole = whole_body_files.index_wholebody(wholebody)
    for entry, body in zip(whole, coco.index(wholebody), strict=True):
        np.testing.assert_array_equal(entry.persons.joints_px[:, :17], body.persons.joints_px)
        np.testing.assert_array_equal(entry.persons.boxes_px, body.persons.boxes_px)
        np.testing.assert_array_equal(entry.persons.area, body.persons.area)


def test_a_part_that_is_not_valid_is_not_labelled(tmp_path, document):
    hand = {"righthand_valid": False, "foot_valid": False}
    path = changed(tmp_path, document, **hand)
    joints = people(whole_body_files.index_wholebody(path))[document["annotations"][0]["id"]]
    assert (joints[-21:, 2] == 0).all() and (joints[17:23, 2] == 0).all()
    assert (joints[23:91, 2] == 1).all()


def test_broken_parts_are_named(tmp_path, document):
    index = whole_body_files.index_wholebody
    with pytest.raises(ValueError, match=r"annotation 0 \(id 442619\): foot_kpts: 3 values came"):
        index(changed(tmp_path, document, foot_kpts=[1, 2, 2]))
    with pytest.raises(ValueError, match="foot_kpts: visibility -1 came; 0 and numbers above"):
        index(changed(tmp_path, document, foot_kpts=[1, 2, -1] * 6))
    with pytest.raises(ValueError, match="annotation 0 .*keypoints: visibility of nose is 0.5"):
        index(changed(tmp_path, document, keypoints=[1, 2, 0.5] * 17))
    del document["annotations"][0]["face_kpts"]
    with pytest.raises(ValueError, match=r"annotation 0 \(id 442619\): no face_kpts; it has"):
        index(changed(tmp_path, document))


def test_halpe_is_read_as_136_or_26_on_real_data(data_root):
    path = data_root / "mmpose_min/halpe/test_halpe.json"
    raw = {record["id"]: record for record in json.loads(path.read_text())["annotations"]}
    large = people(whole_body_files.index_halpe(path))
    small = people(whole_body_files.index_halpe(path, HALPE26))
    assert set(large) == set(small) == set(raw) and len(raw) == 14
    for number, joints in large.items():
        np.testing.assert_array_equal(joints, np.reshape(raw[number]["keypoints"], (136, 3)))
        np.testing.assert_array_equal(small[number], joints[:26])


def test_halpe_agrees_with_whole_body_about_the_feet(data_root, wholebody):
    halpe = people(whole_body_files.index_halpe(data_root / "mmpose_min/halpe/test_halpe.json"))
    whole = people(whole_body_files.index_wholebody(wholebody))
    names = [name for name in HALPE26.joints if name.rpartition("_")[2] in ("toe", "heel", "ankle")]
    here = [HALPE136.joints.index(name) for name in names]
    there = [WHOLEBODY133.joints.index(name) for name in names]
    compared = 0
    for number in set(halpe) & set(whole):
        a, b = halpe[number][here], whole[number][there]
        both = (a[:, 2] > 0) & (b[:, 2] > 0)
        # Different people marked the two sets: near, and far less than one foot from the other.
        assert not both.any() or np.median(np.abs(a[both, :2] - b[both, :2])) < 15
        compared += both.sum()
    assert compared > 40


def test_another_skeleton_is_refused_for_halpe(data_root):
    with pytest.raises(ValueError, match="HALPE136 and HALPE26; COCO17 came"):
        whole_body_files.index_halpe(data_root / "mmpose_min/halpe/test_halpe.json", COCO17)
