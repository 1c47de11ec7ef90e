"""Joint sets with face and hands, built from their parts: Halpe's 26 and 136, COCO-WholeBody's 133.

The releases number the points of face and hands and do not name them. The names here say side and
part, so that a mirror follows from them: left and right of the person, points of a part numbered
alike on both sides.
"""

from rmpe_jax.skeletons import COCO17, Skeleton

FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
FOOT = ("big_toe", "small_toe", "heel")

# The 68 points of the iBUG (300-W) mark-up, in its order; point 0 is at the person's right ear.
FACE = (
    *(f"right_jaw_{n}" for n in range(1, 9)),
    "chin",
    *(f"left_jaw_{n}" for n in range(8, 0, -1)),
    *(f"right_brow_{n}" for n in range(1, 6)),
    *(f"left_brow_{n}" for n in range(5, 0, -1)),
    *(f"nose_bridge_{n}" for n in range(1, 5)),
    *("right_nostril_1", "right_nostril_2", "nose_base", "left_nostril_2", "left_nostril_1"),
    *(f"right_eyelid_{n}" for n in range(1, 7)),
    *(f"left_eyelid_{n}" for n in (4, 3, 2, 1, 6, 5)),
    *("right_lip_1", "right_lip_2", "right_lip_3", "lip_top"),
    *("left_lip_3", "left_lip_2", "left_lip_1", "left_lip_5", "left_lip_4"),
    *("lip_bottom", "right_lip_4", "right_lip_5"),
    *("right_mouth_1", "right_mouth_2", "mouth_top", "left_mouth_2", "left_mouth_1"),
    *("left_mouth_3", "mouth_bottom", "right_mouth_3"),
)

# Open lines and closed rings along the face, as first and last point in the order above.
FACE_LINES = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))
FACE_RINGS = ((36, 41), (42, 47), (48, 59), (60, 67))


def hand(side: str) -> tuple[str, ...]:
    """Return the 21 points of one hand: its root, then four of each finger, outwards."""
    fingers = (f"{side}_{finger}{n}" for finger in FINGERS for n in range(1, 5))
    return (f"{side}_hand_root", *fingers)


def hand_limbs(side: str) -> tuple[tuple[str, str], ...]:
    """Return what connects a hand: the wrist of the body, the root and along each finger."""
    root = f"{side}_hand_root"
    along = [
        pair
        for finger in FINGERS
        for pair in _chain((root, *(f"{side}_{finger}{n}" for n in range(1, 5))))
    ]
    return ((f"{side}_wrist", root), *along)


def face_limbs() -> tuple[tuple[str, str], ...]:
    """Return what connects a face: its lines and rings, and these with nose, ears and eyes."""
    lines = [pair for first, last in FACE_LINES for pair in _chain(FACE[first : last + 1])]
    rings = [
        pair
        for first, last in FACE_RINGS
        for pair in _chain((*FACE[first : last + 1], FACE[first]))
    ]
    sides = [
        pair
        for side in ("left", "right")
        for pair in (
            (f"{side}_ear", f"{side}_jaw_1"),
            (f"{side}_eye", f"{side}_eyelid_4"),
            (f"{side}_brow_5", "nose_bridge_1"),
            (f"{side}_lip_1", f"{side}_mouth_1"),
        )
    ]
    middle = (("nose", "nose_bridge_4"), ("nose_bridge_4", "nose_base"), ("nose_base", "lip_top"))
    return (*lines, *rings, *sides, *middle)


