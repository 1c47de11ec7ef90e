"""Seconds that each metric takes on 10,000 found poses over 2,500 photographs.

    python experiments/benchmarks/evaluators.py

Four people on each photograph, whose annotated poses are found with an error of some pixels and a
random score. From arrays in memory to the table (pycocotools: from dictionaries); the parts that a
bootstrap repeats, from the rankings or counts to the table, are timed by themselves, and 1,000 of
them together. Ranking alone: 30 judges of 100,000
detections on 5,000 photographs. The cases take turns; medians over the rounds. Writes
experiments/results/benchmark_evaluators.json.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np

from rmpe_jax.evaluation import (
    bootstrap,
    box_map,
    coco_figures,
    given_persons,
    mpii,
    posetrack,
    ranking,
    single_person,
    sticks,
)
from rmpe_jax.evaluation import coco as coco_reference
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.ranking import Ranking
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import COCO17, MPII16, Skeleton

PHOTOGRAPHS, PEOPLE = 2500, 4
CORNERS = [[0.0, 0.0], [300.0, 0.0], [300.0, 200.0], [0.0, 200.0]]  # of a region to ignore


def annotated(skeleton: Skeleton, generator: np.random.Generator) -> list[Annotation]:
    """Return the photographs, each of them one group with one region to ignore."""
    shots = []
    for row in range(PHOTOGRAPHS):
        corner = generator.uniform(0, 600, (PEOPLE, 1, 2))
        joints = corner + generator.uniform(0, 150, (PEOPLE, len(skeleton.joints), 2))
        persons = Persons(
            joints_px=np.concatenate([joints, np.full((*joints.shape[:2], 1), 2.0)], axis=2),
            boxes_px=np.concatenate([joints.min(axis=1), joints.max(axis=1)], axis=1),
            area=np.full(PEOPLE, 1e4),
            is_crowd=np.zeros(PEOPLE, bool),
            person_id=row * PEOPLE + np.arange(PEOPLE),
            head_size_px=np.full(PEOPLE, 30.0),
            is_ignored=np.zeros(PEOPLE, bool),
        )
        groups = [{"members": list(range(PEOPLE)), "box_px": [0, 0, 750, 750]}]
        facts = {"groups": groups, "ignore_px": [CORNERS]}
        shots.append(Annotation(row, f"{row}.jpg", 750, 750, persons, facts))
    return shots


def poses(photographs: list[Annotation], generator: np.random.Generator) -> Found:
    """Return one pose for each person."""
    joints = np.concatenate([shot.persons.joints_px[..., :2] for shot in photographs])
    boxes_px = np.concatenate([shot.persons.boxes_px for shot in photographs])
    return Found(
        image=np.repeat(np.arange(PHOTOGRAPHS), PEOPLE),
        joints_px=joints + generator.normal(0, 10, joints.shape),
        joint_score=generator.uniform(0, 1, joints.shape[:2]),
        score=generator.uniform(0, 1, len(joints)),
        person_id=np.concatenate([shot.persons.person_id for shot in photographs]),
        boxes_px=boxes_px,
    )


def records(photographs: list[Annotation], found: Found) -> list[dict[str, Any]]:
    """Return the poses as COCO results."""
    keypoints = np.concatenate([found.joints_px, found.joint_score[..., None]], axis=2)
    return [
        {
            "image_id": photographs[image].image_id,
            "category_id": 1,
            "keypoints": joints.reshape(-1).tolist(),
            "score": float(score),
        }
        for image, joints, score in zip(found.image, keypoints, found.score, strict=True)
    ]


def judged(generator: np.random.Generator) -> Ranking:
    """Return the ranking of 100,000 detections by 30 judges."""
    count, photographs = 100_000, 5000
    true = generator.random((30, count)) < 0.6
    false = ~true & (generator.random((30, count)) < 0.8)
    image = generator.integers(0, photographs, count)
    needed = generator.integers(10, 20, (30, photographs))
    return ranking.by_score(image, generator.random(count), true, false, needed)


def jobs(generator: np.random.Generator) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    shots, coco = annotated(MPII16, generator), annotated(COCO17, generator)
    found, of_coco = poses(shots, generator), poses(coco, generator)
    drawn = generator.multinomial(PHOTOGRAPHS, np.full(PHOTOGRAPHS, 1 / PHOTOGRAPHS))
    groups = mpii.judge(shots, found, MPII16)
    counts = given_persons.pckh(shots, found, MPII16)
    of_ten = coco_figures.judge(coco, of_coco, COCO17)
    truth, results = coco_reference.ground_truth(coco, COCO17), records(coco, of_coco)
    many = judged(generator)
    weights = generator.multinomial(5000, np.full(5000, 1 / 5000))
    return {
        "COCO's ten numbers": lambda: coco_figures.table(coco_figures.judge(coco, of_coco, COCO17)),
        "COCO's ten numbers, pycocotools": lambda: coco_reference.average_precision(
            truth, results, COCO17
        ),
        "COCO's ten numbers, 1,000 resamples": lambda: bootstrap.drawn(
            lambda weights: np.array(list(coco_figures.table(of_ten, weights).values())),
            PHOTOGRAPHS,
        ),
        "MPII mAP, 1,000 resamples": lambda: bootstrap.drawn(
            lambda weights: np.array(list(mpii.table(groups, weights).values())), PHOTOGRAPHS
        ),
        "MPII mAP": lambda: mpii.table(mpii.judge(shots, found, MPII16)),
        "MPII mAP, one draw": lambda: mpii.table(groups, drawn),
        "PoseTrack mAP": lambda: posetrack.table(posetrack.judge(shots, found, MPII16)),
        "mAP@0.1box": lambda: box_map.table(box_map.judge(coco, of_coco, COCO17)),
        "PCKh": lambda: single_person.pckh_table(given_persons.pckh(shots, found, MPII16), MPII16),
        "PCKh, one draw": lambda: single_person.pckh_table(counts, MPII16, drawn),
        "PCK": lambda: single_person.pck_table(given_persons.pck(shots, found, MPII16), MPII16),
        "PCP": lambda: sticks.pcp_table(given_persons.pcp(shots, found, MPII16), MPII16),
        "ranking, COCO's precision": lambda: ranking.interpolated_precision(many),
        "ranking, COCO's precision, one draw": lambda: ranking.interpolated_precision(
            many, weights
        ),
        "ranking, VOC's area": lambda: ranking.area_under_precision(many),
        "ranking, VOC's area, one draw": lambda: ranking.area_under_precision(many, weights),
        "ranking, recall, one draw": lambda: ranking.highest_recall(many, weights),
    }


def main() -> None:
    """Time all metrics in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    timed = jobs(np.random.default_rng(0))
    measured: dict[str, list[float]] = {name: [] for name in timed}
    for job in timed.values():
        job()
    for _ in range(arguments.rounds):
        for name, job in timed.items():
            began = time.perf_counter()
            job()
            measured[name].append(time.perf_counter() - began)
    medians = {name: round(statistics.median(values), 4) for name, values in measured.items()}
    common.write(
        "evaluators",
        {
            "photographs": PHOTOGRAPHS,
            "poses": PHOTOGRAPHS * PEOPLE,
            "rounds": arguments.rounds,
            "seconds": medians,
        },
    )


if __name__ == "__main__":
    main()
