"""PCKh, PCK and PCP of poses that were made for annotated people, counted by photograph.

A pose is that of the person of its photograph whose `person_id` it has; of several the one with
the highest score counts, the first of equal ones. People without a pose are missed, crowds and
people who are ignored are left out of everything, and poses for nobody are not judged. Pixels as
annotated.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.evaluation import single_person, sticks
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.single_person import Counts, Pckh
from rmpe_jax.records import Annotation, Persons
from rmpe_jax.skeletons import Skeleton


class _Given(NamedTuple):
    """n annotated people and what was found of them, NaN where nothing was."""

    joints_px: Float[np.ndarray, "n k 2"]
    truth_px: Float[np.ndarray, "n k 2"]
    labelled: Bool[np.ndarray, "n k"]
    head_size_px: Float[np.ndarray, " n"]
    image: Int[np.ndarray, " n"]


def pckh(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Pckh:
    """Return the counts of `single_person.pckh_table` by photograph."""
    given = _given(photographs, found, skeleton)
    counts = single_person.pckh_all(*given[:4])
    return Pckh(*(single_person.by_photograph(c, given.image, len(photographs)) for c in counts))


def pck(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Counts:
    """Return the counts of PCK@0.2 by photograph: `single_person.pck`."""
    given = _given(photographs, found, skeleton)
    counts = single_person.pck(*given[:3], skeleton)
    return single_person.by_photograph(counts, given.image, len(photographs))


def pcp(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Counts:
    """Return the counts of strict PCP by photograph: `sticks.pcp`."""
    given = _given(photographs, found, skeleton)
    counts = sticks.pcp(*given[:3], skeleton)
    return single_person.by_photograph(counts, given.image, len(photographs))


def _given(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> _Given:
    persons, image = everyone(photographs, skeleton)
    keep = ~persons.is_crowd & ~persons.is_ignored & _judged(photographs)
    persons, image = Persons(*(field[keep] for field in persons)), image[keep]
    pose = _pose_of(persons, image, found)
    joints_px = np.full((len(image), len(skeleton.joints), 2), np.nan)
    joints_px[pose >= 0] = found.joints_px[pose[pose >= 0]]
    truth = persons.joints_px
    return _Given(joints_px, truth[..., :2], truth[..., 2] > 0, persons.head_size_px, image)


def _judged(photographs: Sequence[Annotation]) -> Bool[np.ndarray, " n"]:
    """Return who is judged: everybody, or those whom a photograph names (MPII's single_person)."""
    parts = [np.zeros(0, bool)]
    for photograph in photographs:
        count = len(photograph.persons.person_id)
        named = photograph.facts.get("single", range(count))
        parts.append(np.isin(np.arange(count), list(named)))
    return np.concatenate(parts)


def _pose_of(persons: Persons, image: Int[np.ndarray, " n"], found: Found) -> Int[np.ndarray, " n"]:
    """Return the row of each person's pose, or -1."""
    numbered = np.flatnonzero(found.person_id >= 0)
    best = numbered[np.argsort(-found.score[numbered], kind="stable")]
    numbers, number = np.unique(
        np.concatenate([persons.person_id, found.person_id[best]]), return_inverse=True
    )
    key = np.concatenate([image, found.image[best]]) * len(numbers) + number
    keys, first = np.unique(key[len(image) :], return_index=True)
    person = key[: len(image)]
    at = np.searchsorted(keys, person)
    there = at < len(keys)
    there[there] = keys[at[there]] == person[there]
    pose = np.full(len(image), -1)
    pose[there] = best[first[at[there]]]
    return pose
