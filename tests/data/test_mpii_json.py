import copy
import json

import cv2
import numpy as np
import pytest

from rmpe_jax.data import mpii_json
from rmpe_jax.skeletons import MPII16

PERSON = {
    "image": "000000012.jpg",
    "joints": [[11 + n, 21 + 2 * n] for n in range(15)] + [[-1, -1]],
    "joints_vis": [1] * 14 + [0, 1],
    "scale": 1.5,
    "center": [100, 120],
}


def hrnet(tmp_path, *entries):
    (tmp_path / "a.json").write_text(json.dumps(entries))
    return mpii_json.index_hrnet(tmp_path / "a.json")


def test_entries_of_one_image_come_together(tmp_path):
    others = [PERSON | {"image": "000000007.jpg"}, PERSON | {"scale": 2}]
    first, second = hrnet(tmp_path, PERSON, *others)
    assert [first.image_id, second.image_id] == [12, 7]
    assert [len(first.persons.area), len(second.persons.area)] == [2, 1]
    assert first.persons.person_id.tolist() == [1, 2]
    assert second.persons.person_id.tolist() == [3]
    assert (first.height, first.width, first.facts) == (0, 0, {})


def test_pixels_count_from_0_and_missing_joints_are_zeros(tmp_path):
    joints = hrnet(tmp_path, PERSON)[0].persons.joints_px[0]
    np.testing.assert_array_equal(joints[:14, 0], 10 + np.arange(14))
    np.testing.assert_array_equal(joints[:14, 1], 20 + 2 * np.arange(14))
    assert (joints[:14, 2] == 2).all() and not joints[14:].any()


def test_head_sizes_are_estimated_from_the_neck(tmp_path):
    neck, top = MPII16.joints.index("upper_neck"), MPII16.joints.index("head_top")
    assert hrnet(tmp_path, PERSON)[0].persons.head_size_px == pytest.approx(0.75 * np.sqrt(5))
    for joint in (neck, top):
        hidden = copy.deepcopy(PERSON)
        hidden["joints_vis"][joint] = 0
        assert np.isnan(hrnet(tmp_path, hidden)[0].persons.head_size_px).all()
    same = copy.deepcopy(PERSON)
    same["joints"][top] = same["joints"][neck]
    assert np.isnan(hrnet(tmp_path, same)[0].persons.head_size_px).all()


def test_a_person_without_joints_stands_on_the_centre(tmp_path):
    bare = PERSON | {"joints_vis": [0] * 16}
    np.testing.assert_allclose(hrnet(tmp_path, bare)[0].persons.boxes_px, [[-51, -31, 249, 269]])
    for change in ({"center": [-1, -1]}, {"scale": -1}, {"center": None}):
        with pytest.raises(ValueError, match="entry 0: neither a labelled joint nor a center"):
            hrnet(tmp_path, bare | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [[1, 2]] * 15}, "entry 0: joints: 15 came, a list of 16 points"),
        ({"joints": None}, "entry 0: joints: None came, a list of 16 points"),
        ({"joints": [[1, "2"]] * 16}, "entry 0: joints: 0: value 1 is '2'"),
        ({"joints_vis": [1] * 15}, "entry 0: joints_vis: 15 values came, a list of 16"),
        ({"center": [1]}, "entry 0: center: 1 values came, a list of 2"),
        ({"scale": "2"}, "entry 0: scale: value 0 is '2'"),
    ],
)
def test_a_broken_entry_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        hrnet(tmp_path, PERSON | change)


def test_what_is_no_list_of_entries_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match="the file: a dict came, a list is expected"):
        mpii_json.index_hrnet(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"entry 0: no joints, joints_vis; it has"):
        hrnet(tmp_path, {key: PERSON[key] for key in ("image", "scale", "center")})


def test_real_entries_agree_with_the_file_and_the_pictures(data_root):
    folder = data_root / "mmpose_min/mpii"
    raw = json.loads((folder / "test_mpii.json").read_text())
    entries = mpii_json.index_hrnet(folder / "test_mpii.json")
    assert [entry.file_name for entry in entries] == [record["image"] for record in raw]
    for entry, record in zip(entries, raw, strict=True):
        (joints,) = entry.persons.joints_px
        known = np.array(record["joints_vis"]) > 0
        np.testing.assert_array_equal(joints[:, 2] > 0, known)
        np.testing.assert_array_equal(joints[known, :2], np.array(record["joints"])[known] - 1)
        height, width, _ = cv2.imread(str(folder / entry.file_name)).shape
        assert (joints[known, :2] >= 0).all() and (joints[known, :2] < [width, height]).all()
        assert entry.image_id == int(entry.file_name[:9])


@pytest.fixture(scope="module")
def small(data_root):
    path = data_root / "mpii_small/mpii_small.json"
    return mpii_json.index_small(path), json.loads(path.read_text())["images"]


