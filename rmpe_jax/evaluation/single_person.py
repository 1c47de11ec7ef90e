"""How many joints of people, each given, are found: PCKh (MPII) and PCK (LSP).

`joints_px` were found and `truth_px` annotated, in the same pixels, row by row for the same person;
a joint that was not found is NaN, and missed. Everything in [0, 1].
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from rmpe_jax.evaluation import columns
from rmpe_jax.skeletons import Skeleton

TORSO = ("left_shoulder", "right_hip")  # the ends of LSP's unit of distance
MPII = (*(joint for pair in columns.LIMBS.values() for joint in pair), "upper_neck", "head_top")
ARMS = (*columns.LIMBS["Sho"], *columns.LIMBS["Elb"], *columns.LIMBS["Wri"])
PCKH_COLUMNS = {
    "head": ("head_top",),
    "official_head": ("upper_neck", "head_top"),
    "shoulder": columns.LIMBS["Sho"],
    "elbow": columns.LIMBS["Elb"],
    "wrist": columns.LIMBS["Wri"],
    "hip": columns.LIMBS["Hip"],
    "knee": columns.LIMBS["Knee"],
    "ankle": columns.LIMBS["Ank"],
}


class Counts(NamedTuple):
    """Joints (or sticks) k that are right, of those labelled, of i photographs or people.

    `left_out` people had no unit of distance, and are in no other count.
    """

    hits: Int[np.ndarray, "i k"]
    labelled: Int[np.ndarray, "i k"]
    left_out: Int[np.ndarray, " i"]


class Pckh(NamedTuple):
    """The counts of which MPII's reports are made, by distance / head size.

    In turn <= 0.5, < 0.5, <= 0.1 and <= 0.11.
    """

    half: Counts
    below_half: Counts
    tenth: Counts
    eleven_hundredths: Counts


def pckh(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    head_size_px: Float[np.ndarray, " n"],
    *,
    threshold: float = 0.5,
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
    return count(right, labelled, known)


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
        tenth=pckh(*given, threshold=0.1),
        eleven_hundredths=pckh(*given, threshold=0.11),
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
    total = pooled(counts.half, at, weights)
    return {
        **columns.columns(share(counts.half, weights)[at], MPII, PCKH_COLUMNS),
        "mean_hrnet_count_weighted": total,
        "mean_official_total": total,
        "mean_pytorch_pose_unweighted": columns.mean(share(counts.below_half, weights)[at]),
        "mean_at_0p1": pooled(counts.tenth, at, weights),
        "mean_hrnet_at_0p11": pooled(counts.eleven_hundredths, at, weights),
        "upper_body": pooled(counts.half, columns.places(skeleton, ARMS, "PCKh"), weights),
    }


def pck(
    joints_px: Float[np.ndarray, "n k 2"],
    truth_px: Float[np.ndarray, "n k 2"],
    labelled: Bool[np.ndarray, "n k"],
    skeleton: Skeleton,
    *,
    threshold: float = 0.2,
) -> Counts:
    """Return by person which joints are within `threshold` x |left shoulder - right hip|.

    LSP's PCK@0.2. People of whom one of the two is not labelled, or both are in one place, are
    left out. Yang and Ramanan, Articulated Human Detection (PAMI 2013).
    """
    shoulder, hip = columns.places(skeleton, TORSO, "PCK")
    torso = np.sqrt(np.sum((truth_px[:, shoulder] - truth_px[:, hip]) ** 2, axis=1))
    torso = np.where(labelled[:, shoulder] & labelled[:, hip], torso, np.nan)
    return pckh(joints_px, truth_px, labelled, torso, threshold=threshold)


def pck_table(
    counts: Counts, skeleton: Skeleton, weights: Real[np.ndarray, " i"] | None = None
) -> dict[str, float]:
    """Return Head Sho Elb Wri Hip Knee Ank Total: means of the joints' shares.

    Head is the mean of neck and head top, or of the one that the skeleton has, NaN if it has none;
    Total is the mean of the joints in all columns. For `weights` see `pckh_table`.
    """
    limbs = [joint for pair in columns.LIMBS.values() for joint in pair]
    columns.places(skeleton, limbs, "PCK")
    head = [joint for joint in (columns.neck(skeleton), "head_top") if joint in skeleton.joints]
    of = {"Head": head, **columns.LIMBS, "Total": [*head, *limbs]}
    return columns.columns(share(counts, weights), skeleton.joints, of)


def count(
    right: Bool[np.ndarray, "n k"], labelled: Bool[np.ndarray, "n k"], known: Bool[np.ndarray, " n"]
) -> Counts:
    """Return the counts of people with those that are not `known` left out."""
    counted = labelled & known[:, None]
    return Counts((right & counted).astype(int), counted.astype(int), (~known).astype(int))


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
