"""Read COCO keypoint annotations and COCO-format detections; errors name file, record and field.

Pixels are those of the stored picture, 0 at its outer left (top) edge; the annotated numbers
are used as they stand. Boxes come as (x, y, width, height) and leave as corners.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rmpe_jax.data import images as image_files
from rmpe_jax.data.images import ImageError
from rmpe_jax.records import Annotation, Detections, Persons, Photograph
from rmpe_jax.skeletons import COCO17, Skeleton

SECTIONS = ("images", "annotations", "categories")
IMAGE_KEYS = ("id", "file_name", "height", "width")
PERSON_KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "keypoints")
DETECTION_KEYS = ("category_id", "bbox", "score")
PERSON_CATEGORY = 1  # COCO's category id of a person


def index(annotations: Path, skeleton: Skeleton = COCO17) -> list[Annotation]:
    """Return every image of the file in its order, with all its persons, crowds included."""
    sections = _sections(annotations)
    category = _person_category(sections["categories"], skeleton, annotations)
    images = _images(sections["images"], annotations)
    people = defaultdict(list)
    for row, record in enumerate(sections["annotations"]):
        _require(record, PERSON_KEYS, f"{annotations}: annotation {row}")
        if record["category_id"] == category:
            _check_person(record, images, skeleton, f"{annotations}: annotation {record['id']}")
            people[record["image_id"]].append(record)
    return [
        Annotation(
            image["id"],
            image["file_name"],
            image["height"],
            image["width"],
            _persons(people[image_id], len(skeleton.joints)),
            {},
        )
        for image_id, image in images.items()
    ]


def read(
    annotations: Path,
    images: Path,
    skeleton: Skeleton = COCO17,
    *,
    on_skip: Callable[[ImageError], None],
) -> Iterator[Photograph]:
    """Yield every photograph with its people; one that cannot be read goes to `on_skip`."""
    return photographs(index(annotations, skeleton), images, on_skip=on_skip)


def photographs(
    entries: list[Annotation], images: Path, *, on_skip: Callable[[ImageError], None]
) -> Iterator[Photograph]:
    """Yield the photographs of an index; one that cannot be read goes to `on_skip`.

    Every picture is decoded once, so that a broken one is found here and not in the middle of a
    run. It is an error when none can be read.
    """
    skipped = 0
    for entry in entries:
        path = images / entry.file_name
        try:
            encoded = image_files.read_bytes(path)
            image_files.decode(encoded, str(path), size=(entry.height, entry.width))
        except ImageError as error:
            skipped += 1
            on_skip(error)
            continue
        yield Photograph(jpeg=encoded, **entry._asdict())
    if skipped == len(entries):
        raise ValueError(
            f"{images}: none of the {len(entries)} annotated images can be read there; is it the "
            "right folder?"
        )


def read_detections(path: Path, *, category: int = PERSON_CATEGORY) -> dict[int | str, Detections]:
    """Return the boxes of each image in the file's order; rows of other categories are left.

    The key is what a row names its image by: `image_id`, a number or a file name, or, in sets
    without numbers, `image`, a file name. Scores are in [0, 1]. No row is padding: all are valid.
    """
    rows = _load(path)
    if not isinstance(rows, list):
        raise ValueError(
            f"{path}: a {type(rows).__name__} came where COCO results are a list of "
            '{"image_id", "category_id", "bbox": [x, y, width, height], "score"}'
        )
    boxes, scores = defaultdict(list), defaultdict(list)
    for row, record in enumerate(rows):
        where = f"{path}: row {row}"
        _require(record, DETECTION_KEYS, where)
        if record["category_id"] != category:
            continue
        x, y, width, height = _numbers(record["bbox"], 4, f"{where}: bbox")
        if not (width > 0 and height > 0):
            raise ValueError(
                f"{where}: bbox {record['bbox']} is empty or inverted; "
                "[x, y, width, height] with a width and height above 0 is allowed"
            )
        image = _image_of(record, where)
        boxes[image].append((x, y, x + width, y + height))
        (score,) = _numbers([record["score"]], 1, f"{where}: score")
        if not 0 <= score <= 1:
            raise ValueError(
                f"{where}: score is {score}; a share in [0, 1] is expected (divide percents by "
                "100, pass logits through a sigmoid)"
            )
        scores[image].append(score)
    return {
        image: Detections(
            np.array(boxes[image]), np.array(scores[image]), np.ones(len(boxes[image]), bool)
        )
        for image in boxes
    }


def of_image(
    proposals: dict[int | str, Detections], image_id: int | None, file_name: str
) -> Detections:
    """Return the boxes of one image, found by its number or its file's name; perhaps none."""
    none = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool))
    by_number = none if image_id is None else proposals.get(image_id, none)
    return proposals.get(file_name, by_number)


