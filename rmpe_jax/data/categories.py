"""Joint sets that a file describes: the `categories` of COCO's format, or a user's own JSON file.

What a file leaves out is taken by name from the sets that are known here, and every such guess is
noted for people to read.
"""

import re
from pathlib import Path
from typing import Any

from rmpe_jax import skeletons
from rmpe_jax.data import json_files
from rmpe_jax.skeletons import SYNONYMS, Skeleton
from rmpe_jax.whole_body import HALPE26, HALPE136, WHOLEBODY133

# In this order a joint's sigma is looked up: sets with an evaluation of their own come first.
KNOWN = (
    skeletons.COCO17,
    skeletons.CROWDPOSE14,
    WHOLEBODY133,
    HALPE26,
    HALPE136,
    skeletons.MPII16,
    skeletons.LSP14,
    skeletons.POSETRACK17,
    skeletons.POSETRACK15,
)
DEFAULT_SIGMA = 0.079  # what CrowdPose gives head and neck, for which COCO has no sigma either
SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
MIRRORED = {"left": "right", "right": "left"}


def skeleton_of(category: dict, where: str) -> tuple[Skeleton, list[str]]:
    """Return the checked joint set of a category, and notes on what was guessed.

    `keypoints` are the names; optional are `skeleton` (pairs of numbers from 1), `flip_pairs`
    (pairs of names or of indices from 0), `sigmas` and `upper_body` (names or indices from 0).
    The joints keep the file's order and are called in lower case with the side in front, so that
    "Left Shoulder", "shoulder_left" and "lShoulder" become left_shoulder. Where they are those of
    a known set, that set itself is returned, and the other keys are not read.
    """
    given = _names(category, where)
    for known in KNOWN:
        if same_joints(given, known):
            return known, []
    joints, notes = _joints(given), []
    skeleton = Skeleton(
        str(category.get("name", "person")) + str(len(joints)),
        joints,
        _flip_pairs(category, given, joints, notes, where),
        _limbs(category, notes, where),
        _sigmas(category, joints, notes, where),
        _upper_body(category, given, joints, notes, where),
    )
    return skeletons.check(skeleton, where), notes


def read_skeleton(path: Path) -> Skeleton:
    """Return the joint set of a JSON file with the keys of `skeleton_of` and a `name`."""
    document = json_files.load(path)
    json_files.require(document, ("name", "keypoints"), str(path))
    skeleton, _ = skeleton_of(document, str(path))
    return skeleton if skeleton in KNOWN else skeleton._replace(name=str(document["name"]))


def same_joints(names: Any, skeleton: Skeleton) -> bool:
    """Return whether the names are those of the set, in its order, up to spelling and synonyms."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    return [place(canonical(name)) for name in names] == [place(name) for name in skeleton.joints]


def names_with(joints: int) -> list[str]:
    """Return the names of the known sets of that many joints."""
    return [known.name for known in KNOWN if len(known.joints) == joints]


def place(name: str) -> str:
    """Return the name that stands for a joint and its synonyms."""
    return SYNONYMS.get(name, name)


def canonical(name: str) -> str:
    """Return a joint's name in lower case, its words joined by _ and its side, if any, in front.

    A side is one of the words left, right, l and r. A name with two of them is ambiguous and keeps
    its words in their order.
    """
    words = _words(name)
    sides = [word for word in words if word in SIDES]
    if len(sides) == 1 and len(words) > 1:
        words.remove(sides[0])
        words = [SIDES[sides[0]], *words]
    return "_".join(words)


def _words(name: str) -> list[str]:
    # A capital starts a word, and of several capitals the last: "lShoulder", "LHip".
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
    spaced = re.sub(r"(?<![a-z])(left|right)(?=[a-z])", r"\1 ", spaced)  # "leftknee"
    return [word for word in re.split(r"[^a-z0-9]+", spaced) if word]


def _partner(name: str) -> str | None:
    """Return the name that a canonical name has in a mirror, if it has a side."""
    side, _, rest = name.partition("_")
    return f"{MIRRORED[side]}_{rest}" if side in MIRRORED else None


def _names(category: dict, where: str) -> list[str]:
    names = category.get("keypoints")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{where}: keypoints are {names!r}; a list of the joints' names is needed")
    return names


def _joints(given: list[str]) -> tuple[str, ...]:
    """Return the joints' names, the side in front where the other side is there as well."""
    plain = [canonical(name) for name in given]
    paired = [_partner(name) in plain for name in plain]
    return tuple(
        name if pair or _partner(name) is None else "_".join(_words(own))
        for own, name, pair in zip(given, plain, paired, strict=True)
    )


