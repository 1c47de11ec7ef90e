"""Read keypoint annotations in COCO's format; errors name file, record and field.

Pixels are those of the stored picture, 0 at its outer left (top) edge; the annotated numbers
are used as they stand. Boxes come as (x, y, width, height) and leave as corners.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from rmpe_jax.data import categories, extents, json_files
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import COCO17, Skeleton

SECTIONS = ("images", "annotations", "categories")
IMAGE_KEYS = ("id", "file_name", "height", "width")
PERSON_KEYS = ("id", "image_id", "category_id", "bbox")
Area = Literal["annotated", "box"]


def index(
    annotations: Path, skeleton: Skeleton | None = COCO17, *, area: Area = "annotated"
) -> list[Annotation]:
    """Return every image of the file in its order, with all its persons, crowds included.

    `skeleton=None` takes the joints as the file's own category has them (`own_skeleton`).
    `area="box"` makes every person's area 0.53 of the box, as CrowdPose scores; else only that of a
    person whose record has none. A person without `keypoints` has no labelled joint, one without
    `iscrowd` is no crowd; other keys are left. An image's crowdIndex goes to `facts`.
    """
    sections = read_sections(annotations)
    if skeleton is None:
        skeleton, _ = own_skeleton(sections, annotations)
    return index_sections(sections, skeleton, str(annotations), area=area)


def read_sections(path: Path) -> dict[str, list]:
    """Return the lists `images`, `annotations` and `categories` of a COCO-format file."""
    document = json_files.load(path)
    for key in SECTIONS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            came = sorted(document) if isinstance(document, dict) else type(document).__name__
            raise ValueError(
                f"{path}: no list '{key}'; a COCO keypoint file is an object with the lists "
                f"{', '.join(SECTIONS)}, and this is {came}"
            )
    return {key: document[key] for key in SECTIONS}


def own_skeleton(sections: dict[str, list], path: Path) -> tuple[Skeleton, list[str]]:
    """Return the joint set of the file's category of poses, and notes on what was guessed."""
    entries = sections["categories"]
    named = [entry for entry in entries if isinstance(entry, dict) and entry.get("keypoints")]
    if len(named) != 1:
        raise ValueError(
            f"{path}: {len(named)} of its {len(entries)} categories name keypoints, where one "
            "does in a file of poses; give the Skeleton of its joints"
        )
    return categories.skeleton_of(named[0], f"{path}: category {named[0].get('name')!r}")


def index_sections(
    sections: dict[str, list], skeleton: Skeleton, where: str, *, area: Area = "annotated"
) -> list[Annotation]:
    """Return the images of COCO-format lists, which `where` names in errors; see `index`."""
    category = _person_category(sections["categories"], skeleton, where)
    images = _images(sections["images"], where)
    people: defaultdict[int, list[dict]] = defaultdict(list)
    seen: set[int] = set()
    for row, record in enumerate(sections["annotations"]):
        json_files.require(record, PERSON_KEYS, f"{where}: annotation {row}")
        if record["category_id"] != category:
            continue
        name = f"{where}: annotation {record['id']}"
        if record["id"] in seen:
            raise ValueError(f"{name}: two records have this id; ids must differ")
        if record["image_id"] not in images:
            raise ValueError(
                f"{name}: image_id {record['image_id']!r} is not among the file's images"
            )
        seen.add(record["id"])
        people[record["image_id"]].append(_person(record, skeleton, area, name))
    return [
        Annotation(
            image_id,
            image["file_name"],
            image["height"],
            image["width"],
            _persons(people[image_id], len(skeleton.joints)),
            _facts(image, f"{where}: image {image_id}"),
        )
        for image_id, image in images.items()
    ]


