"""PoseTrack's mAP: average precision of 15 joints over frames, PCKh at 0.5.

Andriluka et al., PoseTrack (CVPR 2018); poseval's evaluateAP: MPII's protocol with frames as
units. Frames in which no person is annotated are left out, with the poses found in them. Points in
the frame's ignore regions are removed, the annotated and the found. A found joint without a score
(NaN) has the lowest, -9999; one of score -inf is not there. Pixels as annotated.

Of equal scores the pose that comes first counts first; poseval takes them in no told order.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Real

from rmpe_jax.evaluation import columns, multi_person
from rmpe_jax.evaluation.everyone import everyone
from rmpe_jax.evaluation.found import Found
from rmpe_jax.evaluation.ignore_regions import ignored
from rmpe_jax.evaluation.multi_person import Candidates, Judged, People
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
    "head_bottom",
    "nose",
    "head_top",
)
COLUMNS = {"Head": ("head_bottom", "nose", "head_top"), **columns.LIMBS, "Total": JOINTS}
RADIUS = 0.5  # of the head size
LOWEST = -9999.0  # the score of a joint that has none


def judge(frames: Sequence[Annotation], found: Found, skeleton: Skeleton) -> Judged:
    """Return the rankings of the 15 joints by frame; joints that the skeleton lacks are empty.

    People whose head size is not known (NaN or 0) are left out with their joints and counted, as
    are poses for nobody that lie in their boxes.
    Raises ValueError if the skeleton has none of the joints.
    """
    has = np.array([name in skeleton.joints for name in JOINTS])
    if not has.any():
        raise ValueError(
            f"PoseTrack mAP: {skeleton.name} has none of the joints {', '.join(JOINTS)}; it has "
            f"{', '.join(skeleton.joints)}"
        )
    at = np.array([skeleton.joints.index(n) if h else 0 for n, h in zip(JOINTS, has, strict=True)])
    persons, frame = everyone(frames, skeleton)
    known = persons.head_size_px > 0  # which NaN is not
    joints = persons.joints_px[known][:, at]
    people = People(
        joints_px=joints[..., :2],
        labelled=(joints[..., 2] > 0) & has & ~ignored(joints[..., :2], frame[known], frames),
        radius_px=RADIUS * persons.head_size_px[known],
        unit=frame[known],
    )
    judged = np.bincount(frame, minlength=len(frames))[found.image] > 0
    places, image = found.joints_px[judged][:, at], found.image[judged]
    score = found.joint_score[judged][:, at]
    score = np.where(np.isnan(score), LOWEST, score)
    score = np.where(has & ~ignored(places, image, frames), score, -np.inf)
    candidates = Candidates(places, score, image)
    assigned = multi_person.assign(people, candidates)
    candidates = multi_person.excused(candidates, assigned, persons.boxes_px[~known], frame[~known])
    rankings = multi_person.rank(people, candidates, assigned, len(frames))
    return Judged(JOINTS, rankings, {"people without head size": int(np.sum(~known))})


def table(judged: Judged, weights: Real[np.ndarray, " i"] | None = None) -> dict[str, float]:
    """Return the columns in [0, 1]: Head Sho Elb Wri Hip Knee Ank Total.

    Head is the mean of head bottom, nose and head top, the others of left and right, Total of the
    15 joints; joints that are never labelled, or that the skeleton lacks, are in no mean, and a
    column of such joints only is NaN (`multi_person.never_labelled` names them). For `weights`,
    one for each frame, see `ranking.precision_at_recalls`.
    """
    values = multi_person.average_precisions(judged.rankings, weights)
    return columns.columns(values, judged.joints, COLUMNS)