def flip_pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return the pairs (left, right) of joints whose names differ in the side alone."""
    return tuple(
        (joint, joints.index(f"right_{name.removeprefix('left_')}"))
        for joint, name in enumerate(joints)
        if name.startswith("left_")
    )


def _chain(points: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(points, points[1:], strict=False))


def _indices(
    limbs: tuple[tuple[str, str], ...], joints: tuple[str, ...]
) -> tuple[tuple[int, int], ...]:
    return tuple((joints.index(a), joints.index(b)) for a, b in limbs)


def _named(skeleton: Skeleton) -> tuple[tuple[str, str], ...]:
    return tuple((skeleton.joints[a], skeleton.joints[b]) for a, b in skeleton.limbs)


_FEET = tuple((f"{side}_ankle", f"{side}_{part}") for side in ("left", "right") for part in FOOT)
_BODY = tuple(pair for pair in _named(COCO17) if pair != ("left_hip", "right_hip"))
_HANDS_AND_FACE = (*hand_limbs("left"), *hand_limbs("right"), *face_limbs())

# Order: Halpe-FullBody, README. Sigmas: its HalpeCOCOAPI cocoeval.py, as in MMPose's halpe26.py.
_HALPE26_JOINTS = (
    *COCO17.joints,
    *("head", "neck", "hip"),
    *(f"{side}_{part}" for part in FOOT for side in ("left", "right")),
)
_HALPE26_LIMBS = (
    *_BODY,
    *(("head", "neck"), ("neck", "hip"), ("neck", "left_shoulder"), ("neck", "right_shoulder")),
    *(("left_hip", "hip"), ("right_hip", "hip")),
    *_FEET,
)
HALPE26 = Skeleton(
    name="HALPE26",
    joints=_HALPE26_JOINTS,
    flip_pairs=flip_pairs(_HALPE26_JOINTS),
    limbs=_indices(_HALPE26_LIMBS, _HALPE26_JOINTS),
    sigmas=(*COCO17.sigmas, 0.026, 0.026, 0.066, *(0.079 for _ in range(6))),
    upper_body=(*COCO17.upper_body, 17, 18),
)

# Order: Halpe-FullBody, README: 26 of the body, 68 of the face, 21 of the left and the right hand.
# Sigmas: MMPose's halpe.py, after another line of the same cocoeval.py; its six feet and its head,
# neck and hip differ from those of the 26.
_HALPE136_JOINTS = (*_HALPE26_JOINTS, *FACE, *hand("left"), *hand("right"))
HALPE136 = Skeleton(
    name="HALPE136",
    joints=_HALPE136_JOINTS,
    flip_pairs=flip_pairs(_HALPE136_JOINTS),
    limbs=_indices((*_HALPE26_LIMBS, *_HANDS_AND_FACE), _HALPE136_JOINTS),
    sigmas=(
        *COCO17.sigmas,
        *(0.08 for _ in range(3)),
        *(0.089 for _ in range(6)),
        *(0.015 for _ in range(68 + 42)),
    ),
    upper_body=(*HALPE26.upper_body, *range(26, 136)),
)

# Sigmas of the parts: COCO-WholeBody, evaluation/myeval_wholebody.py. The two sides of face and
# feet were measured apart and differ.
# fmt: off
_FEET_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037,
    0.038, 0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013,
    0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009,
    0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008,
    0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008,
    0.008, 0.010, 0.008,
)
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026,
    0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031,
)
# fmt: on

# Order: COCO-WholeBody, data_format.md: 17 of the body, 6 of the feet, 68 of the face, 21 of the
# left hand, 21 of the right.
_WHOLEBODY_JOINTS = (
    *COCO17.joints,
    *(f"{side}_{part}" for side in ("left", "right") for part in FOOT),
    *FACE,
    *hand("left"),
    *hand("right"),
)
WHOLEBODY133 = Skeleton(
    name="WHOLEBODY133",
    joints=_WHOLEBODY_JOINTS,
    flip_pairs=flip_pairs(_WHOLEBODY_JOINTS),
    limbs=_indices((*_named(COCO17), *_FEET, *_HANDS_AND_FACE), _WHOLEBODY_JOINTS),
    sigmas=(*COCO17.sigmas, *_FEET_SIGMAS, *_FACE_SIGMAS, *_HAND_SIGMAS, *_HAND_SIGMAS),
    upper_body=(*COCO17.upper_body, *range(23, 133)),
)
