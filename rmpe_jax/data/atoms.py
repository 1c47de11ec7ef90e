"""Atomic poses: the poses of a data set, aligned by their torsos and clustered (RMPE, section 3.3).

In the torso frame the middle of the hips is (0, 0) and the torso, from there to the middle of the
shoulders, has length 1; nothing is turned, so that lying people stay lying. Joints that are not
labelled count nowhere: not in distances, not in the centres of clusters.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rmpe_jax.skeletons import Skeleton

SHOULDERS, HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
# A torso seen end on has no length to divide by. Below this share of the diagonal of the labelled
# joints' box it counts as not labelled: 0.2 % of the people of COCO with shoulder and hip.
LEAST_TORSO = 0.15
COUNTS = (4, 6, 8, 10, 12, 16, 20, 24, 30, 36, 42, 48)  # numbers of atoms that are tried
POSES_TRIED = 40_000  # for choosing among them: half to cluster, half to measure
RESTARTS, ITERATIONS = 3, 100


class Aligned(NamedTuple):
    """Poses in the torso frame; `joints_torso` is 0 where a joint is not `labelled`.

    A pose without a torso has no labelled joint here.
    """

    joints_torso: Float[np.ndarray, "n k 2"]
    labelled: Bool[np.ndarray, "n k"]

    @property
    def has_torso(self) -> Bool[np.ndarray, " n"]:
        """Return which poses could be aligned."""
        return np.asarray(self.labelled.any(axis=1))


def align(joints_px: Float[np.ndarray, "n k 3"], skeleton: Skeleton) -> Aligned:
    """Return poses (x, y, visibility) in the torso frame.

    Where one shoulder (hip) is labelled it stands for the middle of both. Raises ValueError for a
    skeleton without shoulders and hips.
    """
    labelled = joints_px[..., 2] > 0
    shoulders, some_shoulder = _middle(joints_px, labelled, SHOULDERS, skeleton)
    hips, some_hip = _middle(joints_px, labelled, HIPS, skeleton)
    length = np.linalg.norm(shoulders - hips, axis=1)
    seen, xy = labelled[..., None], joints_px[..., :2]
    low = np.min(xy, axis=1, where=seen, initial=np.inf)
    high = np.max(xy, axis=1, where=seen, initial=-np.inf)
    both = some_shoulder & some_hip
    diagonal = np.linalg.norm(np.where(both[:, None], high - low, 1.0), axis=1)
    usable = both & (length > LEAST_TORSO * diagonal)
    labelled = labelled & usable[:, None]
    aligned = (xy - hips[:, None]) / np.where(usable, length, 1.0)[:, None, None]
    return Aligned(np.where(labelled[..., None], aligned, 0.0), labelled)


def assign(aligned: Aligned, atoms: Float[np.ndarray, "a k 2"]) -> Int[np.ndarray, " n"]:
    """Return the nearest atom of each pose; the number of atoms where there is no torso."""
    nearest = _square_distances(aligned, atoms).argmin(axis=1)
    return np.where(aligned.has_torso, nearest, len(atoms))


def distortion(aligned: Aligned, atoms: Float[np.ndarray, "a k 2"]) -> float:
    """Return the mean square distance of a labelled joint from its pose's atom, in torsos."""
    least = _square_distances(aligned, atoms).min(axis=1)
    return float(least.sum() / aligned.labelled.sum())


def cluster(
    generator: np.random.Generator, aligned: Aligned, count: int
) -> Float[np.ndarray, "{count} k 2"]:
    """Return `count` atoms by k-means, the atom of most poses first.

    Where no joint is missing this is scikit-learn's k-means. Poses without a torso are left out.
    Raises ValueError if fewer than `count` poses have one.
    """
    usable = Aligned(*(field[aligned.has_torso] for field in aligned))
    poses = len(usable.labelled)
    if not 1 <= count <= poses:
        raise ValueError(
            f"{count} atoms from {poses} poses with a torso (a shoulder and a hip labelled): from "
            f"1 to {poses} are allowed; give more poses or fewer atoms"
        )
    if usable.labelled.all():
        atoms = _complete_means(generator, usable.joints_torso, count)
    else:
        runs = [_masked_means(generator, usable, count) for _ in range(RESTARTS)]
        atoms = min(runs, key=lambda run: distortion(usable, run))
    sizes = np.bincount(assign(usable, atoms), minlength=count)
    return atoms[np.argsort(-sizes, kind="stable")]


