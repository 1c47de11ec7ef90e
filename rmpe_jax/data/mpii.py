"""MPII Human Pose as released: mpii_human_pose_v1_u12_1.mat, and groups_v12.mat beside it.

The release counts pixels from 1, as MATLAB does. Everything here is less 1, so that the upper left
pixel is 0 as in COCO's files. Joints: MPII16; a joint is_visible=1 has visibility 2, is_visible=0
has 1, and one that is not in the file 0 (neck and head top, which have no flag, 2). Boxes and areas
are ours (`extents`). The sizes of the images are not in the file: height and width are 0.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from rmpe_jax.data import bodies, extents, mat_files
from rmpe_jax.data.bodies import Body
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import MPII16

Split = Literal["train", "validation"]
FIRST_PIXEL = 1  # MATLAB's
RECTANGLE = ("x1", "y1", "x2", "y2")


def index(annotations: Path, split: Split, *, groups: Path | None = None) -> list[Annotation]:
    """Return the labelled images (img_train = 1) of a split that have people, in file order.

    The release has no validation set, and the RMPE paper does not say which tenth it held out:
    validation is where the SHA-1 of the file's name is divisible by 10. Rectangles with neither
    joints nor a place (objpos, scale) are left out.

    `facts["single"]` lists the rows of people in single_person, whom the single-person evaluation
    judges. With groups_v12.mat, `facts["groups"]` lists the image's multi-person groups, those
    without a member in single_person: {"members": rows of persons, "box_px": 40 x scale about all
    members}. Members without joints count for the box alone; a group without a labelled member is
    left out.
    """
    release = mat_files.structs(mat_files.load(annotations, "RELEASE"))
    if len(release) != 1 or not {"annolist", "img_train"} <= set(release[0].dtype.names or ()):
        raise ValueError(
            f"{annotations}: RELEASE has no annolist and img_train; expected MPII's "
            "mpii_human_pose_v1_u12_1.mat"
        )
    images = mat_files.structs(mat_files.field(release[0], "annolist"))
    labelled = mat_files.field(release[0], "img_train").ravel()
    singles = mat_files.field(release[0], "single_person").ravel()
    sets = None if groups is None else mat_files.load(groups, "groups").ravel()
    for name, column in (("img_train", labelled), ("single_person", singles), ("groups", sets)):
        if column is not None and len(column) != len(images):
            raise ValueError(
                f"{groups if name == 'groups' else annotations}: {name} has {len(column)} entries "
                f"for {len(images)} images; both files must be of one release"
            )
    names = [_file_name(image, f"{annotations}: image {row}") for row, image in enumerate(images)]
    ids = bodies.image_ids(names)
    entries, first_id = [], 1
    for row, image in enumerate(images):
        people = _people(image, f"{annotations}: image {names[row]}")
        rows = {rectangle: number for number, rectangle in enumerate(people)}
        kept = list(people.values())
        if labelled[row] == 1 and kept and of_split(names[row], split):
            alone = {int(number) - 1 for number in np.asarray(singles[row]).ravel()}
            facts: dict[str, Any] = {"single": [rows[n] for n in sorted(alone & set(rows))]}
            if sets is not None:
                facts["groups"] = _groups(sets[row], alone, people, rows)
            persons = bodies.persons(kept, first_id, len(MPII16.joints))
            entries.append(Annotation(ids[row], names[row], 0, 0, persons, facts))
        first_id += len(kept)
    return entries


def of_split(file_name: str, split: Split) -> bool:
    """Return whether an image is in the split: every tenth, by its name's SHA-1, validates."""
    tenth = int(hashlib.sha1(file_name.encode()).hexdigest(), 16) % 10 == 0
    return tenth == (split == "validation")


def _file_name(image: np.void, where: str) -> str:
    pictures = mat_files.structs(mat_files.field(image, "image"))
    name = mat_files.text(pictures[0], "name") if pictures else ""
    if not name:
        raise ValueError(f"{where}: no image.name; it has {image.dtype.names}")
    return name


def _people(image: np.void, where: str) -> dict[int, Body]:
    """Return the people of an image by the row of their rectangle."""
    people = {}
    for row, rectangle in enumerate(mat_files.structs(mat_files.field(image, "annorect"))):
        body = _body(rectangle, f"{where}: annorect {row + 1}")
        if body.box_px is not None:
            people[row] = body
    return people


def _body(rectangle: np.void, where: str) -> Body:
    places = mat_files.structs(mat_files.field(rectangle, "objpos"))
    centre = mat_files.numbers(places[0], ("x", "y")) if places else None
    scale = mat_files.number(rectangle, "scale")
    head = mat_files.numbers(rectangle, RECTANGLE)
    return Body(
        _joints(rectangle, where),
        None if centre is None else np.array(centre) - FIRST_PIXEL,
        scale if scale is not None and scale > 0 else None,
        float("nan") if head is None else extents.head_size(head[2] - head[0], head[3] - head[1]),
    )


def _joints(rectangle: np.void, where: str) -> Float[np.ndarray, "k 3"]:
    joints = np.zeros((len(MPII16.joints), 3))
    for points in mat_files.structs(mat_files.field(rectangle, "annopoints")):
        for point in mat_files.structs(mat_files.field(points, "point")):
            found = mat_files.numbers(point, ("id", "x", "y"))
            if found is None or found[0] not in range(len(joints)):
                raise ValueError(
                    f"{where}: a point has id, x and y {found}; an id from 0 to {len(joints) - 1} "
                    "and two numbers are allowed"
                )
            visible = mat_files.number(point, "is_visible")
            if visible not in (None, 0, 1):
                raise ValueError(
                    f"{where}: is_visible of {MPII16.joints[int(found[0])]} is {visible}; 0, 1 and "
                    "nothing are allowed"
                )
            joints[int(found[0])] = (
                found[1] - FIRST_PIXEL,
                found[2] - FIRST_PIXEL,
                1 if visible == 0 else 2,
            )
    return joints


def _groups(
    cell: Shaped[np.ndarray, "..."],
    alone: set[int],
    people: dict[int, Body],
    rows: dict[int, int],
) -> list[dict[str, Any]]:
    """Return the multi-person groups of an image; the file counts rectangles from 1.

    `alone` are the rectangles in single_person.
    """
    found = []
    for group in np.asarray(cell).ravel():
        rectangles = [int(number) - 1 for number in np.asarray(group).ravel()]
        known = [row for row in rectangles if row in people]
        members = [rows[row] for row in known if (people[row].joints_px[:, 2] > 0).any()]
        if members and not alone & set(rectangles):
            box_px = bodies.group_box([people[row] for row in known])
            found.append({"members": members, "box_px": box_px})
    return found
