"""PoseTrack: the JSON files of 2018 (and 2021, the same), and the annolist of 2017.

Pixels as in `coco`: the annotated numbers as they stand. File names are relative to the folder of
the release that holds images/. `facts` have "video", "frame" (its number in the video) and
"ignore_px", polygons [[x, y], ...] in which nothing is judged.
"""

from pathlib import Path
from typing import Any

import numpy as np

from rmpe_jax.data import bodies, coco, extents, json_files
from rmpe_jax.data.bodies import Body
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import POSETRACK15, POSETRACK17

Box = list[float]


def index(annotations: Path) -> tuple[list[Annotation], int]:
    """Return the labelled frames of one file, or of all .json files of a folder, by name.

    And how many frames are not labelled and left out.

    The third number of a joint says that it is labelled (1) and nothing of being hidden, so it
    becomes COCO's 2; (0, 0, 0) is not labelled, which the ears never are. The size of the head is
    0.6 x the diagonal of bbox_head. A person without a bbox has that of the joints, grown as in
    `extents`, or of the head.
    """
    paths = sorted(annotations.glob("*.json")) if annotations.is_dir() else [annotations]
    if not paths:
        raise ValueError(f"{annotations}: no .json file in this folder; one a video is expected")
    read = [_of_file(path) for path in paths]
    entries = [entry for labelled, _ in read for entry in labelled]
    seen: set[int] = set()
    for entry in entries:
        if entry.image_id in seen:
            raise ValueError(
                f"{annotations}: image {entry.image_id} is in two of its {len(paths)} files; give "
                "a folder with one file a video, or a single file"
            )
        seen.add(entry.image_id)
    return entries, sum(left_out for _, left_out in read)


def index_annolist(annotations: Path) -> list[Annotation]:
    """Return the frames of a PoseTrack 2017 annolist (poseval's format), joints of POSETRACK15.

    is_visible 1 has visibility 2, 0 has 1; joints that are not listed 0. Boxes and areas are ours
    (`extents`), or the head's where nothing else is labelled. The sizes of the images are not in
    the file: height and width are 0.
    """
    document = json_files.load(annotations)
    json_files.require(document, ("annolist",), str(annotations))
    frames = document["annolist"]
    names = [_frame_name(frame, f"{annotations}: frame {row}") for row, frame in enumerate(frames)]
    ids, entries, first_id = bodies.image_ids(names), [], 1
    for image_id, name, frame in zip(ids, names, frames, strict=True):
        where = f"{annotations}: frame {name}"
        people = [
            _rectangle(rectangle, f"{where}: annorect {row}")
            for row, rectangle in enumerate(frame.get("annorect") or [])
        ]
        persons = bodies.persons(people, first_id, len(POSETRACK15.joints))
        first_id += len(people)
        polygons = [
            [[_first(p, "x", where), _first(p, "y", where)] for p in region.get("point", [])]
            for region in frame.get("ignore_regions") or []
        ]
        video = frame.get("seq_name") or Path(name).parent.name
        facts = {"video": str(video), "frame": _frame(name, image_id), "ignore_px": polygons}
        entries.append(Annotation(image_id, name, 0, 0, persons, facts))
    return entries


def _of_file(path: Path) -> tuple[list[Annotation], int]:
    sections = coco.read_sections(path)
    for key in ("images", "annotations"):
        for row, record in enumerate(sections[key]):
            json_files.require(record, ("id",), f"{path}: {key.removesuffix('s')} {row}")
    images = [image for image in sections["images"] if image.get("is_labeled", True)]
    left_out = {image["id"] for image in sections["images"]} - {image["id"] for image in images}
    people = [
        _seen(record, f"{path}: annotation {record['id']}")
        for record in sections["annotations"]
        if record.get("image_id") not in left_out
    ]
    heads = {record["id"]: _head(record, str(path)) for record in people}
    found = coco.index_sections(
        sections | {"images": images, "annotations": people}, POSETRACK17, str(path)
    )
    labelled = [
        entry._replace(
            persons=entry.persons._replace(
                head_size_px=np.array([heads[int(i)] for i in entry.persons.person_id], np.float64)
            ),
            facts=_facts(image, f"{path}: image {entry.image_id}"),
        )
        for entry, image in zip(found, images, strict=True)
    ]
    return labelled, len(left_out)


