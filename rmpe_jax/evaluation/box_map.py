"""mAP@0.1box: MPII's multi-person mAP for sets that annotate no heads and no groups. Our own.

The protocol is MPII's (`multi_person`), with these changes:

* A unit is a photograph; every pose found on it is judged.
* The joints are the nose and twelve of the limbs: shoulders, elbows, wrists, hips, knees, ankles.
* A joint is right within 0.1 x the longer side of the annotated box (the edge included).
* Truth are the people who are to be found and have one of the thirteen joints labelled.
* A pose that is taken for nobody, and whose centre lies in the box of one of the other people (the
  edge included), is left out: it may well be right, as COCO has it. The centre is the mean of
  those of the thirteen joints that are there, i.e. have a score that is not NaN or -inf.
* The columns are Head (the nose), Sho Elb Wri Hip Knee Ank (the means of left and right) and
  Total, the mean of the seven columns. In MPII each column has two joints and so weighs the same
  in the mean of all joints; here the mean of 13 joints would count the head half.

Figures in [0, 1]; pixels as annotated. The figure is not MPII's and not comparable with it.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Real

from rmpe_jax.evaluation import columns, multi_person
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.multi_person import Candidates, Judged, People
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

COLUMNS = {"Head": ("nose",), **columns.LIMBS}
JOINTS = tuple(joint for joints in COLUMNS.values() for joint in joints)
RADIUS = 0.1  # of the longer side of the annotated box


def judge(photographs: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Judged:
    """Return the rankings of the 13 joints by photograph.

    Raises ValueError, naming them, if the skeleton lacks joints.
    """
    at = columns.places(skeleton, JOINTS, "mAP@0.1box")
    persons, image = everyone(photographs, skeleton)
    joints = persons.joints_px[:, at]
    labelled = joints[..., 2] > 0
    counted = persons.to_find & labelled.any(axis=1)
    people = People(
        joints_px=joints[counted, :, :2],
        labelled=labelled[counted],
        radius_px=RADIUS * boxes.size(persons.boxes_px[counted]).max(axis=1),
        unit=image[counted],
    )
    candidates = Candidates(found.joints_px[:, at], found.joint_score[:, at], found.image)
    assigned = multi_person.assign(people, candidates)
    judged = multi_person.excused(candidates, assigned, persons.boxes_px[~counted], image[~counted])
    rankings = multi_person.rank(people, judged, assigned, len(photographs))
    return Judged(JOINTS, rankings, {})


def table(judged: Judged, weights: Real[np.ndarray, " i"] | None = None) -> dict[str, float]:
    """Return the columns in [0, 1]: Head Sho Elb Wri Hip Knee Ank Total.

    Joints that are never labelled are in no mean (`multi_person.never_labelled` names them), nor
    is a column of such joints only. For `weights`, one for each photograph, see
    `ranking.precision_at_recalls`.
    """
    values = multi_person.average_precisions(judged.rankings, weights)
    of = columns.columns(values, judged.joints, COLUMNS)
    return {**of, "Total": columns.mean(np.array(list(of.values())))}
