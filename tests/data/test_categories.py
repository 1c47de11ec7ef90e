import json

import pytest

from rmpe_jax import skeletons
from rmpe_jax.data import categories, coco
from rmpe_jax.skeletons import COCO17, CROWDPOSE14, MPII16, POSETRACK17


def mouse(**change):
    names = ["nose", "ear_left", "ear_right", "Tail base"]
    return {"name": "mouse", "keypoints": names, "skeleton": [[1, 2], [1, 3], [1, 4]]} | change


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Left Shoulder", "left_shoulder"),
        ("shoulder_left", "left_shoulder"),
        ("L_Shoulder", "left_shoulder"),
        ("lShoulder", "left_shoulder"),
        ("LShoulder", "left_shoulder"),
        ("RightBigToe", "right_big_toe"),
        ("r-hip", "right_hip"),
        ("front.left.paw", "left_front_paw"),
        ("leftknee", "left_knee"),
        ("Head top", "head_top"),
        ("right_thumb1", "right_thumb1"),
        ("LEFT_EYE", "left_eye"),
        ("left_of_right", "left_of_right"),
        ("of_left_right", "of_left_right"),
        ("left", "left"),
        ("l", "l"),
        ("lip_top", "lip_top"),
    ],
)
def test_names_are_brought_into_one_form(name, expected):
    assert categories.canonical(name) == expected


@pytest.mark.parametrize("known", categories.KNOWN, ids=lambda known: known.name)
def test_known_sets_are_recognised_however_spelt(known):
    spelt = [name.replace("_", " ").title() for name in known.joints]
    for names in (list(known.joints), spelt):
        assert categories.skeleton_of({"keypoints": names}, "here") == (known, [])
    assert known.name in categories.names_with(len(known.joints))
    assert not categories.same_joints(list(known.joints)[::-1], known)


def test_synonyms_are_the_same_joints():
    names = [*CROWDPOSE14.joints[:12], "top_head", "upper neck"]
    assert categories.same_joints(names, CROWDPOSE14)


def test_the_categories_of_real_files_are_the_constants(data_root):
    small = data_root / "mmpose_min"
    found = {
        "crowdpose/test_crowdpose.json": CROWDPOSE14,
        "ochuman/test_ochuman.json": COCO17,
        "posetrack18/annotations/test_posetrack18_val.json": POSETRACK17,
    }
    for path, skeleton in found.items():
        assert coco.own_skeleton(coco.read_sections(small / path), small / path) == (skeleton, [])


def test_a_real_set_with_names_of_its_own(data_root):
    path = data_root / "mmpose_min/aic/test_aic.json"
    skeleton, notes = coco.own_skeleton(coco.read_sections(path), path)
    assert skeleton.name == "person14"
    assert skeleton.joints[:4] == ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder")
    assert skeleton.joints[12:] == ("head_top", "neck")
    assert set(skeleton.flip_pairs) == {(3, 0), (4, 1), (5, 2), (9, 6), (10, 7), (11, 8)}
    assert skeleton.limbs[:2] == ((2, 1), (1, 0))
    order = skeletons.mapping(CROWDPOSE14, skeleton)
    assert sorted(order) == list(range(14))
    assert skeleton.sigmas == tuple(CROWDPOSE14.sigmas[joint] for joint in order)
    assert skeleton.upper_body == (0, 1, 2, 3, 4, 5, 12, 13)
    assert [note.split()[0] for note in notes] == ["flip_pairs", "sigmas", "upper_body"]
    assert "COCO17, CROWDPOSE14" in notes[1]


def test_what_is_unknown_is_guessed_and_noted():
    skeleton, notes = categories.skeleton_of(mouse(), "here")
    assert skeleton.name == "mouse4"
    assert skeleton.joints == ("nose", "left_ear", "right_ear", "tail_base")
    assert skeleton.flip_pairs == ((1, 2),) and skeleton.limbs == ((0, 1), (0, 2), (0, 3))
    assert skeleton.sigmas == (0.026, 0.035, 0.035, 0.079)
    assert skeleton.upper_body == (0, 1, 2)
    assert "sigma 0.079 is a guess for tail_base" in notes
    assert "upper_body follows from the names: nose, left_ear, right_ear" in notes


