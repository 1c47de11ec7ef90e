"""MPII Human Pose in two JSON layouts: HRNet's lists of persons, and this project's small copy.

Both count pixels from 1, as the release does. Everything here is less 1 (of the original's pixels,
where the copy is smaller), so that the upper left pixel is 0 as in COCO's files. Joints: MPII16.
Boxes and areas are ours (`extents`).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rmpe_jax.data import bodies, json_files
from rmpe_jax.data.bodies import Body
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import MPII16

HRNET_KEYS = ("image", "joints", "joints_vis", "scale", "center")
SMALL_KEYS = ("image", "width", "height", "orig_width", "orig_height", "persons")
PERSON_KEYS = ("joints", "joints_labelled", "visible", "scale", "center", "head_size")
# Size of the head over the distance of head top and upper neck, whose rectangle is not in the file:
# the median over the 2958 persons of valid.h5, which has both (quartiles 0.747 and 0.754).
HEAD_PER_NECK = 0.75


def index_hrnet(annotations: Path) -> list[Annotation]:
    """Return the images of HRNet's train.json or valid.json, with all their persons.

    joints_vis says which joints are labelled, not whether they can be seen: visibility 2 or 0.
    Head sizes are estimated as 0.75 x |head top - upper neck|, NaN without both.
    """
    entries = _list(json_files.load(annotations), f"{annotations}: the file")
    people: defaultdict[str, list[Body]] = defaultdict(list)
    for row, entry in enumerate(entries):
        where = f"{annotations}: entry {row}"
        json_files.require(entry, HRNET_KEYS, where)
        points = _points(entry["joints"], f"{where}: joints")
        labelled = json_files.numbers(entry["joints_vis"], len(points), f"{where}: joints_vis")
        joints = _joints(points, labelled, [1.0] * len(points), np.ones(2))
        centre, scale = _place(entry, np.ones(2), where)
        if centre is None and not (joints[:, 2] > 0).any():
            raise ValueError(
                f"{where}: neither a labelled joint nor a center and scale; nothing says where the "
                "person is"
            )
        people[entry["image"]].append(Body(joints, centre, scale, _neck_size(joints)))
    ids = bodies.image_ids(list(people))
    return _annotations(
        [(i, name, 0, 0, people[name], {}) for i, name in zip(ids, people, strict=True)]
    )


def index_small(annotations: Path) -> list[Annotation]:
    """Return the images of mpii_small.json; its coordinates are those of the stored, smaller copy.

    Images that the RMPE authors validated on are completely labelled (`facts["complete"]`), and all
    their people are one group, `facts["groups"]`; of other images people may be missing.
    """
    document = json_files.load(annotations)
    json_files.require(document, ("images",), str(annotations))
    images = _list(document["images"], f"{annotations}: images")
    rows = []
    for row, image in enumerate(images):
        where = f"{annotations}: image {row}"
        json_files.require(image, SMALL_KEYS, where)
        name = f"{where} ({image['image']})"
        # One pixel of the original, in pixels of the copy.
        pixel = np.array(
            [image["width"] / image["orig_width"], image["height"] / image["orig_height"]]
        )
        people = [
            _small_person(person, pixel, f"{name}: person {number}")
            for number, person in enumerate(_list(image["persons"], f"{name}: persons"))
        ]
        facts: dict[str, Any] = {}
        if image.get("in_rmpe_multi_val") and people:
            group = {"members": list(range(len(people))), "box_px": bodies.group_box(people)}
            facts = {"groups": [group], "complete": True}
        rows.append((0, image["image"], image["height"], image["width"], people, facts))
    ids = bodies.image_ids([row[1] for row in rows])
    return _annotations([(i, *row[1:]) for i, row in zip(ids, rows, strict=True)])


def _small_person(person: dict, pixel: Float[np.ndarray, " 2"], where: str) -> Body:
    json_files.require(person, PERSON_KEYS, where)
    points = _points(person["joints"], f"{where}: joints")
    labelled = json_files.numbers(
        person["joints_labelled"], len(points), f"{where}: joints_labelled"
    )
    if not any(labelled):
        raise ValueError(f"{where}: no joint is labelled; every person of this file has some")
    # Not every source of this file says what is hidden: then all labelled joints count as seen.
    visible = person["visible"] or [1.0] * len(points)
    seen = json_files.numbers(visible, len(points), f"{where}: visible")
    centre, scale = _place(person, pixel, where)
    size = person["head_size"]
    head = float("nan") if size is None else json_files.number(size, f"{where}: head_size")
    joints = _joints(points, labelled, seen, pixel)
    return Body(joints, centre, scale, head if head > 0 else float("nan"))


def _annotations(rows: list[tuple[int, str, int, int, list[Body], dict]]) -> list[Annotation]:
    """Return the records; people are numbered from 1 through all images."""
    entries, first_id = [], 1
    for image_id, name, height, width, people, facts in rows:
        persons = bodies.persons(people, first_id, len(MPII16.joints))
        entries.append(Annotation(image_id, name, height, width, persons, facts))
        first_id += len(people)
    return entries


def _list(value: Any, where: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{where}: a {type(value).__name__} came, a list is expected")
    return value


def _points(value: Any, where: str) -> Float[np.ndarray, "k 2"]:
    wanted = len(MPII16.joints)
    if not isinstance(value, list) or len(value) != wanted:
        came = f"{len(value)} came" if isinstance(value, list) else f"{value!r} came"
        raise ValueError(f"{where}: {came}, a list of {wanted} points [x, y] is expected")
    return np.array([json_files.numbers(p, 2, f"{where}: {n}") for n, p in enumerate(value)])


def _joints(
    points: Float[np.ndarray, "k 2"],
    labelled: list[float],
    seen: list[float],
    pixel: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "k 3"]:
    """Return joints less one pixel; those not labelled, and those at -1, are zeros."""
    known = (np.array(labelled) > 0) & ~(points == -1).all(axis=1)
    visibility = np.where(np.array(seen) > 0, 2.0, 1.0)
    return np.where(known[:, None], np.column_stack([points - pixel, visibility]), 0.0)


def _place(
    record: dict, pixel: Float[np.ndarray, " 2"], where: str
) -> tuple[Float[np.ndarray, " 2"] | None, float | None]:
    """Return the person's centre and scale; None and None where the file has null or -1."""
    if record["center"] is None or record["scale"] is None:
        return None, None
    centre = np.array(json_files.numbers(record["center"], 2, f"{where}: center"))
    scale = json_files.number(record["scale"], f"{where}: scale")
    return (None, None) if scale <= 0 or (centre == -1).all() else (centre - pixel, scale)


def _neck_size(joints: Float[np.ndarray, "k 3"]) -> float:
    neck, top = (joints[MPII16.joints.index(name)] for name in ("upper_neck", "head_top"))
    size = HEAD_PER_NECK * float(np.hypot(*(top - neck)[:2]))
    return size if neck[2] > 0 and top[2] > 0 and size > 0 else float("nan")
