import copy
import json

import numpy as np
import pytest

from rmpe_jax.data import coco
from rmpe_jax.skeletons import COCO17, CROWDPOSE14, MPII16

JOINTS = [v for joint in range(17) for v in (10 + joint, 20 + joint, joint % 3)]
DOCUMENT = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 60, "width": 80},
        {"id": 3, "file_name": "b.jpg", "height": 50, "width": 40},
    ],
    "annotations": [
        {
            "id": 21,
            "image_id": 3,
            "category_id": 1,
            "bbox": [1, 2, 30.5, 40],
            "area": 700.25,
            "iscrowd": 0,
            "keypoints": JOINTS,
        },
        {
            "id": 22,
            "image_id": 3,
            "category_id": 1,
            "bbox": [0, 0, 40, 50],
            "area": 1000,
            "iscrowd": 1,
            "keypoints": [0] * 51,
        },
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
}


@pytest.fixture
def document():
    return copy.deepcopy(DOCUMENT)


def index(tmp_path, document, skeleton=COCO17):
    path = tmp_path / "people.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return coco.index(path, skeleton)


def test_images_keep_their_order_and_all_their_people(tmp_path, document):
    empty, full = index(tmp_path, document)
    assert (empty.image_id, empty.file_name, empty.height, empty.width) == (7, "a.jpg", 60, 80)
    assert empty.persons.joints_px.shape == (0, 17, 3) and empty.persons.boxes_px.shape == (0, 4)
    people = full.persons
    np.testing.assert_array_equal(people.joints_px[0], np.reshape(JOINTS, (17, 3)))
    np.testing.assert_array_equal(people.boxes_px, [[1, 2, 31.5, 42], [0, 0, 40, 50]])
    np.testing.assert_array_equal(people.area, [700.25, 1000])
    np.testing.assert_array_equal(people.is_crowd, [False, True])
    np.testing.assert_array_equal(people.person_id, [21, 22])


def test_other_categories_are_left_out(tmp_path, document):
    document["categories"].append({"id": 5, "name": "dog"})
    document["annotations"][1]["category_id"] = 5
    assert index(tmp_path, document)[1].persons.person_id.tolist() == [21]


def test_every_image_record_is_kept_on_real_data(data_root):
    path = data_root / "coco_pose/annotations/person_keypoints_val.json"
    document = json.loads(path.read_text())
    entries = coco.index(path)
    assert [entry.image_id for entry in entries] == [image["id"] for image in document["images"]]
    people = {record["id"]: record for record in document["annotations"]}
    for entry in entries:
        for row, person_id in enumerate(entry.persons.person_id):
            record = people.pop(int(person_id))
            assert record["image_id"] == entry.image_id
            assert entry.persons.joints_px[row].ravel().tolist() == record["keypoints"]
            corner, size = entry.persons.boxes_px[row].reshape(2, 2)
            np.testing.assert_allclose([*corner, *(size - corner)], record["bbox"], atol=1e-9)
    assert not people


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("annotations"), r"people\.json: no list 'annotations'; .*'categories'"),
        (lambda d: d["images"][1].pop("width"), r"image 1 \(id 3\): no width; it has"),
        (lambda d: d["images"][1].update(id=7), "image 7: two records have this id"),
        (lambda d: d["images"][0].update(height=0), "image 7: height 0 and width 80 came"),
        (lambda d: d["annotations"][0].pop("bbox"), r"annotation 0 \(id 21\): no bbox"),
        (lambda d: d["annotations"][0].pop("id"), "annotation 0: no id"),
        (lambda d: d["annotations"][0].update(image_id=9), "annotation 21: image_id 9 is not am"),
        (lambda d: d["annotations"][0].update(image_id="3"), "annotation 0: image_id is '3', a wh"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), "21: bbox: 3 values came, a list"),
        (lambda d: d["annotations"][0].update(bbox=None), "annotation 21: bbox: None came"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, -3, 4]), "21: bbox .* is inverted"),
        (lambda d: d["annotations"][0].update(area=float("nan")), "21: area: value 0 is nan"),
        (lambda d: d["annotations"][0].update(area=-5), "21: area is -5; square pixels, 0 or more"),
        (lambda d: d["images"][0].update(file_name=5), "image 7: file_name is 5, a text is expec"),
        (
            lambda d: d["annotations"][0].update(keypoints=JOINTS[:-1]),
            "annotation 21: keypoints: 50 values came, a list of 51",
        ),
        (
            lambda d: d["annotations"][0].update(keypoints=[float("inf"), *JOINTS[1:]]),
            "annotation 21: keypoints: value 0 is inf",
        ),
        (
            lambda d: d["annotations"][0].update(keypoints=[*JOINTS[:-1], 3]),
            "annotation 21: keypoints: visibility of right_ankle is 3; 0 .* are allowed",
        ),
        (
            lambda d: d["annotations"][0].update(keypoints=[1, 2, 1] * 16),
            "48 values came, a list of 51 numbers, .* is expected; 16 joints have MPII16",
        ),
        (
            lambda d: d["annotations"][0].update(keypoints=[*JOINTS[:-1], 0.5]),
            "visibility of right_ankle is 0.5; 0 .* are allowed",
        ),
        (lambda d: d["annotations"][0].update(keypoints="none"), "keypoints: 'none' came, a list"),
        (lambda d: d["annotations"][0].update(iscrowd=2), "21: iscrowd is 2; 0, 1, true and fal"),
        (lambda d: d["annotations"][0].update(iscrowd="no"), "21: iscrowd is 'no'; 0, 1"),
        (lambda d: d["annotations"][1].update(id=21), "annotation 21: two records have this id"),
        (lambda d: d["images"][0].update(crowdIndex="x"), "image 7: crowdIndex: value 0 is 'x'"),
        (lambda d: d["categories"][0].pop("id"), "category 0: no id; it has"),
        (
            lambda d: d["categories"][0].update(keypoints=["nose"]),
            r"no category has the joints of COCO17, .* it has \{'person': \['nose'\]\}",
        ),
    ],
)
def test_a_broken_record_is_named(tmp_path, document, change, message):
    change(document)
    with pytest.raises(ValueError, match=message):
        index(tmp_path, document)


