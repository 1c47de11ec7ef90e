"""The official .mat file is not among the real data: small ones are written here in its layout."""

import hashlib

import numpy as np
import pytest
import scipy.io

from rmpe_jax.data import mat_files, mpii
from tests.data.test_mat_files import cells, struct_array


def name_of(split, number=0):
    """Return the number-th file name that belongs to the split."""
    wanted = split == "validation"
    names = [f"{n:09d}.jpg" for n in range(1, 400)]
    return [
        n for n in names if (int(hashlib.sha1(n.encode()).hexdigest(), 16) % 10 == 0) == wanted
    ][number]


def point(joint, x, y, visible):
    return {"x": x, "y": y, "id": joint, "is_visible": visible}


def person(points, x=100.0, y=120.0, scale=1.5, head=(10, 20, 40, 60)):
    record = dict(zip(("x1", "y1", "x2", "y2"), head, strict=True)) if head else {}
    record |= {"scale": scale, "objpos": struct_array([{"x": x, "y": y}])}
    return record | (
        {"annopoints": struct_array([{"point": struct_array(points)}])} if points else {}
    )


def image(name, people):
    rectangles = struct_array(people) if people else np.zeros((0, 0))
    return {"image": struct_array([{"name": name}]), "annorect": rectangles}


POINTS = [
    point(0, 11.0, 21.0, "1"),  # the release has flags as text, as numbers and as empty matrices
    point(1, 31.0, 61.0, "0"),
    point(9, 15.5, 25.0, np.zeros((0, 0))),
    point(10, 12.0, 22.0, 0),
]


def release(tmp_path, images, train=None, singles=None):
    train = [1] * len(images) if train is None else train
    singles = [np.zeros((0, 0))] * len(images) if singles is None else singles
    fields = {
        "annolist": struct_array(images),
        "img_train": np.array([train]),
        "single_person": cells(singles),
    }
    scipy.io.savemat(tmp_path / "mpii.mat", {"RELEASE": struct_array([fields])})
    return tmp_path / "mpii.mat"


def groups_file(tmp_path, per_image):
    column = cells([cells([np.array([g]).T for g in found]).T for found in per_image])
    scipy.io.savemat(tmp_path / "groups.mat", {"groups": column})
    return tmp_path / "groups.mat"


def test_pixels_count_from_0_and_flags_become_visibility(tmp_path):
    path = release(tmp_path, [image(name_of("train"), [person(POINTS)])])
    (entry,) = mpii.index(path, "train")
    assert entry.image_id == int(name_of("train")[:9]) and entry.file_name == name_of("train")
    assert (entry.height, entry.width, entry.facts) == (0, 0, {"single": []})
    joints = entry.persons.joints_px[0]
    np.testing.assert_array_equal(
        joints[[0, 1, 9, 10]], [[10, 20, 2], [30, 60, 1], [14.5, 24, 2], [11, 21, 1]]
    )
    assert np.count_nonzero(joints[:, 2]) == 4 and not joints[[2, 8, 15]].any()
    np.testing.assert_allclose(entry.persons.boxes_px, [[8, 16, 32, 64]])
    np.testing.assert_allclose(entry.persons.area, [0.53 * 24 * 48])
    np.testing.assert_allclose(entry.persons.head_size_px, [0.6 * 50])


def test_people_without_joints_stand_on_their_centre(tmp_path):
    people = [person(None), person(POINTS[:1], scale=np.zeros((0, 0)), head=None), {"scale": 1.0}]
    people.append(person(None, scale=-1.0))
    (entry,) = mpii.index(release(tmp_path, [image(name_of("train"), people)]), "train")
    # 200 x scale about objpos; a single joint where there is no scale; nothing at all is left out.
    np.testing.assert_allclose(entry.persons.boxes_px, [[-51, -31, 249, 269], [10, 20, 10, 20]])
    np.testing.assert_allclose(entry.persons.head_size_px, [30, np.nan])


@pytest.mark.parametrize("head", [(10, 20, 10, 20), (10, 20, 5, 60)])
def test_a_head_without_a_size_has_none(tmp_path, head):
    path = release(tmp_path, [image(name_of("train"), [person(POINTS, head=head)])])
    assert np.isnan(mpii.index(path, "train")[0].persons.head_size_px).all()


def test_unlabelled_and_empty_images_are_left_out(tmp_path):
    names = [name_of("train", n) for n in range(3)]
    images = [
        image(names[0], [person(None)]),
        image(names[1], []),
        image(names[2], [person(POINTS)]),
    ]
    path = release(tmp_path, images, train=[0, 1, 1])
    assert [entry.file_name for entry in mpii.index(path, "train")] == [names[2]]
    assert mpii.index(path, "validation") == []