def test_the_small_copy_is_read_whole(small):
    entries, raw = small
    assert [entry.file_name for entry in entries] == [image["image"] for image in raw]
    assert [(e.height, e.width) for e in entries] == [(i["height"], i["width"]) for i in raw]
    assert sum(len(entry.persons.area) for entry in entries) == 827
    for entry, image in zip(entries, raw, strict=True):
        # MPII's first pixel is 1 in the original picture, which is larger than this copy.
        pixel = np.array(
            [image["width"] / image["orig_width"], image["height"] / image["orig_height"]]
        )
        for row, person in enumerate(image["persons"]):
            joints = entry.persons.joints_px[row]
            known = np.array(person["joints_labelled"]) > 0
            np.testing.assert_array_equal(joints[:, 2] > 0, known)
            expected = np.array(person["joints"])[known] - pixel
            np.testing.assert_allclose(joints[known, :2], expected, atol=1e-9)
            seen = np.array(person["visible"] or [1] * 16)[known] > 0
            np.testing.assert_array_equal(joints[known, 2], 1 + seen)
            size = person["head_size"]
            np.testing.assert_equal(
                entry.persons.head_size_px[row], np.nan if size is None else size
            )


def test_the_first_ankle_of_the_small_copy_is_pinned(small):
    joint = small[0][0].persons.joints_px[0, 0]
    np.testing.assert_allclose(joint, [287 - 560 / 1440, 306.06 - 420 / 1080, 2])


def test_most_joints_lie_in_the_pictures(small):
    entries, _ = small
    inside = count = 0
    for entry in entries:
        seen = entry.persons.joints_px[entry.persons.joints_px[..., 2] > 0][:, :2]
        inside += ((seen >= -0.5) & (seen <= [entry.width, entry.height])).all(axis=1).sum()
        count += len(seen)
    assert count > 12000 and inside > 0.995 * count


def test_complete_images_have_all_their_people_in_one_group(small):
    entries, raw = small
    complete = [entry for entry in entries if entry.facts]
    assert [e.file_name for e in complete] == [i["image"] for i in raw if i["in_rmpe_multi_val"]]
    assert len(complete) == 54
    for entry in complete:
        assert entry.facts["complete"] is True
        (group,) = entry.facts["groups"]
        assert group["members"] == list(range(len(entry.persons.area)))
        x0, y0, x1, y1 = group["box_px"]
        assert x0 < x1 and y0 < y1


IMAGE = {
    "image": "000000012.jpg",
    "width": 50,
    "height": 40,
    "orig_width": 100,
    "orig_height": 160,
    "in_rmpe_multi_val": True,
    "persons": [
        {
            "joints": [[10, 10], [20, 30]] + [[0, 0]] * 14,
            "joints_labelled": [1, 1] + [0] * 14,
            "visible": [1.0, 0.0] + [0.0] * 14,
            "scale": 0.5,
            "center": [25, 20],
            "head_size": 4.0,
        },
    ],
}


def index_small(tmp_path, image):
    (tmp_path / "a.json").write_text(json.dumps({"images": [image]}))
    return mpii_json.index_small(tmp_path / "a.json")[0]


def test_a_pixel_of_the_original_is_taken_off_along_each_side(tmp_path):
    entry = index_small(tmp_path, IMAGE)
    joints = entry.persons.joints_px[0]
    np.testing.assert_allclose(joints[:2], [[9.5, 9.75, 2], [19.5, 29.75, 1]])
    box = [24.5 - 20, 19.75 - 20, 24.5 + 20, 19.75 + 20]
    assert entry.facts["groups"] == [{"members": [0], "box_px": box}]


def test_a_group_without_centres_is_the_extent_of_its_joints(tmp_path):
    image = copy.deepcopy(IMAGE)
    image["persons"][0].update(center=None, visible=[], head_size=-1.0)
    entry = index_small(tmp_path, image)
    assert entry.facts["groups"][0]["box_px"] == [9.5, 9.75, 19.5, 29.75]
    assert entry.persons.joints_px[0, 1, 2] == 2
    assert np.isnan(entry.persons.head_size_px).all()


def test_images_that_may_lack_people_have_no_group(tmp_path):
    assert index_small(tmp_path, IMAGE | {"in_rmpe_multi_val": False}).facts == {}
    empty = index_small(tmp_path, IMAGE | {"persons": []})
    assert empty.facts == {} and empty.persons.joints_px.shape == (0, 16, 3)


def test_broken_images_and_people_are_named(tmp_path):
    with pytest.raises(ValueError, match="image 0: no orig_width; it has"):
        index_small(tmp_path, {k: v for k, v in IMAGE.items() if k != "orig_width"})
    with pytest.raises(ValueError, match=r"image 0 \(000000012.jpg\): persons: a int came"):
        index_small(tmp_path, IMAGE | {"persons": 3})
    person = IMAGE["persons"][0]
    for change, message in (
        ({"joints_labelled": [0] * 16}, "no joint is labelled; every person of this file has some"),
        ({"visible": [1]}, "visible: 1 values came"),
        ({"head_size": "4"}, "head_size: value 0 is '4'"),
    ):
        with pytest.raises(ValueError, match=rf"\(000000012.jpg\): person 0: {message}"):
            index_small(tmp_path, IMAGE | {"persons": [person | change]})
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a\.json: no images; it has \[\]"):
        mpii_json.index_small(tmp_path / "a.json")
