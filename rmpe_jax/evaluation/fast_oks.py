"""COCO keypoint average precision as one pure function of arrays, to be compiled and searched over.

The same figure as `rmpe_jax.evaluation.coco` (pycocotools), without its loops: photographs i are
padded to g annotated people and p poses each, all in pixels as annotated.
"""

from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.evaluation import oks
from rmpe_jax.evaluation.oks import MOST
from rmpe_jax.evaluation.ranking import RECALLS, SMALLEST
from rmpe_jax.records import Array, Poses

THRESHOLDS = tuple(oks.THRESHOLDS.tolist())


class Truth(NamedTuple):
    """The annotated people of i photographs, padded to g, the last annotated first.

    People who do not count (`counted` is False: crowds, or no joint labelled) are neither missed
    nor false. `needed` is the number of people to find for each of the recalls.
    """

    joints_px: Float[Array, "i g k 2"]
    labelled: Bool[Array, "i g k"]
    boxes_px: Float[Array, "i g 4"]
    area: Float[Array, "i g"]
    counted: Bool[Array, "i g"]
    crowd: Bool[Array, "i g"]
    valid: Bool[Array, "i g"]
    needed: Int[Array, " r"]


def truth_arrays(truth: dict[str, Any]) -> tuple[list[int], Truth]:
    """Return (image ids in the order of the rows, the people) of a COCO annotation file's content.

    The ids ascend, as in pycocotools: of equal scores on two photographs the first counts first.
    """
    people = defaultdict(list)
    for annotation in truth["annotations"]:
        people[annotation["image_id"]].append(annotation)
    ids = sorted({image["id"] for image in truth["images"]})
    room = max((len(rows) for rows in people.values()), default=1)
    joints = len(truth["categories"][0]["keypoints"])
    empty = {"keypoints": [0] * 3 * joints, "bbox": [0] * 4, "area": 0, "iscrowd": 0}

    def padded(image: int) -> list[dict[str, Any]]:
        # pycocotools matches the last of equally similar people, argmax the first.
        there = [{**person, "valid": True} for person in people[image][::-1]]
        return there + [{**empty, "valid": False}] * (room - len(there))

    rows = [padded(image) for image in ids]

    def field(of: Any, *shape: int) -> np.ndarray:
        values = [[of(person) for person in row] for row in rows]
        return np.asarray(values, np.float64).reshape(len(ids), room, *shape)

    keypoints = field(lambda person: person["keypoints"], joints, 3)
    xywh = field(lambda person: person["bbox"], 4)
    counted = field(lambda person: person["valid"] and _counts(person)) > 0
    total = int(counted.sum())
    reached = np.arange(total + 1) / max(total, 1)
    return ids, Truth(
        joints_px=keypoints[..., :2],
        labelled=keypoints[..., 2] > 0,
        boxes_px=np.concatenate([xywh[..., :2], xywh[..., :2] + xywh[..., 2:]], axis=-1),
        area=field(lambda person: person["area"]),
        counted=counted,
        crowd=field(lambda person: person["iscrowd"]) > 0,
        valid=field(lambda person: person["valid"]) > 0,
        needed=np.searchsorted(reached, RECALLS, side="left"),
    )


def _counts(person: dict[str, Any]) -> bool:
    labelled = sum(visibility > 0 for visibility in person["keypoints"][2::3])
    return person.get("num_keypoints", labelled) > 0 and not person["iscrowd"]


@partial(jax.jit, static_argnames="sigmas")
def average_precision(truth: Truth, poses: Poses, *, sigmas: tuple[float, ...]) -> Float[Array, ""]:
    """Return COCO's AP in [0, 1] of padded poses of the same photographs; -1 without people.

    `poses` has a leading dimension i everywhere; rows that are not valid are not there.
    """
    nothing = jnp.where(jnp.any(truth.counted), 0.0, -1.0)
    if not poses.valid.size:
        return nothing
    score, joints_px = jax.vmap(_best)(poses)
    people = truth._replace(needed=None)
    true, false = jax.vmap(partial(_match, sigmas=sigmas))(people, joints_px, score > -jnp.inf)
    order = jnp.argsort(-score.reshape(-1), stable=True)
    precise = jax.vmap(lambda hit, miss: _precision(hit[order], miss[order], truth.needed))
    flat = (len(THRESHOLDS), -1)
    precision = precise(
        jnp.moveaxis(true, 2, 0).reshape(flat), jnp.moveaxis(false, 2, 0).reshape(flat)
    )
    return jnp.where(jnp.any(truth.counted), jnp.mean(precision), nothing)


