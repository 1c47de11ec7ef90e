"""Where poses are good and where not: AP by crowd, box and visibility, and of each photograph.

As with COCO's ranges of size, a part of the people is to be found and the others are neither
missed nor false. A pose that finds nobody counts as false with its photograph; where people of one
photograph are parted, with the person whose box it overlaps most, and if it overlaps nobody's with
every part.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.evaluation import oks, ranking
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.multi_person import pairs
from rmpe_jax.evaluation.oks import Meeting
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

# Parts by the lowest value in each; the last has no end.
PEOPLE = {"1": 1.0, "2": 2.0, "3-5": 3.0, "6-9": 6.0, "10+": 10.0}
IOU = {"below 0.5": -np.inf, "0.5-0.7": 0.5, "0.7-0.9": 0.7, "0.9+": 0.9}
VISIBLE = {"below half": 0.0, "half or more": 0.5, "all": 1.0}


def breakdown(
    photographs: Sequence[Annotation], found: Found, skeleton: Skeleton
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return AP and the number of people for each part, by `people`, `box_iou` and `visible`.

    people: those to find on the photograph; photographs without any are in no part. box_iou: of the
    person's box with the best of the boxes in which poses were made; left out where these are not
    told. visible: share of the labelled joints that are not hidden; left out where nothing is
    marked hidden.
    """
    persons, image = everyone(photographs, skeleton)
    meeting = oks.meeting(persons, image, len(photographs), found, skeleton.sigmas)
    counts = persons.to_find
    on_photograph = np.bincount(image[counts], minlength=len(photographs)).astype(np.float64)
    whole = np.where(on_photograph > 0, part_of(on_photograph, PEOPLE), len(PEOPLE))  # in none
    made = {"people": _parts(meeting, found, counts, whole[image], whole[found.image], PEOPLE)}
    values = {}
    if len(found.score) and not np.isnan(found.boxes_px).any():
        values["box_iou"] = (IOU, _best_iou(persons.boxes_px, image, found.boxes_px, found.image))
    visibility = persons.joints_px[..., 2]
    if (visibility[counts] == 1).any():
        labelled = np.maximum((visibility > 0).sum(axis=1), 1)
        values["visible"] = (VISIBLE, (visibility == 2).sum(axis=1) / labelled)
    whose = _whose(persons.boxes_px, image, found)
    for name, (parts, value) in values.items():
        part = part_of(value, parts)
        made[name] = _parts(meeting, found, counts, part, np.append(part, -1)[whose], parts)
    return made


def part_of(value: Float[np.ndarray, " n"], parts: dict[str, float]) -> Int[np.ndarray, " n"]:
    """Return the row of the part in which each value lies."""
    lowest = np.array(list(parts.values()))
    return np.maximum(np.searchsorted(lowest, value, side="right") - 1, 0)


def worst(
    photographs: Sequence[Annotation], found: Found, skeleton: Skeleton, count: int = 10
) -> list[tuple[int, float]]:
    """Return (row, AP) of the photographs with the lowest AP of their own.

    Of equals those with more people come first. Photographs without anybody to find are left out.
    """
    own, people = of_each(photographs, found, skeleton)
    own = np.where(np.isnan(own), np.inf, own)
    lowest = np.lexsort((-people, np.round(own, 6)))[:count]  # precision has an epsilon
    return [(int(row), float(own[row])) for row in lowest if np.isfinite(own[row])]


def of_each(
    photographs: Sequence[Annotation], found: Found, skeleton: Skeleton
) -> tuple[Float[np.ndarray, " i"], Int[np.ndarray, " i"]]:
    """Return the AP of each photograph alone, NaN without anybody to find, and how many to find."""
    persons, image = everyone(photographs, skeleton)
    meeting = oks.meeting(persons, image, len(photographs), found, skeleton.sigmas)
    all_false = np.ones(len(found.score), bool)
    judged = oks.ranking(meeting, found.score, [meeting.to_find], [all_false])
    people = judged.needed[0]
    order = np.argsort(judged.image, kind="stable")  # by photograph, and there by score
    first = np.searchsorted(judged.image[order], np.arange(len(photographs) + 1))
    own = np.full(len(photographs), np.nan)
    for row in np.flatnonzero(people):
        at = order[first[row] : first[row + 1]]
        alone = ranking.Ranking(
            np.zeros(len(at), np.int64),
            judged.true[:, at],
            judged.false[:, at],
            judged.needed[:, row : row + 1],
        )
        own[row] = ranking.interpolated_precision(alone).mean()
    return own, people


def _parts(
    meeting: Meeting,
    found: Found,
    counts: Bool[np.ndarray, " g"],
    part: Int[np.ndarray, " g"],
    pose_part: Int[np.ndarray, " n"],
    names: Iterable[str],
) -> dict[str, dict[str, Any]]:
    """Return the figures of each part with people; a pose of part -1 belongs to all."""
    members = {name: counts & (part == row) for row, name in enumerate(names)}
    counted = [np.append(inside, False)[meeting.person] for inside in members.values()]
    judged = [(pose_part < 0) | (pose_part == row) for row in range(len(members))]
    ranked = oks.ranking(meeting, found.score, counted, judged)
    precision = ranking.interpolated_precision(ranked).reshape(len(members), -1)
    return {
        name: {"AP": float(own.mean()), "people": int(inside.sum())}
        for (name, inside), own in zip(members.items(), precision, strict=True)
        if inside.any()
    }


def _whose(
    boxes_px: Float[np.ndarray, "g 4"], image: Int[np.ndarray, " g"], found: Found
) -> Int[np.ndarray, " n"]:
    """Return the person whose box each pose overlaps most, -1 if none."""
    low, high = found.joints_px.min(axis=1), found.joints_px.max(axis=1)
    pose, person = pairs(found.image, image)
    iou = _iou(np.concatenate([low, high], axis=1)[pose], boxes_px[person])
    whose, order = np.full(len(found.score), -1), np.argsort(iou, kind="stable")
    order = order[iou[order] > 0]
    whose[pose[order]] = person[order]  # of several the last stays, which has the largest overlap
    return whose


def _best_iou(
    boxes_px: Float[np.ndarray, "g 4"],
    image: Int[np.ndarray, " g"],
    given_px: Float[np.ndarray, "n 4"],
    given_image: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " g"]:
    """Return the IoU of each person's box with the best of those given; 0 without any."""
    person, given = pairs(image, given_image)
    best = np.zeros(len(image))
    np.maximum.at(best, person, _iou(boxes_px[person], given_px[given]))
    return best


def _iou(
    one_px: Float[np.ndarray, "m 4"], other_px: Float[np.ndarray, "m 4"]
) -> Float[np.ndarray, " m"]:
    """Return the intersection over union of m pairs of boxes."""
    low = np.maximum(one_px[:, :2], other_px[:, :2])
    high = np.minimum(one_px[:, 2:], other_px[:, 2:])
    both = np.maximum(high - low, 0).prod(axis=1)
    union = boxes.size(one_px).prod(axis=1) + boxes.size(other_px).prod(axis=1) - both
    return np.where(union > 0, both / np.where(union > 0, union, 1), 0)
