"""Object Keypoint Similarity (OKS), and which poses find whom: COCO's protocol on whole arrays.

What pycocotools' evaluateImg does photograph by photograph is done for all of them at once, for
any choice of the people who count. So its figures can be taken again on parts of a set and on the
draws of a bootstrap. Pixels as annotated; float64, as there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.ranking import SMALLEST, Ranking, by_score
from rmpe_jax.records import Persons

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST = 20  # poses of one photograph that count, by score
RANGES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # px^2


class Meeting(NamedTuple):
    """The poses that count and the people of i photographs, padded to d poses and g people.

    Poses come by falling score. `pose` and `person` are rows of what was found and annotated, -1
    where there is none; `oks` is -1 there.
    """

    oks: Float[np.ndarray, "i d g"]
    pose: Int[np.ndarray, "i d"]
    person: Int[np.ndarray, "i g"]
    crowd: Bool[np.ndarray, "i g"]
    to_find: Bool[np.ndarray, "i g"]


def meeting(
    persons: Persons,
    image: Int[np.ndarray, " p"],
    photographs: int,
    found: Found,
    sigmas: Sequence[float],
) -> Meeting:
    """Return who meets whom on each photograph, and how similar they are.

    `persons` are all people, `image` the rows of their photographs (`everyone.everyone`).
    """
    pose = _best(found, photographs)
    person = _in_rows(image, photographs)
    shape = (*pose.shape, person.shape[1])
    there = (pose >= 0)[:, :, None] & (person >= 0)[:, None, :]
    i, d, g = np.nonzero(there)
    oks = np.full(shape, -1.0)
    oks[i, d, g] = similarities(persons, person[i, g], found.joints_px, pose[i, d], sigmas)
    crowd, to_find = (_padded(of, person) for of in (persons.is_crowd, persons.to_find))
    return Meeting(oks, pose, person, crowd, to_find)


def similarities(
    persons: Persons,
    person: Int[np.ndarray, " m"],
    joints_px: Float[np.ndarray, "n k 2"],
    pose: Int[np.ndarray, " m"],
    sigmas: Sequence[float],
) -> Float[np.ndarray, " m"]:
    """Return the OKS of m pairs of a person and a pose.

    exp(-d^2 / (2 area (2 sigma)^2)), its mean over the labelled joints. A person without one is
    near where the joints lie in the box of three times the sides (COCOeval.computeOks).
    """
    labelled = np.asarray(persons.joints_px[person, :, 2] > 0)
    anything = np.any(labelled, axis=1)
    away = joints_px[pose] - persons.joints_px[person, :, :2]
    low, high = persons.boxes_px[person, None, :2], persons.boxes_px[person, None, 2:]
    sides = high - low
    outside = np.maximum(low - sides - joints_px[pose], 0)
    outside += np.maximum(joints_px[pose] - high - sides, 0)
    away = np.where(anything[:, None, None], away, outside)
    spread = (2 * np.asarray(sigmas)) ** 2
    exponent = (away**2).sum(axis=2) / spread / (persons.area[person, None] + SMALLEST) / 2
    counts = labelled | ~anything[:, None]
    return np.where(counts, np.exp(-exponent), 0).sum(axis=1) / counts.sum(axis=1)


def match(
    meeting: Meeting, counted: Bool[np.ndarray, "i g"]
) -> tuple[Int[np.ndarray, "t i d"], Bool[np.ndarray, "t i d"]]:
    """Return (the person of `counted` whom each pose finds, or -1; whether it finds another).

    By falling score a pose takes the most similar free person who counts, of equals the last, and
    if none is similar enough one who does not count; crowds are never used up. t are THRESHOLDS.
    """
    photographs, poses, people = meeting.oks.shape
    wanted = THRESHOLDS[:, None, None]
    there = np.asarray(meeting.person >= 0)
    taken = np.zeros((len(THRESHOLDS), photographs, people), bool)
    whom = np.full((len(THRESHOLDS), photographs, poses), -1)
    other = np.zeros(whom.shape, bool)
    for rank in range(poses):
        similar = meeting.oks[None, :, rank]
        near = (similar >= wanted) & there
        hits = near & counted & ~taken
        misses = near & ~counted & (~taken | meeting.crowd)
        hit = np.any(hits, axis=2)
        choice = np.where(hit[:, :, None], hits, misses)
        some = choice.any(axis=2)
        # The last of the most similar.
        best = people - 1 - np.argmax(np.where(choice, similar, -2)[:, :, ::-1], axis=2)
        t, i = np.nonzero(some)
        taken[t, i, best[t, i]] = True
        chosen = meeting.person[np.arange(photographs), best]
        whom[:, :, rank] = np.where(hit, chosen, -1)
        other[:, :, rank] = some & ~hit
    return whom, other


def ranking(
    meeting: Meeting,
    score: Float[np.ndarray, " n"],
    counted: Sequence[Bool[np.ndarray, "i g"]],
    judged: Sequence[Bool[np.ndarray, " n"]],
) -> Ranking:
    """Return the poses by falling score, judged at each threshold for each choice of people.

    A choice is the people who count and the poses that are false when they find nobody. The
    judges are all thresholds of the first choice, then of the second and so on.
    """
    image, rank = np.nonzero(meeting.pose >= 0)
    pose = meeting.pose[image, rank]
    true, false, needed = [], [], []
    for people, poses in zip(counted, judged, strict=True):
        whom, other = match(meeting, people)
        hit = whom[:, image, rank] >= 0
        true.append(hit)
        false.append(~hit & ~other[:, image, rank] & poses[pose])
        needed.append(np.tile(people.sum(axis=1), (len(THRESHOLDS), 1)))
    judges = (np.concatenate(part) for part in (true, false, needed))
    return by_score(image, score[pose], *judges)


def by_size(meeting: Meeting, persons: Persons, found: Found) -> Ranking:
    """Return the ranking that COCO's ten numbers are made of: THRESHOLDS for each of RANGES."""
    extent = np.ptp(found.joints_px, axis=1) if len(found.score) else np.zeros((0, 2))
    own = extent.prod(axis=1)
    counted, judged = [], []
    for low, high in RANGES.values():
        inside = (persons.area >= low) & (persons.area <= high)
        counted.append(meeting.to_find & _padded(inside, meeting.person))
        judged.append((own >= low) & (own <= high))
    return ranking(meeting, found.score, counted, judged)


def _padded(
    values: Bool[np.ndarray, " n"], rows: Int[np.ndarray, "i g"]
) -> Bool[np.ndarray, "i g"]:
    """Return the value of each row, False where there is none."""
    return np.append(values, False)[rows]  # -1 is the last


def _best(found: Found, photographs: int) -> Int[np.ndarray, "i d"]:
    """Return the rows of the best poses of each photograph, by falling score."""
    order = np.argsort(-found.score, kind="stable")
    rows = _in_rows(found.image[order], photographs)
    return np.append(order, -1)[rows][:, :MOST]


def _in_rows(image: Int[np.ndarray, " n"], photographs: int) -> Int[np.ndarray, "i r"]:
    """Return the members of each photograph in order, padded by -1."""
    count = np.bincount(image, minlength=photographs)
    order = np.argsort(image, kind="stable")
    within = np.arange(len(image)) - np.repeat(np.cumsum(count) - count, count)
    rows = np.full((photographs, count.max(initial=0)), -1)
    rows[image[order], within] = order
    return rows
