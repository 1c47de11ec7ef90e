"""What parametric pose NMS is compared with (RMPE, Table 3c): other ways to keep one of many poses.

All have the signature of `pose_nms`: poses of one photograph, padded, and parameters; they return
the same rows with fewer `valid`. Pixels are those of the photograph.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from rmpe_jax.geometry import boxes
from rmpe_jax.pose_nms import NmsOptions, greedy, matched_count, radii
from rmpe_jax.records import Array, Poses


class MatchedJoints(NamedTuple):
    """Two poses are one person if `count` joints lie within `fraction` x max(w, h) of a box."""

    count: float = 7.0
    fraction: float = 0.1


class OksThreshold(NamedTuple):
    """Two poses are one person above this Object Keypoint Similarity."""

    threshold: float = 0.9


class TruncatedMean(NamedTuple):
    """Poses count for one person up to the root mean square distance `norm` from their mean.

    It is in units of `fraction` x max(w, h) of the box of the pose that the mean started from; the
    original has pixels, for pictures of one size. The search ends with fewer than `least` poses.
    """

    norm: float = 1.0
    least: float = 1.0
    fraction: float = 0.1


SEVEN_JOINTS = MatchedJoints()
HIGH_OKS = OksThreshold()
ONE_RADIUS = TruncatedMean()
CIRCLE = NmsOptions(region="circle")
STEPS = 10  # of the truncated mean from each start (Burgos-Artizzu et al., poseNMS.m)


def no_nms(poses: Poses, parameters: None = None) -> Poses:
    """Return the poses as they came."""
    return poses


@jax.jit
def matched_joint_nms(poses: Poses, parameters: MatchedJoints = SEVEN_JOINTS) -> Poses:
    """Return the poses after greedy elimination by the number of joints that match.

    It stands for the NMS of Chen and Yuille (Parsing Occluded People, CVPR 2015), which eliminates
    greedily by thresholds set by hand on overlaps of parts; no code of theirs was at hand.
    """
    if not len(poses.valid):
        return poses
    radii_px = radii(poses.boxes_px, parameters.fraction, CIRCLE)
    matched = matched_count(poses.joints_px, radii_px, CIRCLE)
    kept, _ = greedy(matched >= parameters.count, jnp.mean(poses.confidence, axis=1), poses.valid)
    return poses._replace(valid=kept)


@partial(jax.jit, static_argnames="sigmas")
def oks_nms(
    poses: Poses, parameters: OksThreshold = HIGH_OKS, *, sigmas: tuple[float, ...]
) -> Poses:
    """Return the poses after greedy elimination by Object Keypoint Similarity, ranked by score.

    `sigmas` are the skeleton's. The area is the mean of the two boxes (Xiao et al., Simple
    Baselines, 2018: 0.9 eliminates only what is above).
    """
    if not len(poses.valid):
        return poses
    similarity = object_keypoint_similarity(poses.joints_px, boxes.area(poses.boxes_px), sigmas)
    kept, _ = greedy(similarity > parameters.threshold, poses.score, poses.valid)
    return poses._replace(valid=kept)


@jax.jit
def truncated_mean_nms(poses: Poses, parameters: TruncatedMean = ONE_RADIUS) -> Poses:
    """Return one mean pose a person, found one after the other among those not yet explained.

    Burgos-Artizzu et al., Merging Pose Estimates Across Space and Time (BMVC 2013), for one
    photograph: the pose Y of least sum_i min(|X_i - Y|^2 / 2K, norm^2) x score_i is sought by
    truncated means, here from every pose and not from 50 random ones; the poses nearer than norm
    are then done with. The row of their highest score carries the mean joints and confidences.
    Poses of score 0 count for nothing and are not kept.
    """
    n = len(poses.valid)
    if not n:
        return poses
    number = jnp.arange(n)

    def explain(state: tuple[Array, Poses]) -> tuple[Array, Poses]:
        weight, found = state
        start, centre_px, near = _truncated_mean(poses, weight, parameters)
        group = jnp.where((near & (weight > 0)) | (number == start), weight, 0)
        row = (number == jnp.argmax(group))[:, None]
        mean = group @ poses.confidence / jnp.sum(group)
        found = found._replace(
            joints_px=jnp.where(row[..., None], centre_px[None], found.joints_px),
            confidence=jnp.where(row, mean[None], found.confidence),
            valid=found.valid | row[:, 0],
        )
        return jnp.where(group > 0, 0, weight), found

    weight = jnp.where(poses.valid, poses.score, 0)
    enough = jnp.maximum(parameters.least, 1)
    nobody = poses._replace(valid=jnp.zeros(n, bool))
    there = poses.valid[:, None]
    poses = poses._replace(
        joints_px=jnp.where(there[..., None], poses.joints_px, 0),
        confidence=jnp.where(there, poses.confidence, 0),
    )
    _, found = jax.lax.while_loop(
        lambda state: jnp.sum(state[0] > 0) >= enough, explain, (weight, nobody)
    )
    return found


def _truncated_mean(
    poses: Poses, weight: Float[Array, " n"], parameters: TruncatedMean
) -> tuple[Array, Float[Array, "k 2"], Array]:
    """Return (start, centre_px, near) of the best mean: where it began, what it is, whom it has."""
    scale_px = radii(poses.boxes_px, parameters.fraction, CIRCLE)[:, 0]
    limit = jnp.square(parameters.norm * scale_px)[:, None]

    def squared(centres_px: Float[Array, "n k 2"]) -> Float[Array, "n n"]:
        return jnp.mean((centres_px[:, None] - poses.joints_px[None]) ** 2, axis=(2, 3))

    def step(_: Any, centres_px: Float[Array, "n k 2"]) -> Float[Array, "n k 2"]:
        share = jnp.where(squared(centres_px) < limit, weight[None], 0)
        total = jnp.sum(share, axis=1)[:, None, None]
        # Pixels need all digits, which matrix products on GPU and TPU otherwise drop.
        sums = jnp.einsum("si,ikc->skc", share, poses.joints_px, precision="highest")
        mean = sums / jnp.where(total > 0, total, 1)
        return jnp.where(total > 0, mean, centres_px)

    centres_px = jax.lax.fori_loop(0, STEPS, step, poses.joints_px)
    distance = squared(centres_px)
    # In units of each start's own limit, so that starts in small and large boxes compare.
    loss = jnp.sum(jnp.minimum(distance / limit, 1) * weight[None], axis=1)
    start = jnp.argmin(jnp.where(weight > 0, loss, jnp.inf))
    return start, centres_px[start], distance[start] < limit[start]


def object_keypoint_similarity(
    joints_px: Float[Array, "n k 2"], area: Float[Array, " n"], sigmas: tuple[float, ...]
) -> Float[Array, "n n"]:
    """Return the similarity in [0, 1] of all pairs of poses; the area is the mean of both."""
    squared = jnp.sum((joints_px[:, None] - joints_px[None]) ** 2, axis=-1)
    spread = 2 * jnp.square(2 * jnp.asarray(sigmas, squared.dtype))
    both = jnp.maximum((area[:, None] + area[None]) / 2, jnp.finfo(area.dtype).tiny)
    return jnp.mean(jnp.exp(-squared / both[..., None] / spread[None, None]), axis=-1)
