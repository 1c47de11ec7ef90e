import copy
import json
import math

import cv2
import numpy as np
import pytest

from rmpe_jax.data import posetrack

VIDEO = "000012_some_train"
DOCUMENT = {
    "images": [
        {
            "id": 10000120000 + n,
            "frame_id": 10000120000 + n,
            "vid_id": "000012",
            "file_name": f"images/train/{VIDEO}/{n:06d}.jpg",
            "is_labeled": n < 2,
            "nframes": 3,
            "width": 320,
            "height": 240,
            "ignore_regions_x": [[1, 2, 3], [4, 5, 6, 7]],
            "ignore_regions_y": [[8, 9, 10], [11, 12, 13, 14]],
        }
        for n in range(3)
    ],
    "annotations": [
        {
            "id": 7,
            "image_id": 10000120001,
            "category_id": 1,
            "track_id": 0,
            "bbox": [10, 20, 30, 40],
            "bbox_head": [10, 20, 3, 4],
            "keypoints": [30, 40, 1] * 3 + [0, 0, 0] * 14,
        }
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": []}],
}


@pytest.fixture
def document():
    return copy.deepcopy(DOCUMENT)


def index(tmp_path, document):
    (tmp_path / "video.json").write_text(json.dumps(document))
    return posetrack.index(tmp_path / "video.json")[0]


def test_labelled_frames_keep_their_people_and_facts(tmp_path, document):
    empty, full = index(tmp_path, document)
    assert [empty.image_id, full.image_id] == [10000120000, 10000120001]
    assert empty.persons.joints_px.shape == (0, 17, 3)
    assert full.facts == {
        "video": VIDEO,
        "frame": 1,
        "ignore_px": [[[1, 8], [2, 9], [3, 10]], [[4, 11], [5, 12], [6, 13], [7, 14]]],
    }
    people = full.persons
    np.testing.assert_array_equal(people.joints_px[0, :4], [[30, 40, 2]] * 3 + [[0, 0, 0]])
    np.testing.assert_allclose(people.head_size_px, [3])
    np.testing.assert_allclose(people.area, [0.53 * 30 * 40])
    np.testing.assert_array_equal(people.boxes_px, [[10, 20, 40, 60]])


def test_people_without_a_box_or_joints_are_kept(tmp_path, document):
    (person,) = document["annotations"]
    del person["bbox"]
    person["keypoints"][3:6] = [50, 60, 1]
    np.testing.assert_allclose(index(tmp_path, document)[1].persons.boxes_px, [[28, 38, 52, 62]])
    person["keypoints"] = []
    people = index(tmp_path, document)[1].persons
    np.testing.assert_allclose(people.boxes_px, [[10, 20, 13, 24]])
    assert not people.joints_px.any()
    del person["bbox_head"]
    with pytest.raises(ValueError, match="annotation 7: no bbox, no labelled joint and no bbox_h"):
        index(tmp_path, document)


def test_a_person_without_a_head_has_no_head_size(tmp_path, document):
    del document["annotations"][0]["bbox_head"]
    assert np.isnan(index(tmp_path, document)[1].persons.head_size_px).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["images"][1].pop("id"), r"video\.json: image 1: no id; it has"),
        (lambda d: d["annotations"].append(5), "annotation 1: a int came, an object"),
        (lambda d: d["annotations"][0].update(bbox_head=[1, 2]), "7: bbox_head: 2 values came"),
        (lambda d: d["annotations"][0].update(keypoints=[1] * 45), "annotation 7: keypoints: 45"),
        (
            lambda d: d["images"][0].update(ignore_regions_x=[[1, 2]]),
            r"image 10000120000: ignore_regions_x .* of \[2\] and \[3, 4\] corners; they must",
        ),
    ],
)
def test_a_broken_record_is_named(tmp_path, document, change, message):
    change(document)
    with pytest.raises(ValueError, match=message):
        index(tmp_path, document)