def test_what_is_said_is_not_guessed():
    said = mouse(
        flip_pairs=[["ear_left", 2]],
        sigmas=[0.1, 0.2, 0.3, 0.4],
        upper_body=["Tail base", 0],
    )
    skeleton, notes = categories.skeleton_of(said, "here")
    assert skeleton.flip_pairs == ((1, 2),)
    assert skeleton.sigmas == (0.1, 0.2, 0.3, 0.4) and skeleton.upper_body == (3, 0)
    assert notes == []


def test_a_set_without_limbs_is_noted():
    for change in ({"skeleton": []}, {"skeleton": None}):
        skeleton, notes = categories.skeleton_of(mouse(**change), "here")
        assert skeleton.limbs == ()
        assert "no skeleton: drawings show joints without limbs" in notes


@pytest.mark.parametrize("name", ["hip_left", "left_of_right", "L5 left"])
def test_a_side_that_is_alone_or_unclear_stays_unpaired_and_is_noted(name):
    skeleton, notes = categories.skeleton_of(mouse(keypoints=["a", "b", "c", name]), "here")
    assert skeleton.flip_pairs == ()
    assert f"no flip pair, the other side is missing or unclear: {name}" in notes


def test_a_lonely_letter_is_no_side():
    joints = categories.skeleton_of(mouse(keypoints=["a", "b", "c", "vertebra l 5"]), "here")[0]
    assert joints.joints[3] == "vertebra_l_5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": []}, r"keypoints are \[\]; a list of the joints' names is needed"),
        ({"keypoints": "nose"}, "keypoints are 'nose'; a list"),
        ({"keypoints": ["nose", 5]}, "a list of the joints' names is needed"),
        (
            {"keypoints": ["Left Ear", "left_ear"], "skeleton": []},
            "2 joints are called 'left_ear'; names must",
        ),
        ({"skeleton": [[0, 1]]}, r"skeleton: \[0, 1\] came; pairs of joint numbers from 1 to 4"),
        ({"skeleton": [[1, 5]]}, r"skeleton: \[1, 5\] came; pairs"),
        ({"skeleton": [[1, "nose"]]}, r"skeleton: \[1, 'nose'\] came; pairs"),
        ({"skeleton": [[1, 2, 3]]}, r"skeleton: \[\[1, 2, 3\]\] came; a list of pairs"),
        ({"flip_pairs": 3}, "flip_pairs: 3 came; a list of pairs is needed"),
        ({"flip_pairs": [[1, 4]]}, "flip_pairs: 4 came; indices 0 to 3 and the names"),
        ({"flip_pairs": [["tail", 1]]}, "flip_pairs: 'tail' came; indices 0 to 3 and the names"),
        ({"flip_pairs": [[1, 1]]}, r"flip pair \(1, 1\) came"),
        ({"flip_pairs": []}, "in a mirror left_ear becomes left_ear; it must become right_ear"),
        ({"sigmas": [0.1]}, "1 sigmas came for 4 joints"),
        ({"sigmas": [0.1, 0.1, 0.1, 0]}, "sigma of tail_base is 0"),
        ({"sigmas": "none"}, "sigmas: 'none' came, a list of numbers"),
        ({"upper_body": 2}, "upper_body is 2; a list of joints is needed"),
        ({"upper_body": ["leg"]}, "upper_body: 'leg' came; indices 0 to 3 and the names"),
    ],
)
def test_a_broken_entry_is_named(change, message):
    with pytest.raises(ValueError, match=f"here:? ?.*{message}"):
        categories.skeleton_of(mouse(**change), "here")


def test_a_users_own_joint_set_is_read(tmp_path):
    path = tmp_path / "mouse.json"
    path.write_text(json.dumps(mouse(name="MOUSE4")))
    skeleton = categories.read_skeleton(path)
    assert skeleton.name == "MOUSE4" and skeleton.joints[1] == "left_ear"
    path.write_text(json.dumps({"name": "mine", "keypoints": list(MPII16.joints)}))
    assert categories.read_skeleton(path) is MPII16
    path.write_text(json.dumps({"keypoints": ["nose"]}))
    with pytest.raises(ValueError, match=r"mouse\.json: no name; it has \['keypoints'\]"):
        categories.read_skeleton(path)
