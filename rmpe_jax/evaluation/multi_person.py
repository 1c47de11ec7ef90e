"""Whom a found pose is taken for, and what its joints then count: the core of MPII's mAP.

People and poses meet in units: groups of people (MPII), frames (PoseTrack) or photographs. The
protocol is that of MPII's toolkit (assignGTmulti, getRPC, VOCap), which knows no people who do not
count and no score of a pose. All units are worked out at once; pixels as annotated.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from rmpe_jax.evaluation import ranking
from rmpe_jax.evaluation.ranking import Ranking
from rmpe_jax.geometry import boxes


class People(NamedTuple):
    """g annotated people; `unit` is the row of each one's unit.

    A found joint is right within `radius_px` of the annotated one: half a head for MPII.
    """

    joints_px: Float[np.ndarray, "g k 2"]
    labelled: Bool[np.ndarray, "g k"]
    radius_px: Float[np.ndarray, " g"]
    unit: Int[np.ndarray, " g"]


class Candidates(NamedTuple):
    """p found poses of the same joints; `unit` is the row of each one's unit.

    A joint whose `score` is NaN or -inf is not there.
    """

    joints_px: Float[np.ndarray, "p k 2"]
    score: Float[np.ndarray, "p k"]
    unit: Int[np.ndarray, " p"]


class Judged(NamedTuple):
    """The rankings of named joints, and how many of what was left out, by what it was."""

    joints: tuple[str, ...]
    rankings: list[Ranking]
    left_out: dict[str, int]


def pairs(
    left: Int[np.ndarray, " n"], right: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " q"], Int[np.ndarray, " q"]]:
    """Return (i, j) of all pairs with left[i] == right[j], by i and then by j; values are >= 0."""
    units = 1 + max(left.max(initial=-1), right.max(initial=-1))
    count = np.bincount(right, minlength=units)
    start = np.cumsum(count) - count
    partners = count[left]
    i = np.repeat(np.arange(len(left)), partners)
    within = np.arange(len(i)) - np.repeat(np.cumsum(partners) - partners, partners)
    return i, np.argsort(right, kind="stable")[start[left[i]] + within]


def assign(people: People, candidates: Candidates) -> Int[np.ndarray, " p"]:
    """Return the row of the person for whom each pose is taken, or -1.

    A pose is for the person of its unit of whom it has the largest share of the labelled joints
    right, the first of several; a person then takes of those poses the one with the largest share,
    the first of several, and none if no joint is right.
    """
    pose, person = pairs(candidates.unit, people.unit)
    near = _right(people, candidates, pose, person)
    labelled = people.labelled.sum(axis=1)[person]
    share = np.sum(near, axis=1) / np.maximum(labelled, 1)
    own = _first_best(pose, share)
    own = own[share[own] > 0]
    taken = own[_first_best(person[own], share[own])]
    assigned = np.full(len(candidates.unit), -1)
    assigned[pose[taken]] = person[taken]
    return assigned


def excused(
    candidates: Candidates,
    person: Int[np.ndarray, " p"],
    boxes_px: Float[np.ndarray, "b 4"],
    unit: Int[np.ndarray, " b"],
) -> Candidates:
    """Return the poses without the joints of those that may be of people who are no truth.

    That is of poses for nobody (`person`, see `assign`) whose centre lies in one of the boxes of
    their unit, the edge included. The centre is the mean of the joints that are there.
    """
    there = (candidates.score > -np.inf)[..., None]
    total = np.sum(candidates.joints_px, axis=1, where=there)
    centre = total / np.maximum(there.sum(axis=1), 1)
    pose, box = pairs(candidates.unit, unit)
    left_out = np.zeros(len(person), bool)
    left_out[pose[boxes.contains(boxes_px[box], centre[pose])]] = True
    left_out &= person < 0
    return candidates._replace(score=np.where(left_out[:, None], -np.inf, candidates.score))


def rank(
    people: People, candidates: Candidates, person: Int[np.ndarray, " p"], units: int
) -> list[Ranking]:
    """Return for each joint the ranking of its places over all poses by the joint's score.

    `person` is what `assign` says. True is a joint that is right for the person; false is every
    other that is there: those of poses that are taken for nobody, and those for which the person
    has no label.
    """
    true = np.zeros(candidates.score.shape, bool)
    taken = np.flatnonzero(person >= 0)
    true[taken] = _right(people, candidates, taken, person[taken])
    rankings = []
    for joint, score in enumerate(candidates.score.T):
        there = score > -np.inf  # which is not so for NaN
        hit = true[there, joint][None]
        needed = np.bincount(people.unit[people.labelled[:, joint]], minlength=units)[None]
        rankings.append(ranking.by_score(candidates.unit[there], score[there], hit, ~hit, needed))
    return rankings


def average_precisions(
    rankings: Sequence[Ranking], weights: Real[np.ndarray, " i"] | None = None
) -> Float[np.ndarray, " k"]:
    """Return VOC's average precision of each joint in [0, 1], NaN where it is never labelled.

    For `weights` see `ranking.precision_at_recalls`.
    """
    areas = [ranking.area_under_precision(joint, weights)[0] for joint in rankings]
    return np.array(areas, np.float64)


def never_labelled(judged: Judged) -> tuple[str, ...]:
    """Return the joints that no person has, which therefore are in no mean."""
    of = zip(judged.joints, judged.rankings, strict=True)
    return tuple(name for name, joint in of if not joint.needed.any())


def _right(
    people: People,
    candidates: Candidates,
    pose: Int[np.ndarray, " m"],
    person: Int[np.ndarray, " m"],
) -> Bool[np.ndarray, "m k"]:
    """Return which joints of m poses are within the radius of their person's labelled ones."""
    offset = candidates.joints_px[pose] - people.joints_px[person]
    # As in the toolkit, not by squares: a joint at exactly the radius is right.
    distance = np.sqrt(np.sum(offset**2, axis=2))
    near = distance <= people.radius_px[person][:, None]
    return near & people.labelled[person] & (candidates.score[pose] > -np.inf)


def _first_best(
    group: Int[np.ndarray, " m"], value: Float[np.ndarray, " m"]
) -> Int[np.ndarray, " b"]:
    """Return for each group that there is the row of its highest value, the first of several."""
    order = np.lexsort((-value, group))  # stable: equal values stay in order
    _, first = np.unique(group[order], return_index=True)
    return order[first]
