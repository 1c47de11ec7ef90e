"""Photographs with made-up people and poses near them, for the tests of evaluators."""

import numpy as np

from rmpe_jax.evaluation.found import Found
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import COCO17, Skeleton


def photographs(
    generator: np.random.Generator, count: int, *, most: int = 5, skeleton: Skeleton = COCO17
) -> list[Annotation]:
    """Return photographs with up to `most` people: small and large, crowds, some without joints."""
    made = []
    for row in range(count):
        people = int(generator.integers(0, most + 1))
        low = generator.uniform(0, 300, (people, 2))
        sides = generator.uniform(20, 200, (people, 2))
        share = generator.uniform(0, 1, (people, len(skeleton.joints), 2))
        visibility = generator.integers(0, 3, (people, len(skeleton.joints)))
        visibility[generator.random(people) < 0.15] = 0
        joints = np.concatenate([low[:, None] + share * sides[:, None], visibility[..., None]], 2)
        joints[visibility == 0] = 0
        persons = Persons(
            joints_px=joints,
            boxes_px=np.concatenate([low, low + sides], axis=1),
            area=0.6 * sides.prod(axis=1),
            is_crowd=generator.random(people) < 0.1,
            person_id=100 * (row + 1) + np.arange(people),
            head_size_px=sides.min(axis=1) / 3,
            is_ignored=generator.random(people) < 0.1,
        )
        facts = {"crowd_index": float(generator.random())}
        made.append(Annotation(row + 1, f"{row + 1}.jpg", 500, 500, persons, facts))
    return made


def found(generator: np.random.Generator, entries: list[Annotation], *, spread: float) -> Found:
    """Return up to two poses near each person, some near nobody; scores differ."""
    image, joints, person_id, boxes = [], [], [], []
    for row, entry in enumerate(entries):
        persons = entry.persons
        for person in range(len(persons.area)):
            for _ in range(int(generator.integers(0, 3))):
                image.append(row)
                noise = generator.normal(0, spread, persons.joints_px[person, :, :2].shape)
                joints.append(persons.joints_px[person, :, :2] + noise)
                person_id.append(int(persons.person_id[person]))
                boxes.append(persons.boxes_px[person] + generator.normal(0, 8, 4))
    count = len(image)
    keypoints = np.array(joints).reshape(count, -1, 2)
    return Found(
        image=np.array(image, np.int64),
        joints_px=keypoints,
        joint_score=generator.permutation(keypoints.size // 2).reshape(keypoints.shape[:2]) + 0.5,
        score=generator.permutation(count) / max(count, 1),
        person_id=np.array(person_id, np.int64),
        boxes_px=np.array(boxes).reshape(count, 4),
    )


def records(entries: list[Annotation], poses: Found) -> list[dict]:
    """Return poses as COCO results."""
    made = []
    for row in range(len(poses.score)):
        joints = np.concatenate([poses.joints_px[row], poses.joint_score[row][:, None]], axis=1)
        low, high = poses.boxes_px[row, :2], poses.boxes_px[row, 2:]
        made.append(
            {
                "image_id": entries[poses.image[row]].image_id,
                "category_id": 1,
                "keypoints": joints.reshape(-1).tolist(),
                "score": float(poses.score[row]),
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "person_id": int(poses.person_id[row]),
            }
        )
    return made
