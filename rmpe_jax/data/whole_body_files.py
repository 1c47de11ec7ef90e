"""Whole bodies: COCO-WholeBody (133 joints) and Halpe (136, or their first 26), in COCO's format.

Pixels as in `coco`: the annotated numbers as they stand.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from rmpe_jax.data import coco, json_files
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import COCO17, Skeleton
from rmpe_jax.whole_body import HALPE26, HALPE136, WHOLEBODY133

# The parts in the order of WHOLEBODY133: joints of each, and the flag that says it is labelled.
PARTS = {
    "foot_kpts": (6, "foot_valid"),
    "face_kpts": (68, "face_valid"),
    "lefthand_kpts": (21, "lefthand_valid"),
    "righthand_kpts": (21, "righthand_valid"),
}


def index_wholebody(annotations: Path) -> list[Annotation]:
    """Return the images of a COCO-WholeBody file, people with the joints of WHOLEBODY133.

    The third number of a part's joint is COCO's visibility in some records and the confidence of a
    labelling network in others; as in the set's own evaluation, what is above 0 is labelled. It
    stays when it is 1 or 2, and becomes 2, visible, else. A part that is not valid is not labelled.
    """
    sections = coco.read_sections(annotations)
    people = [
        _whole(record, f"{annotations}: annotation {row}")
        for row, record in enumerate(sections["annotations"])
    ]
    named = [category | {"keypoints": []} for category in sections["categories"]]
    sections = sections | {"annotations": people, "categories": named}
    return coco.index_sections(sections, WHOLEBODY133, str(annotations))


def index_halpe(annotations: Path, skeleton: Skeleton = HALPE136) -> list[Annotation]:
    """Return the images of a Halpe file, people with the joints of HALPE136 or HALPE26.

    The file has 136 joints, of which the 26 are the first. Places with visibility 0, which it
    stores for doubtful joints of the face, are not labelled.
    """
    if skeleton not in (HALPE136, HALPE26):
        raise ValueError(
            f"Halpe files have the joints of HALPE136 and HALPE26; {skeleton.name} came"
        )
    whole = coco.index(annotations, HALPE136)
    kept = len(skeleton.joints)
    return [
        entry._replace(persons=entry.persons._replace(joints_px=entry.persons.joints_px[:, :kept]))
        for entry in whole
    ]


def _whole(record: dict, where: str) -> dict:
    json_files.require(record, ("id", "keypoints", *PARTS), where)
    where = f"{where} (id {record['id']})"
    body = coco.keypoints(record["keypoints"], COCO17, where)
    parts = [
        _part(record[key], joints, bool(record.get(valid, True)), f"{where}: {key}")
        for key, (joints, valid) in PARTS.items()
    ]
    whole = np.concatenate([body, *parts])
    # The file counts the body's joints alone.
    return record | {
        "keypoints": whole.ravel().tolist(),
        "num_keypoints": int((whole[:, 2] > 0).sum()),
    }


def _part(values: list, joints: int, valid: bool, where: str) -> Float[np.ndarray, "k 3"]:
    part = np.array(json_files.numbers(values, 3 * joints, where)).reshape(joints, 3)
    sure = part[:, 2]
    if (sure < 0).any():
        raise ValueError(
            f"{where}: visibility {sure.min():g} came; 0 and numbers above are allowed"
        )
    kept = np.where(np.isin(sure, (0, 1, 2)), sure, 2)
    return np.column_stack([part[:, :2], kept if valid else np.zeros(joints)])