def test_the_splits_share_no_image_and_leave_none(tmp_path):
    names = [f"{n:09d}.jpg" for n in range(1, 60)]
    path = release(tmp_path, [image(name, [person(POINTS)]) for name in names])
    train, validation = (mpii.index(path, split) for split in ("train", "validation"))
    assert sorted(e.file_name for e in train + validation) == names
    assert {e.file_name for e in validation} == {n for n in names if mpii.of_split(n, "validation")}
    assert 1 <= len(validation) <= 15
    ids = [int(e.persons.person_id[0]) for e in train + validation]
    assert len(set(ids)) == len(names) and 0 not in ids


def test_every_tenth_of_many_names_validates():
    found = sum(mpii.of_split(f"{n:09d}.jpg", "validation") for n in range(5000))
    assert 400 < found < 600
    # Pinned: the split must be the same on every machine and in every version.
    assert [n for n in range(40) if mpii.of_split(f"{n:09d}.jpg", "validation")] == [12, 16, 38]


def crowd(tmp_path, singles=(), groups=((1, 2), (3,), (4,))):
    people = [
        person(POINTS, 100.0, 120.0, 1.0),
        person(None, 200.0, 120.0, 2.0),
        person(POINTS, 300.0, 300.0, 1.0),
        person(None, 50.0, 50.0, 1.0),
    ]
    names = [name_of("train", 0), name_of("train", 1)]
    images = [image(names[0], [{"x1": 5}, *people]), image(names[1], [])]
    path = release(tmp_path, images, singles=[np.array([singles]), np.zeros((0, 0))])
    # The first rectangle says nothing of where a person is: rectangles are one ahead of people.
    shifted = [tuple(member + 1 for member in group) for group in groups]
    return mpii.index(path, "train", groups=groups_file(tmp_path, [shifted, []]))[0]


def test_groups_are_rows_of_people_and_a_box_about_all_their_centres(tmp_path):
    entry = crowd(tmp_path)
    assert len(entry.persons.area) == 4
    first, second = entry.facts["groups"]  # of the third group nobody is labelled
    assert first == {"members": [0], "box_px": [59, 39, 279, 199]}
    assert second == {"members": [2], "box_px": [259, 259, 339, 339]}


def test_a_group_with_a_single_person_is_none(tmp_path):
    assert [g["members"] for g in crowd(tmp_path, singles=(3,)).facts["groups"]] == [[2]]
    assert crowd(tmp_path, singles=(3,)).facts["single"] == [1]  # rectangle 3
    assert crowd(tmp_path, singles=(2, 4)).facts["groups"] == []


def test_the_layout_of_the_real_group_file_is_understood(tmp_path, data_root):
    raw = mat_files.load(data_root / "mpii_small/groups_v12.mat", "groups")
    assert raw.shape == (24987, 1)
    scipy.io.savemat(tmp_path / "first.mat", {"groups": raw[:6]})
    images = [image(name_of("train", n), [person(POINTS) for _ in range(3)]) for n in range(6)]
    entries = mpii.index(release(tmp_path, images), "train", groups=tmp_path / "first.mat")
    found = [[g["members"] for g in entry.facts["groups"]] for entry in entries]
    assert found == [[[0]], [[0, 1]], [[0]], [[0]], [[0], [1]], [[2], [0, 1]]]


def test_another_release_or_file_is_refused(tmp_path):
    path = release(tmp_path, [image(name_of("train"), [person(POINTS)])])
    with pytest.raises(ValueError, match=r"groups\.mat: groups has 2 entries for 1 images; both"):
        mpii.index(path, "train", groups=groups_file(tmp_path, [[(1,)], [(1,)]]))
    with pytest.raises(ValueError, match=r"mpii\.mat: img_train has 3 entries for 1 images"):
        mpii.index(release(tmp_path, [image("a.jpg", [])], train=[1, 1, 0]), "train")
    with pytest.raises(ValueError, match=r"mpii\.mat: image 0: no image\.name; it has \('annorect"):
        mpii.index(release(tmp_path, [{"annorect": np.zeros((0, 0))}]), "train")
    scipy.io.savemat(tmp_path / "other.mat", {"RELEASE": struct_array([{"act": 1}])})
    with pytest.raises(ValueError, match=r"other\.mat: RELEASE has no annolist and img_train"):
        mpii.index(tmp_path / "other.mat", "train")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (point(16, 1.0, 2.0, 1), r"annorect 1: a point has id, x and y \[16.0, 1.0, 2.0\]; an id"),
        (point(3, np.zeros((0, 0)), 2.0, 1), "a point has id, x and y None"),
        (point(3, 1.0, 2.0, 5), "is_visible of left_hip is 5.0; 0, 1 and nothing are allowed"),
    ],
)
def test_a_broken_point_is_named(tmp_path, wrong, message):
    path = release(tmp_path, [image(name_of("train"), [person([*POINTS, wrong])])])
    with pytest.raises(ValueError, match=rf"mpii\.mat: image .*{message}"):
        mpii.index(path, "train")
