"""Parametric pose NMS: of the poses found for one person keep one, and merge the others into it.

Fang et al., RMPE (ICCV 2017), eq. 7-10. Functions take the poses of one photograph, padded to n
rows with `valid`, in pixels of that photograph; `jax.vmap` them over photographs. In all arrays
[n n] the row is the reference i and the column the pose j that is compared with it. The relation
is not symmetric: distances are measured by the reference's raw proposal box.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Bool, Float, Int

from rmpe_jax.geometry import boxes
from rmpe_jax.records import Array, Poses

Number = float | Float[Array, ""]

UNROLLED_JOINTS = 32  # of a loop over joints
SMALLEST_RADIUS_PX = 1e-6  # a box without area has a region too: only what lies on the joint
COLLAPSED = 1e-30  # below every sum of confidences that means something


class NmsParameters(NamedTuple):
    """The numbers of eq. 8-10: floats, or arrays to `jax.vmap` over.

    `sigma1` softens confidences, `sigma2` distances (in radii, see `NmsOptions.region`),
    `lambda_` weighs the distance term, similarity of at least `eta` eliminates, and `fraction` is
    the share of the reference's box that makes the region B(k).
    """

    sigma1: float
    sigma2: float
    lambda_: float
    eta: float
    fraction: float = 0.1


@jax.tree_util.register_static
@dataclass(frozen=True)
class NmsOptions:
    """What the paper leaves open, or the authors' code does otherwise; static under `jax.jit`."""

    h_form: Literal["code", "paper"] = "code"
    """Distance term: exp(-d / sigma2) as in the code, exp(-d^2 / sigma2) as in eq. 9."""
    region: Literal["circle", "box"] = "circle"
    """B(k): circle of radius fraction x max(w, h) (code), or box of fraction x (w, h) (paper).
    d is counted in its radius, or in half sides for each axis."""
    merge: bool = True
    """Joints of the eliminated within the region move the kept ones, weighted by confidence."""
    merge_radius_px: float | None = None
    """Joints farther away than this never merge; None: those of the region do."""
    carried: Literal["max", "weighted", "own"] = "max"
    """What of its group a kept pose carries as `score`, and, merged, as joint confidences: the
    highest, the mean weighted by itself (sum s^2 / sum s), or its own."""
    support: float = 0.0
    """This share of the scores of those it eliminated is added to a kept pose's `score`: who is
    found more than once is there more surely. It may exceed 1 then."""
    rank: Literal["confidence", "score"] = "confidence"
    """Which pose is the reference first: by mean joint confidence (paper) or by `score`."""
    matched_joints: int = 0
    """Also eliminate with this many joints within `matched_radius_px`; 0: never (paper)."""
    matched_radius_px: float = 7.0
    """Radius of that rule, or that of the region where it is smaller."""


class NmsSet(NamedTuple):
    """Parameters with the options they were tuned for: `pose_nms(poses, *RMPE_MPII)`.

    Under `jax.jit` the parameters are traced and the options static.
    """

    parameters: NmsParameters
    options: NmsOptions


# multi-human-pose: predict/batch_nms.py, also the Caffe demo of RMPE.
RMPE_MPII = NmsSet(
    NmsParameters(sigma1=0.01, sigma2=2.08, lambda_=2.08, eta=22.48),
    NmsOptions(),
)
# AlphaPose v0.1: parametric-pose-nms-COCO.py, without its threshold of 0.3 on the best joint, its
# least confidence of 1e-5 and its shift of -0.25 pixels, which belong to other steps. Later ports
# measure in pixels, forgetting the box.
ALPHAPOSE_COCO = NmsSet(
    NmsParameters(sigma1=1.0, sigma2=2.65, lambda_=1.7, eta=22.48),
    NmsOptions(merge_radius_px=15.0, carried="weighted", matched_joints=5),
)


class Terms(NamedTuple):
    """K_sim (eq. 8) and H_sim (eq. 9), without lambda, of all poses under all references."""

    confidence: Float[Array, "n n"]
    distance: Float[Array, "n n"]


def pose_nms(
    poses: Poses,
    parameters: NmsParameters = RMPE_MPII.parameters,
    options: NmsOptions = RMPE_MPII.options,
) -> Poses:
    """Return the poses with one of each person `valid`, its joints merged with those it replaced.

    The most confident pose is kept and eliminates those whose similarity
    d = K_sim + lambda H_sim with it is at least eta, and so on with the rest. (Eq. 7 has
    d <= eta; d grows with every joint that matches, and all code of the authors eliminates the
    similar.) Rows that are not kept come back unchanged but not valid.
    """
    check(parameters)
    return _pose_nms(poses, parameters, options)


def check(parameters: NmsParameters) -> None:
    """Raise ValueError unless all parameters are finite and above zero.

    Arrays are looked at whole; what `jax.jit` or `jax.vmap` is tracing cannot be.
    """
    for name, value in zip(NmsParameters._fields, parameters, strict=True):
        if isinstance(value, Tracer):
            continue
        wrong = [float(v) for v in np.ravel(value) if not (np.isfinite(v) and v > 0)]
        if wrong:
            raise ValueError(
                f"pose NMS: {name} is {wrong[0]:g}; finite numbers above 0 are allowed. The "
                f"authors' value for MPII is {getattr(RMPE_MPII.parameters, name):g}; `rmpe "
                "fit-nms` learns it from your poses"
            )