def test_fields_that_releases_leave_out_have_their_plain_value(tmp_path, document):
    first, second = document["annotations"]
    for key in ("area", "iscrowd"):
        del first[key]
    del second["keypoints"]
    second["iscrowd"] = True
    people = index(tmp_path, document)[1].persons
    np.testing.assert_allclose(people.area, [0.53 * 30.5 * 40, 1000])
    assert people.is_crowd.tolist() == [False, True]
    assert not people.joints_px[1].any() and people.joints_px[0].any()


def test_an_empty_list_of_keypoints_is_a_person_without_joints(tmp_path, document):
    document["annotations"][0]["keypoints"] = []
    assert not index(tmp_path, document)[1].persons.joints_px.any()


def test_other_keys_and_large_ids_are_no_matter(tmp_path, document):
    document["images"][1].update(id=10**13, vid_id="a")
    for record in document["annotations"]:
        record.update(image_id=10**13, keypoints_21=[1, 2])
    document["annotations"][0]["keypoints"] = [float(value) for value in JOINTS]
    full = index(tmp_path, document)[1]
    assert full.image_id == 10**13
    np.testing.assert_array_equal(full.persons.joints_px[0], np.reshape(JOINTS, (17, 3)))


def test_a_category_without_names_serves_an_explicit_skeleton(tmp_path, document):
    document["categories"] = [{"id": 1, "name": "person", "keypoints": [], "skeleton": []}]
    assert index(tmp_path, document)[1].persons.person_id.tolist() == [21, 22]
    document["categories"] = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
    assert index(tmp_path, document)[1].persons.person_id.tolist() == [21, 22]
    document["categories"] = [{"id": 1, "name": "mouse", "keypoints": []}]
    with pytest.raises(ValueError, match="no category has the joints of COCO17"):
        index(tmp_path, document)


def test_names_may_be_spelt_otherwise(tmp_path, document):
    document["categories"][0]["keypoints"] = [n.replace("_", " ").title() for n in COCO17.joints]
    assert len(index(tmp_path, document)[1].persons.person_id) == 2


def test_every_area_follows_from_the_box_when_asked(tmp_path, document):
    path = tmp_path / "people.json"
    path.write_text(json.dumps(document))
    people = coco.index(path, area="box")[1].persons
    np.testing.assert_allclose(people.area, [0.53 * 30.5 * 40, 0.53 * 40 * 50])