def _image_of(record: dict, where: str) -> int | str:
    """Return what a row of detections names its image by."""
    image = record.get("image_id", record.get("image"))
    if isinstance(image, bool) or not isinstance(image, int | str):
        raise ValueError(
            f"{where}: image_id is {image!r}; a whole number or a file name is expected (the file "
            "name may also be called image)"
        )
    return image


def _load(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; expected a COCO JSON file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is no UTF-8 text; expected JSON") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        cut = "; the file ends here: is it cut off?" if error.pos >= len(text.rstrip()) else ""
        raise ValueError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno} (character "
            f"{error.pos} of {len(text)}): {error.msg}{cut}"
        ) from error


def _sections(path: Path) -> dict[str, list]:
    document = _load(path)
    for key in SECTIONS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            came = sorted(document) if isinstance(document, dict) else type(document).__name__
            raise ValueError(
                f"{path}: no list '{key}'; a COCO keypoint file is an object with the lists "
                f"{', '.join(SECTIONS)}, and this is {came}"
            )
    return {key: document[key] for key in SECTIONS}


def _images(records: list, path: Path) -> dict[int, dict]:
    """Return the image records by id."""
    images = {}
    for row, record in enumerate(records):
        _require(record, IMAGE_KEYS, f"{path}: image {row}")
        where = f"{path}: image {record['id']}"
        if record["id"] in images:
            raise ValueError(f"{where}: two records have this id; ids must differ")
        if not all(type(record[key]) is int and record[key] > 0 for key in ("height", "width")):
            raise ValueError(
                f"{where}: height {record['height']!r} and width {record['width']!r} came, whole "
                "numbers above 0 are allowed"
            )
        images[record["id"]] = record
    return images


def _require(record: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(record, dict):
        raise ValueError(f"{where}: a {type(record).__name__} came, an object is expected")
    missing = [key for key in keys if key not in record]
    if missing:
        name = f" (id {record['id']})" if "id" in record else ""
        raise ValueError(f"{where}{name}: no {', '.join(missing)}; it has {sorted(record)}")
    for key in keys:
        if key.endswith("id") and type(record[key]) is not int:
            raise ValueError(f"{where}: {key} is {record[key]!r}, a whole number is expected")


def _numbers(values: Any, count: int, where: str) -> list[float]:
    """Return `values` if they are `count` finite numbers."""
    if not isinstance(values, list) or len(values) != count:
        came = f"{len(values)} values" if isinstance(values, list) else f"{values!r}"
        raise ValueError(f"{where}: {came} came, a list of {count} numbers is expected")
    for position, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"{where}: value {position} is {value!r}, finite numbers are allowed")
    return [float(value) for value in values]


def _person_category(categories: list, skeleton: Skeleton, path: Path) -> int:
    """Return the id of the category that has the skeleton's joints."""
    for category in categories:
        if tuple(category.get("keypoints", ())) == skeleton.joints:
            return category["id"]
    found = {category.get("name"): category.get("keypoints") for category in categories}
    raise ValueError(
        f"{path}: no category has the joints of {skeleton.name}, {list(skeleton.joints)}; "
        f"it has {found}. Annotations of another joint set need their own Skeleton"
    )


def _check_person(record: dict, images: dict, skeleton: Skeleton, where: str) -> None:
    if record["image_id"] not in images:
        raise ValueError(f"{where}: image_id {record['image_id']!r} is not among the file's images")
    _, _, width, height = _numbers(record["bbox"], 4, f"{where}: bbox")
    if width < 0 or height < 0:
        raise ValueError(f"{where}: bbox {record['bbox']} is inverted; it is [x, y, width, height]")
    _numbers([record["area"]], 1, f"{where}: area")
    joints = _numbers(record["keypoints"], 3 * len(skeleton.joints), f"{where}: keypoints")
    for joint, visibility in zip(skeleton.joints, joints[2::3], strict=True):
        if visibility not in (0, 1, 2):
            raise ValueError(
                f"{where}: keypoints: visibility of {joint} is {visibility:g}; 0 (not labelled), "
                "1 (hidden) and 2 (visible) are allowed"
            )


def _persons(records: list[dict], joints: int) -> Persons:
    boxes = np.array([record["bbox"] for record in records], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Persons(
        np.array([r["keypoints"] for r in records], np.float64).reshape(-1, joints, 3),
        boxes,
        np.array([record["area"] for record in records], np.float64),
        np.array([record["iscrowd"] for record in records], bool),
        np.array([record["id"] for record in records], np.int64),
        np.full(len(records), np.nan),
    )