def choose_count(
    generator: np.random.Generator, aligned: Aligned, counts: tuple[int, ...] = COUNTS
) -> tuple[int, dict[int, float]]:
    """Return the number of atoms at the elbow, and the distortion for each number tried.

    Distortion is measured on poses that were not clustered. The elbow is the point farthest below
    the straight line from the first to the last (log number, log distortion): from there on more
    atoms bring less than they did on average.
    """
    usable = Aligned(*(field[aligned.has_torso] for field in aligned))
    order = generator.permutation(len(usable.labelled))[:POSES_TRIED]
    halves = [Aligned(*(field[half] for field in usable)) for half in np.array_split(order, 2)]
    counts = tuple(count for count in counts if 10 * count <= len(halves[0].labelled))
    if len(counts) < 3:  # no line to lie below
        return max(1, min(4, len(order))), {}
    tried = {count: distortion(halves[1], cluster(generator, halves[0], count)) for count in counts}
    x, y = np.log(counts), np.log(list(tried.values()))
    line = y[0] + (x - x[0]) * (y[-1] - y[0]) / (x[-1] - x[0])
    return counts[int(np.argmax(line - y))], tried


def _middle(
    joints_px: Float[np.ndarray, "n k 3"],
    labelled: Bool[np.ndarray, "n k"],
    names: tuple[str, ...],
    skeleton: Skeleton,
) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Return the mean of the labelled ones of some joints, and whether there is one."""
    missing = [name for name in names if name not in skeleton.joints]
    if missing:
        raise ValueError(
            f"{skeleton.name} has no joint {', '.join(missing)}; a torso needs "
            f"{', '.join(SHOULDERS + HIPS)}, and it has {', '.join(skeleton.joints)}"
        )
    places = [skeleton.joints.index(name) for name in names]
    share = labelled[:, places, None].astype(np.float64)
    total = share.sum(axis=1)
    mean = (joints_px[:, places, :2] * share).sum(axis=1) / np.maximum(total, 1)
    return mean, total[:, 0] > 0


def _square_distances(
    aligned: Aligned, atoms: Float[np.ndarray, "a k 2"]
) -> Float[np.ndarray, "n a"]:
    """Return the sum over labelled joints of the square distance to each atom."""
    joints = aligned.joints_torso  # 0 where not labelled, so it needs no mask
    own = (joints**2).sum(axis=(1, 2))
    both = joints.reshape(len(joints), -1) @ atoms.reshape(len(atoms), -1).T
    theirs = aligned.labelled.astype(np.float64) @ (atoms**2).sum(axis=2).T
    return np.maximum(own[:, None] - 2 * both + theirs, 0)


def _complete_means(
    generator: np.random.Generator, joints_torso: Float[np.ndarray, "n k 2"], count: int
) -> Float[np.ndarray, "{count} k 2"]:
    from sklearn.cluster import KMeans  # here: only who fits waits for it

    state = int(generator.integers(2**31))
    means = KMeans(
        count,
        n_init=RESTARTS,  # type: ignore[arg-type]  # its default, a word, is taken for the type
        max_iter=ITERATIONS,
        random_state=state,
    )
    flat = joints_torso.reshape(len(joints_torso), -1)
    return means.fit(flat).cluster_centers_.reshape(count, *joints_torso.shape[1:])


def _masked_means(
    generator: np.random.Generator, aligned: Aligned, count: int
) -> Float[np.ndarray, "{count} k 2"]:
    """Return the means of one run of Lloyd's iteration with weights 0 for unlabelled joints."""
    atoms = _spread(generator, aligned, count)
    nearest = np.full(len(aligned.labelled), -1)
    for _ in range(ITERATIONS):
        before, nearest = nearest, _square_distances(aligned, atoms).argmin(axis=1)
        if (nearest == before).mean() > 0.9995:  # the rest changes no atom visibly
            break
        atoms = _means(aligned, nearest, atoms)
    return atoms


def _means(
    aligned: Aligned, nearest: Int[np.ndarray, " n"], atoms: Float[np.ndarray, "a k 2"]
) -> Float[np.ndarray, "a k 2"]:
    """Return each atom's mean over its poses; a joint nobody of them has stays where it was."""
    member = np.zeros((len(atoms), len(nearest)))
    member[nearest, np.arange(len(nearest))] = 1
    seen = (member @ aligned.labelled)[..., None]
    total = (member @ aligned.joints_torso.reshape(len(nearest), -1)).reshape(atoms.shape)
    return np.where(seen > 0, total / np.maximum(seen, 1), atoms)


def _spread(
    generator: np.random.Generator, aligned: Aligned, count: int
) -> Float[np.ndarray, "{count} k 2"]:
    """Return first atoms by k-means++: poses far from those chosen; gaps have the mean's joints.

    Arthur and Vassilvitskii, k-means++ (2007).
    """
    one = np.zeros(len(aligned.labelled), np.int64)
    mean = _means(aligned, one, np.zeros((1, *aligned.joints_torso.shape[1:])))[0]
    chosen, least = [], np.ones(len(one))
    for _ in range(count):
        share = least / least.sum() if least.sum() > 0 else None
        pose = generator.choice(len(one), p=share)
        seed = np.where(aligned.labelled[pose][:, None], aligned.joints_torso[pose], mean)
        distances = _square_distances(aligned, seed[None])[:, 0]
        least = np.minimum(least, distances) if chosen else distances
        chosen.append(seed)
    return np.stack(chosen)
