"""The joint sets people annotate: names, mirror pairs, limbs and OKS spreads, as constants.

A skeleton is data. No code anywhere asks how many joints there are or what they are called;
it asks the skeleton.
"""

from typing import Any, NamedTuple


class Skeleton(NamedTuple):
    """A joint set.

    `flip_pairs` are the joints that change places when a person is mirrored, `limbs` the pairs
    that a drawing connects, `sigmas` the per-joint spread of Object Keypoint Similarity (the
    COCO `sigma`, half of the `k` in some texts), `upper_body` the joints above the waist.
    """

    name: str
    joints: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    upper_body: tuple[int, ...]

    @property
    def flip_order(self) -> tuple[int, ...]:
        """Return for each joint the index of the joint that takes its place in a mirror."""
        order = list(range(len(self.joints)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


# Names, limbs and sigmas: COCO keypoints 2017 (annotation `categories`; cocoeval).
COCO17 = Skeleton(
    name="COCO17",
    joints=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    limbs=(
        (15, 13),
        (13, 11),
        (16, 14),
        (14, 12),
        (11, 12),
        (5, 11),
        (6, 12),
        (5, 6),
        (5, 7),
        (6, 8),
        (7, 9),
        (8, 10),
        (1, 2),
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 6),
    ),
    sigmas=(
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
)

# Order: MPII human pose, `joint ids`. MPII defines no OKS; the sigmas are COCO's for the same
# joint, and for pelvis, thorax, neck and head top those that CrowdPose gives head and neck.
MPII16 = Skeleton(
    name="MPII16",
    joints=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    limbs=(
        (0, 1),
        (1, 2),
        (2, 6),
        (6, 3),
        (3, 4),
        (4, 5),
        (6, 7),
        (7, 8),
        (8, 9),
        (10, 11),
        (11, 12),
        (12, 7),
        (7, 13),
        (13, 14),
        (14, 15),
    ),
    sigmas=(
        0.089,
        0.087,
        0.107,
        0.107,
        0.087,
        0.089,
        0.107,
        0.079,
        0.079,
        0.079,
        0.062,
        0.072,
        0.079,
        0.079,
        0.072,
        0.062,
    ),
    upper_body=(7, 8, 9, 10, 11, 12, 13, 14, 15),
)

# Names and order: CrowdPose (annotation `categories`); sigmas: crowdposetools/cocoeval.py. The
# limbs are ours: the list in its files is COCO's, with numbers beyond the 14 joints.
CROWDPOSE14 = Skeleton(
    name="CROWDPOSE14",
    joints=(
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
        "head",
        "neck",
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    limbs=(
        (12, 13),
        (13, 0),
        (13, 1),
        (0, 2),
        (2, 4),
        (1, 3),
        (3, 5),
        (0, 6),
        (1, 7),
        (6, 7),
        (6, 8),
        (8, 10),
        (7, 9),
        (9, 11),
    ),
    sigmas=(
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
        0.079,
        0.079,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 12, 13),
)

# Order: Leeds Sports Pose and its extended training set (README of both). No OKS is defined: the
# sigmas are COCO's, and for neck and head top CrowdPose's, as in MPII16.
LSP14 = Skeleton(
    name="LSP14",
    joints=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "neck",
        "head_top",
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)),
    limbs=(
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (6, 7),
        (7, 8),
        (8, 12),
        (12, 9),
        (9, 10),
        (10, 11),
        (8, 2),
        (9, 3),
        (12, 13),
    ),
    sigmas=(
        0.089,
        0.087,
        0.107,
        0.107,
        0.087,
        0.089,
        0.062,
        0.072,
        0.079,
        0.079,
        0.072,
        0.062,
        0.079,
        0.079,
    ),
    upper_body=(6, 7, 8, 9, 10, 11, 12, 13),
)

# Names and order: PoseTrack 2018 (annotation `categories`); the ears are never labelled there.
# PoseTrack defines no OKS (it scores by head size): COCO's sigmas, CrowdPose's for head and neck.
POSETRACK17 = Skeleton(
    name="POSETRACK17",
    joints=("nose", "head_bottom", "head_top", *COCO17.joints[3:]),
    flip_pairs=COCO17.flip_pairs[1:],
    limbs=(
        (15, 13),
        (13, 11),
        (16, 14),
        (14, 12),
        (11, 12),
        (5, 11),
        (6, 12),
        (5, 7),
        (6, 8),
        (7, 9),
        (8, 10),
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (1, 5),
        (1, 6),
    ),
    sigmas=(COCO17.sigmas[0], 0.079, 0.079, *COCO17.sigmas[3:]),
    upper_body=COCO17.upper_body,
)

# Order: PoseTrack 2017 (poseval, joint ids 0 to 14). Sigmas as in POSETRACK17.
POSETRACK15 = Skeleton(
    name="POSETRACK15",
    joints=(*LSP14.joints[:12], "head_bottom", "nose", "head_top"),
    flip_pairs=LSP14.flip_pairs,
    limbs=(*LSP14.limbs[:-1], (12, 13), (13, 14)),
    sigmas=(*LSP14.sigmas[:12], 0.079, COCO17.sigmas[0], 0.079),
    upper_body=(*LSP14.upper_body, 14),
)

# Names of one place of the body, each with the name that stands for all of them.
SYNONYMS: dict[str, str] = {
    # The top of the skull: CrowdPose's and Halpe's "head" are marked there.
    "head": "head_top",
    "top_head": "head_top",
    # Where the neck meets the skull, the lower end of the head: MPII marks the neck's own lower end
    # as well, as "thorax", which is therefore another place.
    "upper_neck": "neck",
    "head_bottom": "neck",
    # The middle between the two hips; a "left_hip" is another name and never meant by "hip".
    "hip": "pelvis",
    "mid_hip": "pelvis",
}


def from_dict(values: dict[str, Any]) -> Skeleton:
    """Return the skeleton whose `_asdict()` went through JSON."""
    pairs = {name: tuple(map(tuple, values[name])) for name in ("flip_pairs", "limbs")}
    flat = {name: tuple(values[name]) for name in ("joints", "sigmas", "upper_body")}
    return Skeleton(name=values["name"], **pairs, **flat)


def mapping(source: Skeleton, target: Skeleton) -> tuple[int, ...]:
    """Return for each joint of `target` its index in `source`, or -1 where `source` has none.

    Joints are the same place when their names are equal, and else when these are synonyms; none of
    `source` serves twice. `joints[..., mapping, :]` with the -1 masked out brings poses of `source`
    into the order of `target`.
    """
    exact = {name: joint for joint, name in enumerate(source.joints)}
    free = {
        SYNONYMS.get(name, name): joint
        for name, joint in reversed(exact.items())
        if name not in target.joints
    }
    return tuple(
        exact[name] if name in exact else free.pop(SYNONYMS.get(name, name), -1)
        for name in target.joints
    )


def check(skeleton: Skeleton, where: str) -> Skeleton:
    """Return the skeleton if it is sound; else a ValueError names the entry, starting with `where`.

    A left_ joint and the right_ joint of the same name must change places in a mirror. One without
    its counterpart cannot and may stay alone.
    """
    names = skeleton.joints
    allowed = f"indices 0 to {len(names) - 1} of its {len(names)} joints are allowed"
    _check_names(names, where)
    seen: dict[int, tuple[int, ...]] = {}
    for pair in skeleton.flip_pairs:
        if len(set(pair)) != 2 or not _in_range(pair, names):
            raise ValueError(f"{where}: flip pair {pair} came; two different {allowed}")
        for joint in pair:
            if joint in seen:
                raise ValueError(
                    f"{where}: {names[joint]} is in the flip pairs {seen[joint]} and {pair}; a "
                    "joint changes places with one other at most"
                )
            seen[joint] = pair
    _check_sides(skeleton, where)
    for limb in skeleton.limbs:
        if len(set(limb)) != 2 or not _in_range(limb, names):
            raise ValueError(f"{where}: limb {limb} came; two different {allowed}")
    if len(skeleton.sigmas) != len(names):
        raise ValueError(
            f"{where}: {len(skeleton.sigmas)} sigmas came for {len(names)} joints; give one to each"
        )
    for name, sigma in zip(names, skeleton.sigmas, strict=True):
        if not 0 < sigma < float("inf"):
            raise ValueError(
                f"{where}: sigma of {name} is {sigma}; a share of the person's size above 0 is "
                "allowed, for example 0.079"
            )
    for joint in skeleton.upper_body:
        if not _in_range((joint,), names) or skeleton.upper_body.count(joint) > 1:
            raise ValueError(f"{where}: upper_body has {joint}; different {allowed}")
    return skeleton


def _check_names(names: tuple[str, ...], where: str) -> None:
    if not names:
        raise ValueError(f"{where}: no joints came; a skeleton has at least one")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"{where}: {names.count(name)} joints are called {name!r}; names must differ"
            )


def _check_sides(skeleton: Skeleton, where: str) -> None:
    """Refuse flip pairs that leave a left_ joint on its side although its counterpart is there."""
    swapped = {"left": "right", "right": "left"}
    for joint, partner in enumerate(skeleton.flip_order):
        side, _, rest = skeleton.joints[joint].partition("_")
        wanted = f"{swapped.get(side)}_{rest}"
        came = skeleton.joints[partner]
        lonely = wanted not in skeleton.joints and partner == joint
        if side in swapped and came != wanted and not lonely:
            raise ValueError(
                f"{where}: in a mirror {skeleton.joints[joint]} becomes {came}; it must become "
                f"{wanted}: correct the flip pairs or the names"
            )


def _in_range(joints: tuple[int, ...], names: tuple[str, ...]) -> bool:
    return all(0 <= joint < len(names) for joint in joints)