def _flip_pairs(
    category: dict, given: list[str], joints: tuple[str, ...], notes: list[str], where: str
) -> tuple[tuple[int, int], ...]:
    if "flip_pairs" in category:
        name = f"{where}: flip_pairs"
        pairs = _pairs(category["flip_pairs"], name)
        return tuple((_index(a, given, name), _index(b, given, name)) for a, b in pairs)
    partners = {name: _partner(name) for name in joints}
    pairs = tuple(
        (joints.index(name), joints.index(partner))
        for name, partner in partners.items()
        if name.startswith("left_") and partner in joints
    )
    notes.append(f"flip_pairs follow from left and right in the names: {len(pairs)} pairs")
    alone = [
        own
        for own, name in zip(given, joints, strict=True)
        if partners[name] not in joints and set(_words(own)) & set(SIDES)
    ]
    if alone:
        notes.append(f"no flip pair, the other side is missing or unclear: {', '.join(alone)}")
    return pairs


def _limbs(category: dict, notes: list[str], where: str) -> tuple[tuple[int, int], ...]:
    if not category.get("skeleton"):
        notes.append("no skeleton: drawings show joints without limbs")
        return ()
    pairs = _pairs(category["skeleton"], f"{where}: skeleton")
    for pair in pairs:
        if not all(type(end) is int and 1 <= end <= len(category["keypoints"]) for end in pair):
            raise ValueError(
                f"{where}: skeleton: {list(pair)} came; pairs of joint numbers from 1 to "
                f"{len(category['keypoints'])} are allowed"
            )
    return tuple((a - 1, b - 1) for a, b in pairs)


def _sigmas(
    category: dict, joints: tuple[str, ...], notes: list[str], where: str
) -> tuple[float, ...]:
    if "sigmas" in category:
        return tuple(json_files.numbers(category["sigmas"], None, f"{where}: sigmas"))
    spread: dict[str, tuple[str, float]] = {}
    for known in KNOWN:
        for name, sigma in zip(known.joints, known.sigmas, strict=True):
            spread.setdefault(place(name), (known.name, sigma))
    found = [spread.get(place(name)) for name in joints]
    sources = sorted({hit[0] for hit in found if hit})
    unknown = [name for name, hit in zip(joints, found, strict=True) if not hit]
    if sources:
        notes.append(f"sigmas are taken by name from {', '.join(sources)}")
    if unknown:
        notes.append(f"sigma {DEFAULT_SIGMA} is a guess for {', '.join(unknown)}")
    return tuple(hit[1] if hit else DEFAULT_SIGMA for hit in found)


def _upper_body(
    category: dict, given: list[str], joints: tuple[str, ...], notes: list[str], where: str
) -> tuple[int, ...]:
    if "upper_body" in category:
        if not isinstance(category["upper_body"], list):
            raise ValueError(
                f"{where}: upper_body is {category['upper_body']!r}; a list of joints is needed"
            )
        return tuple(_index(j, given, f"{where}: upper_body") for j in category["upper_body"])
    upper = {place(known.joints[joint]) for known in KNOWN for joint in known.upper_body}
    chosen = tuple(j for j, name in enumerate(joints) if place(name) in upper)
    notes.append(
        f"upper_body follows from the names: {', '.join(joints[j] for j in chosen) or 'none'}"
    )
    return chosen


def _pairs(value: Any, where: str) -> list[tuple]:
    if not isinstance(value, list) or not all(isinstance(p, list) and len(p) == 2 for p in value):
        raise ValueError(f"{where}: {value!r} came; a list of pairs is needed")
    return [tuple(pair) for pair in value]


def _index(joint: Any, given: list[str], where: str) -> int:
    """Return the index of a joint that is named, or counted from 0."""
    if type(joint) is int and 0 <= joint < len(given):
        return joint
    if isinstance(joint, str) and given.count(joint) == 1:
        return given.index(joint)
    raise ValueError(
        f"{where}: {joint!r} came; indices 0 to {len(given) - 1} and the names {given} are allowed"
    )
