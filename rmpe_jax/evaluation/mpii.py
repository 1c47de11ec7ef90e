"""MPII's multi-person mAP: average precision of 14 joints over groups of people, PCKh at 0.5.

Andriluka et al., 2D Human Pose Estimation (CVPR 2014); Pishchulin et al., DeepCut (CVPR 2016);
the toolkit's evaluateAP and assignGTmulti; poses are told to groups as the authors of RMPE do:
a pose belongs to each group in whose box its centre lies, the edge included. Its centre is midway
between pelvis and thorax, or, for skeletons without these, between mid hips and mid shoulders.
Poses that belong to no group are not judged. Pixels as annotated.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from rmpe_jax.evaluation import columns, multi_person, ranking
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.multi_person import Candidates, Judged, People
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "upper_neck",
    "head_top",
)
COLUMNS = {"Head": ("upper_neck", "head_top"), **columns.LIMBS, "Total": JOINTS}
RADIUS = 0.5  # of the head size
CENTRE = ("pelvis", "thorax")
TORSO = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")


class _Groups(NamedTuple):
    """u groups; of m members `person` is the row among everyone, `unit` the row of the group."""

    image: Int[np.ndarray, " u"]
    box_px: Float[np.ndarray, "u 4"]
    person: Int[np.ndarray, " m"]
    unit: Int[np.ndarray, " m"]


def judge(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Judged:
    """Return the rankings of the 14 joints by photograph.

    Members of groups whose head size is not known (NaN or 0) are left out with their joints, and
    poses for nobody that lie in their boxes; they are counted, as are photographs that do not say
    their groups (none is said by an empty list). Raises ValueError if the skeleton lacks a joint,
    or no photograph says its groups.
    """
    at = columns.places(skeleton, JOINTS, "MPII mAP")
    groups = _groups(photographs)
    persons, _ = everyone(photographs, skeleton)
    known = persons.head_size_px[groups.person] > 0  # which NaN is not
    member = groups.person[known]
    people = People(
        joints_px=persons.joints_px[member][:, at, :2],
        labelled=persons.joints_px[member][:, at, 2] > 0,
        radius_px=RADIUS * persons.head_size_px[member],
        unit=groups.unit[known],
    )
    pose, unit = multi_person.pairs(found.image, groups.image)
    inside = boxes.contains(groups.box_px[unit], _centre(found.joints_px, skeleton)[pose])
    pose, unit = pose[inside], unit[inside]
    candidates = Candidates(found.joints_px[pose][:, at], found.joint_score[pose][:, at], unit)
    assigned = multi_person.assign(people, candidates)
    headless = groups.person[~known]
    candidates = multi_person.excused(
        candidates, assigned, persons.boxes_px[headless], groups.unit[~known]
    )
    rankings = [
        ranking.regroup(joint, groups.image, len(photographs))
        for joint in multi_person.rank(people, candidates, assigned, len(groups.image))
    ]
    silent = sum("groups" not in photograph.facts for photograph in photographs)
    left_out = {
        "photographs without groups": silent,
        "people without head size": len(np.unique(headless)),
    }
    return Judged(JOINTS, rankings, left_out)


def table(judged: Judged, weights: Real[np.ndarray, " i"] | None = None) -> dict[str, float]:
    """Return the columns of the papers in [0, 1]: Head Sho Elb Wri Hip Knee Ank Total.

    Head is the mean of neck and head top, the others of left and right, Total of the 14 joints;
    joints that are never labelled are in no mean (`multi_person.never_labelled` names them). For
    `weights`, one for each photograph, see `ranking.precision_at_recalls`.
    """
    values = multi_person.average_precisions(judged.rankings, weights)
    return columns.columns(values, judged.joints, COLUMNS)


def _groups(photographs: Sequence[Annotation]) -> _Groups:
    if photographs and not any("groups" in photograph.facts for photograph in photographs):
        raise ValueError(
            f"MPII mAP: none of the {len(photographs)} photographs says its groups of people "
            "(MPII's groups_v12.mat, beside the annotations); sets without groups and heads have "
            "mAP@0.1box"
        )
    people = [len(photograph.persons.person_id) for photograph in photographs]
    first = np.cumsum(people) - people
    told = ((row, photograph.facts.get("groups", ())) for row, photograph in enumerate(photographs))
    of = [(row, group) for row, groups in told for group in groups]
    for row, group in of:
        if not all(0 <= member < people[row] for member in group["members"]):
            raise ValueError(
                f"image {photographs[row].image_id}: a group has the members {group['members']}, "
                f"but the photograph has {people[row]} people: rows count from 0"
            )
    members = [first[row] + member for row, group in of for member in group["members"]]
    return _Groups(
        image=np.array([row for row, _ in of], np.int64),
        box_px=np.array([group["box_px"] for _, group in of], np.float64).reshape(-1, 4),
        person=np.array(members, np.int64),
        unit=np.repeat(np.arange(len(of)), np.array([len(g["members"]) for _, g in of], np.int64)),
    )


def _centre(joints_px: Float[np.ndarray, "n k 2"], skeleton: Skeleton) -> Float[np.ndarray, "n 2"]:
    names = CENTRE if set(CENTRE) <= set(skeleton.joints) else TORSO
    return joints_px[:, columns.places(skeleton, names, "MPII mAP")].mean(axis=1)