@partial(jax.jit, static_argnames="options")
def _pose_nms(poses: Poses, parameters: NmsParameters, options: NmsOptions) -> Poses:
    terms = similarity_terms(
        poses, parameters.sigma1, parameters.sigma2, parameters.fraction, options
    )
    similarity = terms.confidence + parameters.lambda_ * terms.distance
    eliminates = (similarity >= parameters.eta) | same_by_count(poses, parameters.fraction, options)
    return suppress(poses, eliminates, parameters.fraction, options)


def radii(
    boxes_px: Float[Array, "n 4"], fraction: Number, options: NmsOptions
) -> Float[Array, "n 2"]:
    """Return the half width and half height in pixels of the region B(k) of each pose."""
    sides = boxes.size(boxes_px)
    if options.region == "circle":
        sides = 2 * jnp.broadcast_to(jnp.max(sides, axis=1, keepdims=True), sides.shape)
    return jnp.maximum(sides * (fraction / 2), SMALLEST_RADIUS_PX)


def similarity_terms(
    poses: Poses, sigma1: Number, sigma2: Number, fraction: Number, options: NmsOptions
) -> Terms:
    """Return what the joints that match say (K_sim), and what their distances say (H_sim).

    K_sim is a soft count of the joints that lie in the region and are confident in both poses;
    H_sim counts all joints, each less the farther it is.
    """
    soft = jnp.tanh(poses.confidence / sigma1)

    def add(terms: Terms, joint: tuple[Array, Array, Array]) -> Terms:
        distance, inside = _apart(joint[0], joint[1], options)
        power = distance**2 if options.h_form == "paper" else distance
        matching = jnp.where(inside, joint[2][None] * joint[2][:, None], 0)
        return Terms(terms.confidence + matching, terms.distance + jnp.exp(-power / sigma2))

    zero = jnp.zeros((len(poses.valid),) * 2, soft.dtype)
    radii_px = radii(poses.boxes_px, fraction, options)
    return _over_joints(add, Terms(zero, zero), poses.joints_px, radii_px, soft)


def matched_count(
    joints_px: Float[Array, "n k 2"], radii_px: Float[Array, "n 2"], options: NmsOptions
) -> Int[Array, "n n"]:
    """Return the number of joints of each pose within the regions about the reference's joints."""

    def add(count: Array, joint: tuple[Array, Array, Array]) -> Array:
        return count + _apart(joint[0], joint[1], options)[1].astype(count.dtype)

    zero = jnp.zeros((len(joints_px),) * 2, jnp.int32)
    return _over_joints(add, zero, joints_px, radii_px, jnp.zeros(joints_px.shape[:2]))


def _over_joints(
    add: Callable[[Any, tuple[Array, Array, Array]], Any],
    zero: Any,
    joints_px: Float[Array, "n k 2"],
    radii_px: Float[Array, "n 2"],
    value: Float[Array, "n k"],
) -> Any:
    """Return `zero` after `add(sum, (x, y, value))` of every joint.

    x and y [n n] are the offsets, in radii, from the reference's joint; value is [n]. One joint
    after the other on [n n]: XLA:CPU sums over the last axis of [n n k] 25 times more slowly.
    """

    def step(total: Any, joint: tuple[Array, Array, Array]) -> tuple[Any, None]:
        x_px, y_px, value = joint
        x = (x_px[None] - x_px[:, None]) / radii_px[:, :1]
        y = (y_px[None] - y_px[:, None]) / radii_px[:, 1:]
        return add(total, (x, y, value)), None

    joints = (joints_px[..., 0].T, joints_px[..., 1].T, value.T)
    total, _ = jax.lax.scan(step, zero, joints, unroll=min(len(joints[0]), UNROLLED_JOINTS))
    return total


def _apart(
    x: Float[Array, "*n"], y: Float[Array, "*n"], options: NmsOptions
) -> tuple[Float[Array, "*n"], Bool[Array, "*n"]]:
    """Return (distance, inside the region) of offsets in radii."""
    distance = jnp.sqrt(x**2 + y**2)
    if options.region == "circle":
        return distance, distance <= 1
    return distance, jnp.maximum(jnp.abs(x), jnp.abs(y)) <= 1


def same_by_count(poses: Poses, fraction: Number, options: NmsOptions) -> Bool[Array, "n n"]:
    """Return who eliminates whom by the number of joints that match alone (AlphaPose)."""
    if not options.matched_joints:
        return jnp.zeros((len(poses.valid),) * 2, bool)
    radii_px = jnp.minimum(radii(poses.boxes_px, fraction, options), options.matched_radius_px)
    return matched_count(poses.joints_px, radii_px, options) >= options.matched_joints