def test_a_folder_of_videos_is_one_set(tmp_path, document):
    with pytest.raises(ValueError, match=r"no \.json file in this folder; one a video"):
        posetrack.index(tmp_path)
    index(tmp_path, document)
    (tmp_path / "again.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="image 10000120000 is in two of its 2 files"):
        posetrack.index(tmp_path)


def test_the_real_videos_agree_with_their_records(data_root):
    root = data_root / "mmpose_min/posetrack18"
    entries, left_out = posetrack.index(root / "annotations/val")
    assert left_out == 0
    assert [e.facts["video"] for e in entries] == [
        f"{n}_mpii_test" for n in ("003418", "009473", "012834")
    ]
    assert [len(e.persons.area) for e in entries] == [1, 2, 11]
    one_file, _ = posetrack.index(root / "annotations/test_posetrack18_val.json")
    assert {e.image_id for e in one_file} == {e.image_id for e in entries}
    for entry in entries:
        path = root / "annotations/val" / f"{entry.facts['video']}.json"
        records = json.loads(path.read_text())["annotations"]
        height, width, _ = cv2.imread(str(root / entry.file_name)).shape
        assert (height, width) == (entry.height, entry.width)
        for row, record in enumerate(records):
            joints = entry.persons.joints_px[row]
            raw = np.reshape(record["keypoints"], (17, 3))
            np.testing.assert_array_equal(joints[:, :2], raw[:, :2])
            np.testing.assert_array_equal(joints[:, 2], 2 * raw[:, 2])
            seen = joints[joints[:, 2] > 0]
            assert (seen[:, :2] >= -50).all() and (seen[:, :2] <= [width, height]).all()
            wide, high = record["bbox_head"][2:]
            assert entry.persons.head_size_px[row] == pytest.approx(0.6 * math.hypot(wide, high))
        assert not entry.persons.joints_px[:, 3:5].any()


def frame(**change):
    point = {"id": [12], "x": [5.5], "y": [6], "is_visible": [0]}
    rectangle = {"x1": [1], "y1": [2], "x2": [4], "y2": [6], "annopoints": [{"point": [point]}]}
    region = {"point": [{"x": [1], "y": [2]}, {"x": [3], "y": [4]}]}
    return {
        "image": [{"name": "images/a_video/00012.jpg"}],
        "annorect": [rectangle],
        "ignore_regions": [region],
    } | change


def annolist(tmp_path, *frames):
    (tmp_path / "a.json").write_text(json.dumps({"annolist": frames}))
    return posetrack.index_annolist(tmp_path / "a.json")


def test_an_annolist_is_read_point_by_point(tmp_path):
    (entry,) = annolist(tmp_path, frame())
    assert entry.image_id == 12 and (entry.height, entry.width) == (0, 0)
    assert entry.facts == {"video": "a_video", "frame": 12, "ignore_px": [[[1, 2], [3, 4]]]}
    joints = entry.persons.joints_px[0]
    np.testing.assert_array_equal(joints[12], [5.5, 6, 1])
    assert np.count_nonzero(joints[:, 2]) == 1
    np.testing.assert_allclose(entry.persons.head_size_px, [3])


def test_an_annolist_without_people_or_points_is_read(tmp_path):
    bare = {"x1": [1], "y1": [2], "x2": [4], "y2": [6], "annopoints": []}
    empty, other = annolist(
        tmp_path, frame(annorect=[]), frame(image=[{"name": "2.jpg"}], annorect=[bare])
    )
    assert empty.persons.joints_px.shape == (0, 15, 3)
    np.testing.assert_array_equal(other.persons.boxes_px, [[1, 2, 4, 6]])
    assert not other.persons.joints_px.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": []}, r"frame 0: image is \[\]; \[{\"name\": file}\] is expected"),
        ({"annorect": [{"x1": [1]}]}, r"annorect 0: no y1; it has \['x1'\]"),
        ({"annorect": [{"x1": ["a"]}]}, "annorect 0: x1: value 0 is 'a'"),
        (
            {"annorect": [{"annopoints": [{"point": [{"id": [15], "x": [1], "y": [1]}]}]}]},
            "annorect 0: a point has id 15; 0 to 14 are allowed",
        ),
    ],
)
def test_a_broken_annolist_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        annolist(tmp_path, frame(**change))


def test_the_real_video_has_four_people_in_each_frame(data_root):
    folder = data_root / "bonn_video"
    entries = posetrack.index_annolist(folder / "060470979_posetrack17.json")
    assert [entry.image_id for entry in entries] == list(range(1, 42))
    assert {len(entry.persons.area) for entry in entries} == {4}
    assert sum((e.persons.joints_px[..., 2] > 0).sum() for e in entries) == 2296
    assert [e.facts["frame"] for e in entries] == list(range(1, 42))
    np.testing.assert_array_equal(entries[0].persons.joints_px[0, 0], [229.29, 291.89, 2])
    assert not any(e.persons.joints_px[:, 13].any() for e in entries)  # no nose in this set
    for entry in entries:
        height, width, _ = cv2.imread(str(folder / "images" / entry.file_name)).shape
        seen = entry.persons.joints_px[entry.persons.joints_px[..., 2] > 0][:, :2]
        assert (seen >= 0).all() and (seen <= [width, height]).all()
        assert (entry.persons.head_size_px > 5).all()


def test_frames_that_are_not_labelled_are_counted_and_strange_people_refused(tmp_path):
    document = copy.deepcopy(DOCUMENT)
    (tmp_path / "video.json").write_text(json.dumps(document))
    entries, left_out = posetrack.index(tmp_path / "video.json")
    unlabelled = [image for image in document["images"] if not image.get("is_labeled", True)]
    assert left_out == len(unlabelled) == 1
    assert len(entries) == len(document["images"]) - 1
    document["annotations"][0]["image_id"] = 99  # no image at all
    with pytest.raises(ValueError, match="image_id 99 is not among the file's images"):
        index(tmp_path, document)
