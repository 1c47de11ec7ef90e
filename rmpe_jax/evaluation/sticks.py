"""How many limbs of people, each given, are found: strict PCP (LSP).

`joints_px` were found and `truth_px` annotated, in the same pixels, row by row for the same person;
a joint that was not found is NaN, and missed. Everything in [0, 1].
"""

import numpy as np
from jaxtyping import Bool, Float, Real

from rmpe_jax.evaluation import columns, single_person
from rmpe_jax.evaluation.single_person import Counts
from rmpe_jax.skeletons import Skeleton


def ends(skeleton: Skeleton) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return by name the sticks of PCP: of both ends the joints in whose middle it lies.

    Ten, as LSP has them: lower and upper legs and arms, the torso from the middle of the hips to
    that of the shoulders, and the head from the neck to its top, which is left out for skeletons
    without these. Raises ValueError if the skeleton lacks a joint of the limbs.
    """
    limbs = [joint for pair in columns.LIMBS.values() for joint in pair]
    columns.places(skeleton, limbs, "PCP")
    found = {}
    for side in ("left", "right"):
        for name, upper, lower in (
            ("upper_arm", "shoulder", "elbow"),
            ("lower_arm", "elbow", "wrist"),
            ("upper_leg", "hip", "knee"),
            ("lower_leg", "knee", "ankle"),
        ):
            found[f"{side}_{name}"] = ((f"{side}_{upper}",), (f"{side}_{lower}",))
    found["torso"] = (columns.LIMBS["Hip"], columns.LIMBS["Sho"])
    if {columns.neck(skeleton), "head_top"} <= set(skeleton.joints):
        found["head"] = ((columns.neck(skeleton),), ("head_top",))
    return found


def pcp(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    skeleton: Skeleton,
) -> Counts:
    """Return by person which sticks are right: strict PCP, in the order of `ends`.

    A stick is right if each of its ends is within half of its annotated length; it is labelled if
    all of its joints are. Nobody is left out. Ferrari et al., Progressive Search Space Reduction
    (CVPR 2008), in the strict reading of Pishchulin et al. (CVPR 2012).
    """
    near, known = [], []
    for pair in ends(skeleton).values():
        at = [columns.places(skeleton, end, "PCP") for end in pair]
        true = [truth_px[:, end].mean(axis=1) for end in at]
        found = [joints_px[:, end].mean(axis=1) for end in at]
        half = np.sqrt(np.sum((true[0] - true[1]) ** 2, axis=1)) / 2
        error = [np.sqrt(np.sum((f - t) ** 2, axis=1)) for f, t in zip(found, true, strict=True)]
        near.append((error[0] <= half) & (error[1] <= half))
        known.append(labelled[:, np.concatenate(at)].all(axis=1))
    return single_person.count(np.stack(near, 1), np.stack(known, 1), np.ones(len(truth_px), bool))


def pcp_table(
    counts: Counts, skeleton: Skeleton, weights: Real[np.ndarray, " i"] | None = None
) -> dict[str, float]:
    """Return Torso, Upper leg, Lower leg, Upper arm, Lower arm, Head, and the mean of the sticks.

    For `weights` see `single_person.pckh_table`.
    """
    names = list(ends(skeleton))
    of = {
        "Torso": ["torso"],
        "Upper leg": ["left_upper_leg", "right_upper_leg"],
        "Lower leg": ["left_lower_leg", "right_lower_leg"],
        "Upper arm": ["left_upper_arm", "right_upper_arm"],
        "Lower arm": ["left_lower_arm", "right_lower_arm"],
        "Head": [name for name in names if name == "head"],
        "Total": names,
    }
    return columns.columns(single_person.share(counts, weights), names, of)