def suppress(
    poses: Poses,
    eliminates: Bool[Array, "n n"],
    fraction: Number,
    options: NmsOptions,
) -> Poses:
    """Return the poses after greedy elimination and merging, given who would eliminate whom."""
    if not len(poses.valid):
        return poses
    rank = jnp.mean(poses.confidence, axis=1) if options.rank == "confidence" else poses.score
    kept, owner = greedy(eliminates, rank, poses.valid)
    own = poses.score[:, None]
    score = _carried(own, own, poses.valid[:, None], owner, options)[:, 0]
    if options.support:
        score += options.support * _group_sum(jnp.where(kept, 0, poses.score), owner)
    result = poses._replace(score=jnp.where(kept, score, poses.score), valid=kept)
    return _merge(result, poses.valid, owner, fraction, options) if options.merge else result


def greedy(
    eliminates: Bool[Array, "n n"], rank: Float[Array, " n"], valid: Bool[Array, " n"]
) -> tuple[Bool[Array, " n"], Int[Array, " n"]]:
    """Return (kept, owner): who survives, and for each pose the kept one that it belongs to.

    The pose of the highest rank is kept (the first of equals), those it eliminates go, and so on
    with the rest. That is the one set with: j is kept if no kept pose of a higher rank
    eliminates it. It is found by applying this sentence to all poses at once until nothing
    changes: after t rounds the t highest ranks are final, whatever the lower ones were, so it ends
    after n rounds at most, and in practice after as many as the longest chain of eliminations.
    """
    n = len(valid)
    number = jnp.arange(n)
    least = jnp.finfo(rank.dtype).min
    rank = jnp.nan_to_num(rank, nan=least, neginf=least)
    earlier = number[:, None] < number[None]
    above = (rank[:, None] > rank[None]) | ((rank[:, None] == rank[None]) & earlier)
    place = jnp.sum(above, axis=0)
    beats = eliminates & above & valid[:, None] & valid[None]

    def judge(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        kept, _, _ = state
        beaten_by = jnp.min(jnp.where(beats & kept[:, None], place[:, None], n), axis=0)
        judged = valid & (beaten_by == n)
        return judged, beaten_by, jnp.any(judged != kept)

    kept, beaten_by, _ = jax.lax.while_loop(
        lambda state: state[2], judge, (valid, place, jnp.array(True))
    )
    owner = jnp.argsort(place)[jnp.minimum(beaten_by, n - 1)]
    return kept, jnp.where(beaten_by < n, owner, number)


def _merge(
    poses: Poses,
    member: Bool[Array, " n"],
    owner: Int[Array, " n"],
    fraction: Number,
    options: NmsOptions,
) -> Poses:
    """Return the kept poses moved to the weighted means of their groups' joints.

    Without any confidence the mean is plain. Offsets from the kept joints are averaged, here and
    in `_carried`, so that equal poses merge into exactly the same pose.
    """
    radii_px = radii(poses.boxes_px, fraction, options)[owner]
    offset_px = poses.joints_px - poses.joints_px[owner]
    offset = offset_px / radii_px[:, None]
    _, inside = _apart(offset[..., 0], offset[..., 1], options)
    if options.merge_radius_px is not None:
        inside &= jnp.sum(offset_px**2, axis=-1) <= options.merge_radius_px**2
    own = owner == jnp.arange(len(owner))
    inside = (inside | own[:, None]) & member[:, None]
    weight = jnp.where(inside, poses.confidence, 0)
    total = _group_sum(weight, owner)
    silent = total < COLLAPSED
    weight = jnp.where(silent[owner], inside.astype(weight.dtype), weight)
    total = jnp.where(silent, _group_sum(weight, owner), total)
    moved_px = _group_sum(jnp.where(inside[..., None], weight[..., None] * offset_px, 0), owner)
    kept = poses.valid[:, None]
    carried = partial(
        _carried, weight=poses.confidence, member=inside, owner=owner, options=options
    )
    step_px = moved_px / jnp.where(kept, total, 1)[..., None]
    return poses._replace(
        joints_px=jnp.where(kept[..., None], poses.joints_px + step_px, poses.joints_px),
        confidence=jnp.where(kept, carried(poses.confidence), poses.confidence),
        peak=jnp.where(kept, carried(poses.peak), poses.peak),
    )


def _carried(
    value: Float[Array, "n k"],
    weight: Float[Array, "n k"],
    member: Bool[Array, "n k"],
    owner: Int[Array, " n"],
    options: NmsOptions,
) -> Float[Array, "n k"]:
    """Return what each pose carries of the values of its group, see `NmsOptions.carried`.

    `weight` is the value itself, or of a peak, which may be negative, the confidence.
    """
    if options.carried == "own":
        return value
    if options.carried == "max":
        candidates = jnp.where(member, value, -jnp.inf)
        return jax.ops.segment_max(candidates, owner, num_segments=len(owner))
    weight = jnp.where(member, weight, 0)
    total = _group_sum(weight, owner)
    above = _group_sum(weight * jnp.where(member, value - value[owner], 0), owner)
    return value + above / jnp.where(total < COLLAPSED, 1, total)


def _group_sum(value: Float[Array, "n ..."], owner: Int[Array, " n"]) -> Float[Array, "n ..."]:
    return jax.ops.segment_sum(value, owner, num_segments=len(owner))
