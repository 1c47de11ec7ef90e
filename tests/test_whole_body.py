import pytest

from rmpe_jax import whole_body
from rmpe_jax.skeletons import COCO17
from rmpe_jax.whole_body import HALPE26, HALPE136, WHOLEBODY133

# The mirror of the 68 points as 300-W's users write it (MMPose, configs/_base_/datasets/300w.py).
MIRROR68 = {
    **{n: 16 - n for n in range(17)},
    **{n: 43 - n for n in range(17, 27)},
    **{n: n for n in range(27, 31)},
    **{n: 66 - n for n in range(31, 36)},
    **dict(zip((36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46), strict=True)),
    **dict(zip((45, 44, 43, 42, 47, 46), (36, 37, 38, 39, 40, 41), strict=True)),
    **{n: 102 - n for n in range(48, 55)},
    **{n: 114 - n for n in range(55, 60)},
    **{n: 124 - n for n in range(60, 65)},
    **{n: 132 - n for n in range(65, 68)},
}


@pytest.mark.parametrize(("skeleton", "first"), [(HALPE136, 26), (WHOLEBODY133, 23)])
def test_the_face_mirrors_as_in_300w(skeleton, first):
    order = skeleton.flip_order[first : first + 68]
    assert {n: other - first for n, other in enumerate(order)} == MIRROR68


@pytest.mark.parametrize(("skeleton", "first"), [(HALPE136, 94), (WHOLEBODY133, 91)])
def test_the_hands_change_places_finger_by_finger(skeleton, first):
    assert skeleton.flip_order[first:] == (
        *range(first + 21, first + 42),
        *range(first, first + 21),
    )
    assert skeleton.joints[first] == "left_hand_root"
    assert skeleton.joints[first + 25] == "right_thumb4"


def test_halpe_26_are_the_first_of_the_136():
    assert HALPE136.joints[:26] == HALPE26.joints
    assert HALPE26.joints[:17] == WHOLEBODY133.joints[:17] == COCO17.joints
    assert HALPE26.joints[17:] == (
        *("head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe"),
        *("right_small_toe", "left_heel", "right_heel"),
    )


def test_the_feet_of_whole_body_come_one_after_the_other():
    assert WHOLEBODY133.joints[17:23] == (
        *("left_big_toe", "left_small_toe", "left_heel"),
        *("right_big_toe", "right_small_toe", "right_heel"),
    )


def test_only_a_ring_of_points_closes():
    limbs = {frozenset(limb) for limb in whole_body.face_limbs()}
    assert {"right_eyelid_6", "right_eyelid_1"} in limbs
    assert {"left_jaw_1", "right_jaw_1"} not in limbs
    assert len(whole_body.hand_limbs("left")) == 21