def _best(poses: Poses) -> tuple[Float[Array, " d"], Float[Array, "d k 2"]]:
    """Return (score, joints_px) of the poses of one photograph that count, -inf if not valid."""
    score = jnp.where(poses.valid, poses.score, -jnp.inf)
    score, rows = jax.lax.top_k(score, min(MOST, len(poses.valid)))
    return score, poses.joints_px[rows]


def similarities(
    truth: Truth, joints_px: Float[Array, "d k 2"], *, sigmas: tuple[float, ...]
) -> Float[Array, "d g"]:
    """Return the OKS of d poses with the g people of one photograph (`truth` without i).

    Of people without a labelled joint it is told by how far the joints lie outside the box of
    three times the sides (COCOeval.computeOks).
    """
    offset = joints_px[:, None] - truth.joints_px[None]
    low, high = truth.boxes_px[None, :, None, :2], truth.boxes_px[None, :, None, 2:]
    sides = high - low
    below, beyond = low - sides - joints_px[:, None], joints_px[:, None] - high - sides
    outside = jnp.maximum(below, 0) + jnp.maximum(beyond, 0)
    anything = jnp.any(truth.labelled, axis=-1)
    distance = jnp.where(anything[None, :, None, None], offset, outside)
    spread = jnp.square(2 * jnp.asarray(sigmas, distance.dtype))[None, None]
    area = (truth.area + SMALLEST)[None, :, None]
    similar = jnp.exp(-jnp.sum(distance**2, axis=-1) / spread / area / 2)
    weight = (truth.labelled | ~anything[:, None]).astype(similar.dtype)
    return jnp.sum(similar * weight[None], axis=-1) / jnp.sum(weight, axis=-1)[None]


def _match(
    truth: Truth,
    joints_px: Float[Array, "d k 2"],
    there: Bool[Array, " d"],
    *,
    sigmas: tuple[float, ...],
) -> tuple[Bool[Array, "d t"], Bool[Array, "d t"]]:
    """Return (true, false): which poses find a person who counts, and which find nobody.

    Poses come by falling score; each takes the most similar free person who counts, else one who
    does not. Crowds are never used up.
    """
    oks = similarities(truth, joints_px, sigmas=sigmas)
    wanted = jnp.asarray(THRESHOLDS, oks.dtype)[:, None]

    def take(
        taken: Bool[Array, "t g"], pose: tuple[Array, Array]
    ) -> tuple[Bool[Array, "t g"], tuple[Array, Array]]:
        similar, is_there = pose
        near = (similar[None] >= wanted) & is_there & truth.valid[None]
        person = near & ~taken & truth.counted[None]
        other = near & (~taken | truth.crowd[None]) & ~truth.counted[None]
        hit = jnp.any(person, axis=1)
        choice = jnp.where(hit[:, None], person, other)
        best = jnp.argmax(jnp.where(choice, similar[None], -1), axis=1)
        chosen = jnp.arange(len(similar))[None] == best[:, None]
        return taken | (choice & chosen), (hit, is_there & ~jnp.any(choice, axis=1))

    nobody = jnp.zeros((len(THRESHOLDS), len(truth.area)), bool)
    _, (true, false) = jax.lax.scan(take, nobody, (oks, there))
    return true, false


def _precision(
    true: Bool[Array, " n"], false: Bool[Array, " n"], needed: Int[Array, " r"]
) -> Float[Array, " r"]:
    """Return the precision at each recall: the best at that recall or a higher one, or 0."""
    hits, misses = jnp.cumsum(true), jnp.cumsum(false)
    precision = hits / (hits + misses + SMALLEST)
    envelope = jax.lax.cummax(precision, reverse=True)
    at = jnp.searchsorted(hits, needed)
    return jnp.where(at < len(hits), envelope[jnp.minimum(at, len(hits) - 1)], 0)