def keypoints(values: Any, skeleton: Skeleton, where: str) -> Float[np.ndarray, "k 3"]:
    """Return joints (x, y, visibility) from COCO's flat list, checked against the joint set."""
    flat = np.array(json_files.numbers(values, None, f"{where}: keypoints"), np.float64)
    wanted = len(skeleton.joints)
    if len(flat) != 3 * wanted:
        fitting = categories.names_with(len(flat) // 3) if len(flat) % 3 == 0 else []
        also = f"; {len(flat) // 3} joints have {', '.join(fitting)}" if fitting else ""
        raise ValueError(
            f"{where}: keypoints: {len(flat)} values came, a list of {3 * wanted} numbers, x, y "
            f"and visibility of the {wanted} joints of {skeleton.name}, is expected{also}"
        )
    joints = flat.reshape(wanted, 3)
    for joint, visibility in zip(skeleton.joints, joints[:, 2], strict=True):
        if visibility not in (0, 1, 2):
            raise ValueError(
                f"{where}: keypoints: visibility of {joint} is {visibility:g}; 0 (not labelled), "
                "1 (hidden) and 2 (visible) are allowed"
            )
    return joints


def _images(records: list, where: str) -> dict[int, dict]:
    """Return the image records by id."""
    images = {}
    for row, record in enumerate(records):
        json_files.require(record, IMAGE_KEYS, f"{where}: image {row}")
        name = f"{where}: image {record['id']}"
        if record["id"] in images:
            raise ValueError(f"{name}: two records have this id; ids must differ")
        if not isinstance(record["file_name"], str):
            raise ValueError(f"{name}: file_name is {record['file_name']!r}, a text is expected")
        if not all(type(record[key]) is int and record[key] > 0 for key in ("height", "width")):
            raise ValueError(
                f"{name}: height {record['height']!r} and width {record['width']!r} came, whole "
                "numbers above 0 are allowed"
            )
        images[record["id"]] = record
    return images


def _person_category(entries: list, skeleton: Skeleton, where: str) -> int:
    """Return the id of the category that has the skeleton's joints.

    Some releases leave `keypoints` empty: then it is the category called person.
    """
    for row, entry in enumerate(entries):
        json_files.require(entry, ("id",), f"{where}: category {row}")
        if categories.same_joints(entry.get("keypoints") or (), skeleton):
            return entry["id"]
    unnamed = [entry["id"] for entry in entries if not entry.get("keypoints")]
    people = [entry["id"] for entry in entries if entry.get("name") == "person"]
    if len(unnamed) == len(entries) and len(people) == 1:
        return people[0]
    found = {entry.get("name"): entry.get("keypoints") for entry in entries}
    raise ValueError(
        f"{where}: no category has the joints of {skeleton.name}, {list(skeleton.joints)}; "
        f"it has {found}. Annotations of another joint set need their own Skeleton"
    )


def _person(record: dict, skeleton: Skeleton, area: Area, where: str) -> dict:
    """Return what is kept of a record, checked: joints, box, area, flags and id.

    A person of whom the file counts no keypoints (`num_keypoints` 0) is ignored, whatever is
    labelled: CrowdPose leaves head and neck out of its count, by which its evaluator goes.
    """
    x, y, width, height = json_files.numbers(record["bbox"], 4, f"{where}: bbox")
    if width < 0 or height < 0:
        raise ValueError(f"{where}: bbox {record['bbox']} is inverted; it is [x, y, width, height]")
    crowd = record.get("iscrowd", 0)
    if crowd not in (0, 1):  # True and False among them
        raise ValueError(f"{where}: iscrowd is {crowd!r}; 0, 1, true and false are allowed")
    if area == "annotated" and "area" in record:
        covered = json_files.number(record["area"], f"{where}: area")
        if covered < 0:
            raise ValueError(f"{where}: area is {covered:g}; square pixels, 0 or more, are allowed")
    else:
        covered = extents.AREA_SHARE * width * height
    given = record.get("keypoints")
    no_joints = np.zeros((len(skeleton.joints), 3))
    joints = keypoints(given, skeleton, where) if given not in (None, []) else no_joints
    return {
        "joints": joints,
        "box": (x, y, x + width, y + height),
        "area": covered,
        "crowd": bool(crowd),
        "ignored": bool(record.get("num_keypoints", 1) == 0 and np.any(joints[:, 2] > 0)),
        "id": record["id"],
    }


def _persons(people: list[dict], joints: int) -> Persons:
    return Persons(
        np.array([person["joints"] for person in people], np.float64).reshape(-1, joints, 3),
        np.array([person["box"] for person in people], np.float64).reshape(-1, 4),
        np.array([person["area"] for person in people], np.float64),
        np.array([person["crowd"] for person in people], bool),
        np.array([person["id"] for person in people], np.int64),
        np.full(len(people), np.nan),
        np.array([person["ignored"] for person in people], bool),
    )


def _facts(image: dict, where: str) -> dict[str, Any]:
    if "crowdIndex" not in image:
        return {}
    return {"crowd_index": json_files.number(image["crowdIndex"], f"{where}: crowdIndex")}