def _seen(record: dict, where: str) -> dict:
    """Return the record with a box, and visibility 2 for its labelled joints."""
    flat = record.get("keypoints") or [0] * (3 * len(POSETRACK17.joints))
    joints = coco.keypoints(flat, POSETRACK17, where)
    joints[:, 2] = np.where(joints[:, 2] > 0, 2, 0)
    box = record.get("bbox") or None
    if box is None:
        extent = extents.box_of(joints)
        box = record.get("bbox_head") if extent is None else _sides(extent.tolist())
        if not box:
            raise ValueError(f"{where}: no bbox, no labelled joint and no bbox_head")
    return record | {"keypoints": joints.ravel().tolist(), "bbox": box}


def _sides(box: Box) -> Box:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _head(record: dict, where: str) -> float:
    """Return the size of a head whose rectangle is [x, y, width, height]; NaN without one."""
    if not record.get("bbox_head"):
        return float("nan")
    name = f"{where}: annotation {record['id']}: bbox_head"
    _, _, width, height = json_files.numbers(record["bbox_head"], 4, name)
    return extents.head_size(width, height)


def _facts(image: dict, where: str) -> dict[str, Any]:
    columns, rows = image.get("ignore_regions_x", []), image.get("ignore_regions_y", [])
    if [len(xs) for xs in columns] != [len(ys) for ys in rows]:
        raise ValueError(
            f"{where}: ignore_regions_x and ignore_regions_y have polygons of "
            f"{[len(xs) for xs in columns]} and {[len(ys) for ys in rows]} corners; they must agree"
        )
    polygons = [
        [[float(x), float(y)] for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(columns, rows, strict=True)
    ]
    name = image["file_name"]
    # vid_id is not unique: 000001 is a video of bonn_train and one of mpiinew_test.
    return {
        "video": Path(name).parent.name or str(image.get("vid_id", "")),
        "frame": _frame(name, image["id"]),
        "ignore_px": polygons,
    }


def _frame(file_name: str, image_id: int) -> int:
    stem = Path(file_name).stem
    return int(stem) if stem.isdecimal() else image_id


def _frame_name(frame: Any, where: str) -> str:
    json_files.require(frame, ("image",), where)
    image = frame["image"]
    if not isinstance(image, list) or not image or not isinstance(image[0].get("name"), str):
        raise ValueError(f'{where}: image is {image!r}; [{{"name": file}}] is expected')
    return image[0]["name"]


def _rectangle(record: dict, where: str) -> Body:
    joints = np.zeros((len(POSETRACK15.joints), 3))
    for points in record.get("annopoints") or []:
        for point in points.get("point") or []:
            joint = _first(point, "id", where)
            if joint not in range(len(joints)):
                raise ValueError(
                    f"{where}: a point has id {joint:g}; 0 to {len(joints) - 1} are allowed"
                )
            hidden = point.get("is_visible") and _first(point, "is_visible", where) == 0
            place = (_first(point, "x", where), _first(point, "y", where))
            joints[int(joint)] = (*place, 1 if hidden else 2)
    head = [_first(record, key, where) for key in ("x1", "y1", "x2", "y2")]
    size = extents.head_size(head[2] - head[0], head[3] - head[1])
    return Body(joints, None, None, size, np.array(head))


def _first(record: dict, key: str, where: str) -> float:
    """Return the one number that the file wraps in a list."""
    if key not in record:
        raise ValueError(f"{where}: no {key}; it has {sorted(record)}")
    return json_files.numbers(record[key], 1, f"{where}: {key}")[0]