def test_the_real_crowdpose_validation_set_is_read_whole(data_root):
    path = data_root / "crowdpose_val_ann/crowdpose-api/annotations/crowdpose_val.json"
    document = json.loads(path.read_text())
    entries = coco.index(path, CROWDPOSE14, area="box")
    assert len(entries) == 2000 and sum(len(e.persons.person_id) for e in entries) == 8527
    for entry, image in zip(entries, document["images"], strict=True):
        assert entry.facts == {"crowd_index": image["crowdIndex"]}
    records = {record["id"]: record for record in document["annotations"]}
    for entry in entries:
        for row, number in enumerate(entry.persons.person_id):
            record = records.pop(int(number))
            assert entry.persons.joints_px[row].ravel().tolist() == record["keypoints"]
            assert entry.persons.is_crowd[row] == record["iscrowd"]
            width, height = record["bbox"][2:]
            assert entry.persons.area[row] == pytest.approx(0.53 * width * height)
    assert not records


def test_real_files_are_read_with_their_own_joints(data_root):
    path = data_root / "mmpose_min/aic/test_aic.json"
    document = json.loads(path.read_text())
    entries = coco.index(path, None)
    people = {
        int(i): p
        for e in entries
        for i, p in zip(e.persons.person_id, e.persons.joints_px, strict=True)
    }
    assert len(people) == 9
    for record in document["annotations"]:
        assert people[record["id"]].ravel().tolist() == record["keypoints"]
    ochuman = coco.index(data_root / "mmpose_min/ochuman/test_ochuman.json")
    assert [len(entry.persons.person_id) for entry in ochuman] == [1, 2, 2]


def test_a_file_of_no_or_two_kinds_of_joints_has_no_skeleton_of_its_own(tmp_path, document):
    document["categories"].append({"id": 2, "name": "dog", "keypoints": ["nose"]})
    with pytest.raises(ValueError, match="2 of its 2 categories name keypoints, where one does"):
        index(tmp_path, document, None)
    document["categories"] = [{"id": 1, "name": "person"}]
    with pytest.raises(ValueError, match="0 of its 1 categories name keypoints"):
        index(tmp_path, document, None)


def test_people_of_whom_the_file_counts_no_joints_are_ignored(tmp_path, document):
    first, crowd = document["annotations"]
    document["annotations"] = [
        first | {"id": 1, "num_keypoints": 0},
        first | {"id": 2, "num_keypoints": 11},
        first | {"id": 3},
        crowd | {"id": 4, "num_keypoints": 0},
    ]
    persons = index(tmp_path, document)[1].persons
    assert persons.is_ignored.tolist() == [True, False, False, False]
    assert persons.to_find.tolist() == [False, True, True, False]


def test_a_file_has_the_skeleton_of_its_category(tmp_path, document):
    index(tmp_path, document)
    path = tmp_path / "people.json"
    assert coco.own_skeleton(coco.read_sections(path), path) == (COCO17, [])
    document["categories"][0]["keypoints"] = [f"point {n}" for n in range(17)]
    index(tmp_path, document, None)
    skeleton, notes = coco.own_skeleton(coco.read_sections(path), path)
    assert skeleton.joints[16] == "point_16" and "no skeleton" in notes[1]


def test_another_skeleton_is_refused(tmp_path, document):
    with pytest.raises(ValueError, match="no category has the joints of MPII16"):
        index(tmp_path, document, MPII16)


def test_text_that_is_no_json_is_refused_with_its_place(tmp_path):
    with pytest.raises(ValueError, match=r"people\.json: not valid JSON at line 2, column 12 "):
        index(tmp_path, '{"images": [],\n "people": nobody}')
    with pytest.raises(ValueError, match="a COCO keypoint file is an object .* this is list"):
        index(tmp_path, "[]")


def test_a_cut_off_file_is_refused(tmp_path):
    text = json.dumps(DOCUMENT)
    with pytest.raises(ValueError, match="not valid JSON at line 1, .* is it cut off"):
        index(tmp_path, text[: len(text) // 2])


def test_binary_and_missing_files_are_refused(tmp_path):
    (tmp_path / "people.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"people\.json: byte 7 is no UTF-8 text"):
        coco.index(tmp_path / "people.json")
    with pytest.raises(ValueError, match=r"none\.json: no such file"):
        coco.index(tmp_path / "none.json")
