"""How many joints of people, each given, are found: PCKh (MPII), PCK and PCP (LSP).

`joints_px` were found and `truth_px` annotated, in the same pixels, row by row for the same person;
a joint that was not found is NaN, and missed. Everything in [0, 1].
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from rmpe_jax.evaluation import columns
from rmpe_jax.skeletons import Skeleton

NECKS = ("upper_neck", "neck", "head_bottom")  # what sets call the lower end of the head
TORSO = ("left_shoulder", "right_hip")  # the ends of LSP's unit of distance
MPII = (*(joint for pair in columns.LIMBS.values() for joint in pair), "upper_neck", "head_top")


class Counts(NamedTuple):
    """Joints (or sticks) k that are right, of those labelled, of i photographs or people.

    `left_out` people had no unit of distance, and are in no other count.
    """

    hits: Int[np.ndarray, "i k"]
    labelled: Int[np.ndarray, "i k"]
    left_out: Int[np.ndarray, " i"]


class Pckh(NamedTuple):
    """The counts of which the reports of MPII are made: distance / head size <= 0.5, < 0.5, ...."""

    half: Counts
    below_half: Counts
    tenth: Counts
    eleven_hundredths: Counts


def pckh(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    head_size_px: Float[np.ndarray, " n"],
    threshold: float = 0.5,
    *,
    below: bool = False,
) -> Counts:
    """Return by person which joints are within `threshold` x head size (`below`: nearer than that).

    MPII's head size is 0.6 x the diagonal of the head's rectangle. People whose head size is NaN
    or 0 are left out. Andriluka et al., 2D Human Pose Estimation (CVPR 2014).
    """
    known = head_size_px > 0  # which NaN is not
    unit = np.where(known, head_size_px, 1)[:, None]
    distance = np.sqrt(np.sum((joints_px - truth_px) ** 2, axis=2)) / unit
    right = distance < threshold if below else distance <= threshold
    return _count(right, labelled, known)


def pckh_all(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    head_size_px: Float[np.ndarray, " n"],
) -> Pckh:
    """Return by person all counts of `pckh_table`."""
    given = (joints_px, truth_px, labelled, head_size_px)
    return Pckh(
        half=pckh(*given),
        below_half=pckh(*given, below=True),
        tenth=pckh(*given, 0.1),
        eleven_hundredths=pckh(*given, 0.11),
    )


def pckh_table(
    counts: Pckh, skeleton: Skeleton, weights: Real[np.ndarray, " i"] | None = None
) -> dict[str, float]:
    """Return the columns of MPII's reports and every mean under its own name.

    At distance <= 0.5 head sizes unless said. `head` is the head top alone (HRNet, pytorch-pose),
    `official_head` its mean with the neck (the toolkit's column). Pelvis and thorax are in no
    mean. `mean_hrnet_count_weighted` pools the labelled joints of the 14, and so does the toolkit's
    total, `mean_official_total`; `mean_pytorch_pose_unweighted` is the mean of the 14 joints at
    < 0.5. `upper_body` pools wrists, elbows and shoulders. `mean_at_0p1` pools at 0.1;
    `mean_hrnet_at_0p11` is what HRNet prints as Mean@0.1, read at 0.11. `weights` is how often
    each row of the counts counts. Raises ValueError if the skeleton lacks one of the 14.
    """
    at = columns.places(skeleton, MPII, "PCKh")
    value = dict(zip(MPII, share(counts.half, weights)[at], strict=True))
    pairs = {name: np.array([value[joint] for joint in of]) for name, of in columns.LIMBS.items()}
    strict = share(counts.below_half, weights)[at]
    arms = columns.places(
        skeleton, [j for c in ("Sho", "Elb", "Wri") for j in columns.LIMBS[c]], ""
    )
    total = pooled(counts.half, at, weights)
    return {
        "head": float(value["head_top"]),
        "shoulder": columns.mean(pairs["Sho"]),
        "elbow": columns.mean(pairs["Elb"]),
        "wrist": columns.mean(pairs["Wri"]),
        "hip": columns.mean(pairs["Hip"]),
        "knee": columns.mean(pairs["Knee"]),
        "ankle": columns.mean(pairs["Ank"]),
        "mean_hrnet_count_weighted": total,
        "mean_official_total": total,
        "mean_pytorch_pose_unweighted": columns.mean(strict),
        "mean_at_0p1": pooled(counts.tenth, at, weights),
        "mean_hrnet_at_0p11": pooled(counts.eleven_hundredths, at, weights),
        "upper_body": pooled(counts.half, arms, weights),
        "official_head": columns.mean(np.array([value["upper_neck"], value["head_top"]])),
    }


def pck(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    skeleton: Skeleton,
    threshold: float = 0.2,
) -> Counts:
    """Return by person which joints are within `threshold` x |left shoulder - right hip|.

    LSP's PCK@0.2. People of whom one of the two is not labelled, or both are in one place, are
    left out. Yang and Ramanan, Articulated Human Detection (PAMI 2013).
    """
    shoulder, hip = columns.places(skeleton, TORSO, "PCK")
    torso = np.sqrt(np.sum((truth_px[:, shoulder] - truth_px[:, hip]) ** 2, axis=1))
    torso = np.where(labelled[:, shoulder] & labelled[:, hip], torso, np.nan)
    return pckh(joints_px, truth_px, labelled, torso, threshold)


def pck_table(
    counts: Counts, skeleton: Skeleton, weights: Real[np.ndarray, " i"] | None = None
) -> dict[str, float]:
    """Return Head Sho Elb Wri Hip Knee Ank Total: means of the joints' shares.

    Head is the mean of neck and head top, or of the one that the skeleton has, NaN if it has none;
    Total is the mean of the joints in all columns. For `weights` see `pckh_table`.
    """
    limbs = [joint for pair in columns.LIMBS.values() for joint in pair]
    columns.places(skeleton, limbs, "PCK")
    head = [joint for joint in (_neck(skeleton), "head_top") if joint in skeleton.joints]
    of = {"Head": head, **columns.LIMBS, "Total": [*head, *limbs]}
    return columns.columns(share(counts, weights), skeleton.joints, of)


def sticks(skeleton: Skeleton) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
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
    if {_neck(skeleton), "head_top"} <= set(skeleton.joints):
        found["head"] = ((_neck(skeleton),), ("head_top",))
    return found


def pcp(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    skeleton: Skeleton,
) -> Counts:
    """Return by person which of the `sticks` are right: strict PCP, in the order of their names.

    A stick is right if each of its ends is within half of its annotated length; it is labelled if
    all of its joints are. Nobody is left out. Ferrari et al., Progressive Search Space Reduction
    (CVPR 2008), in the strict reading of Pishchulin et al. (CVPR 2012).
    """
    near, known = [], []
    for ends in sticks(skeleton).values():
        at = [columns.places(skeleton, end, "PCP") for end in ends]
        true = [truth_px[:, end].mean(axis=1) for end in at]
        found = [joints_px[:, end].mean(axis=1) for end in at]
        half = np.sqrt(np.sum((true[0] - true[1]) ** 2, axis=1)) / 2
        error = [np.sqrt(np.sum((f - t) ** 2, axis=1)) for f, t in zip(found, true, strict=True)]
        near.append((error[0] <= half) & (error[1] <= half))
        known.append(labelled[:, np.concatenate(at)].all(axis=1))
    return _count(np.stack(near, 1), np.stack(known, 1), np.ones(len(truth_px), bool))


def pcp_table(
    counts: Counts, skeleton: Skeleton, weights: Real[np.ndarray, " i"] | None = None
) -> dict[str, float]:
    """Return Torso, Upper leg, Lower leg, Upper arm, Lower arm, Head, and the mean of the sticks.

    For `weights` see `pckh_table`.
    """
    names = list(sticks(skeleton))
    of = {
        "Torso": ["torso"],
        "Upper leg": ["left_upper_leg", "right_upper_leg"],
        "Lower leg": ["left_lower_leg", "right_lower_leg"],
        "Upper arm": ["left_upper_arm", "right_upper_arm"],
        "Lower arm": ["left_lower_arm", "right_lower_arm"],
        "Head": [name for name in names if name == "head"],
        "Total": names,
    }
    return columns.columns(share(counts, weights), names, of)


def share(counts: Counts, weights: Real[np.ndarray, " i"] | None = None) -> Float[np.ndarray, " k"]:
    """Return for each joint the share of the labelled that is right, NaN where none is labelled."""
    hits, labelled = _sums(counts, weights)
    return np.where(labelled > 0, hits / np.where(labelled > 0, labelled, 1), np.nan)


def pooled(
    counts: Counts,
    joints: Int[np.ndarray, " m"],
    weights: Real[np.ndarray, " i"] | None = None,
) -> float:
    """Return the share of all labelled places of some joints that is right; NaN if none is."""
    hits, labelled = _sums(counts, weights)
    return float(hits[joints].sum() / labelled[joints].sum()) if labelled[joints].any() else np.nan


def by_photograph(counts: Counts, image: Int[np.ndarray, " n"], photographs: int) -> Counts:
    """Return the counts of people as those of photographs; `image` is the row of each person's."""

    def added(field: np.ndarray) -> np.ndarray:
        total = np.zeros((photographs, *field.shape[1:]), np.int64)
        np.add.at(total, image, field)
        return total

    return Counts(*(added(field) for field in counts))


def _sums(
    counts: Counts, weights: Real[np.ndarray, " i"] | None
) -> tuple[Real[np.ndarray, " k"], Real[np.ndarray, " k"]]:
    if weights is None:
        return counts.hits.sum(axis=0), counts.labelled.sum(axis=0)
    return weights @ counts.hits, weights @ counts.labelled


def _count(
    right: Bool[np.ndarray, "n k"], labelled: Bool[np.ndarray, "n k"], known: Bool[np.ndarray, " n"]
) -> Counts:
    counted = labelled & known[:, None]
    return Counts((right & counted).astype(int), counted.astype(int), (~known).astype(int))


def _neck(skeleton: Skeleton) -> str:
    """Return the skeleton's name of the lower end of the head, "" if it has none."""
    return next((name for name in NECKS if name in skeleton.joints), "")
