"""MPII's multi-person mAP against an independent re-derivation in plain Python, to 1e-9."""

import numpy as np
import pytest

from rmpe_jax.evaluation import mpii, multi_person
from rmpe_jax.skeletons import MPII16
from tests import references_multi_person as plain
from tests.evaluation import cases

AT = [MPII16.joints.index(name) for name in mpii.JOINTS]
CENTRE = [MPII16.joints.index(name) for name in mpii.CENTRE]


def scene(seed, *, groups=2):
    """Return photographs whose people are in up to so many groups, and poses near and far."""
    generator = np.random.default_rng(seed)
    entries = cases.photographs(generator, 15, most=6, skeleton=MPII16)
    for entry in entries:
        people = len(entry.persons.area)
        rows = generator.permutation(people)
        entry.facts["groups"] = [
            {"members": part.tolist(), "box_px": [*generator.uniform(-200, 100, 2), 700.0, 700.0]}
            for part in np.array_split(rows, groups)
            if len(part)
        ]
    return entries, cases.found(generator, entries, spread=5.0)


def as_groups(entries, found):
    """Return the scene as the plain functions want it, group by group."""
    groups = []
    for row, entry in enumerate(entries):
        for group in entry.facts["groups"]:
            persons = entry.persons
            truth = [
                {
                    "joints": [
                        (x, y) if v > 0 else None for x, y, v in persons.joints_px[member, AT]
                    ],
                    "head_size": float(persons.head_size_px[member]),
                }
                for member in group["members"]
            ]
            poses = []
            for pose in np.flatnonzero(found.image == row):
                x, y = found.joints_px[pose, CENTRE].mean(axis=0)
                left, top, right, bottom = group["box_px"]
                if left <= x <= right and top <= y <= bottom:
                    joints = [tuple(point) for point in found.joints_px[pose, AT]]
                    scores = found.joint_score[pose, AT].tolist()
                    poses.append({"joints": joints, "scores": scores})
            groups.append({"truth": truth, "found": poses})
    return groups


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_joint_by_joint(seed):
    entries, found = scene(seed)
    judged = mpii.judge(entries, found, MPII16)
    ours = multi_person.average_precisions(judged.rankings)
    theirs, mean = plain.mpii_map(as_groups(entries, found))
    assert 0.05 < mean < 0.95, "a scene that could tell"
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert mpii.table(judged)["Total"] == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_photographs_repeated(seed):
    # One group each: of a pose that is right in one group and wrong in another the copies count
    # in another order (`ranking.precision_at_recalls`).
    entries, found = scene(seed, groups=1)
    weights = np.random.default_rng(seed).integers(0, 4, len(entries))
    groups = [as_groups([entry], only(found, row)) for row, entry in enumerate(entries)]
    repeated = [group for part in plain.repeated(groups, weights.tolist()) for group in part]
    theirs, _ = plain.mpii_map(repeated)
    judged = mpii.judge(entries, found, MPII16)
    ours = multi_person.average_precisions(judged.rankings, weights)
    assert ours == pytest.approx(theirs, abs=1e-9)


def only(found, row):
    """Return the poses of one photograph, as if it were the first."""
    mine = found.image == row
    return type(found)(*(field[mine] for field in found))._replace(
        image=np.zeros(mine.sum(), np.int64)
    )
