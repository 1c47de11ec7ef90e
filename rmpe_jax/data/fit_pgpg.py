"""Fit the pose-guided proposals generator: from annotations and detections to one small file.

Atoms come from all poses given, densities from the people whom a detection matches. How well each
kind of density tells offsets is measured on photographs that it was not fitted to.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from rich.console import Console

from rmpe_jax.data import atoms, coco, pairs, pgpg, pgpg_figures
from rmpe_jax.data.fit_densities import FOLDS, Matched, bic, fit_densities, held_out
from rmpe_jax.data.pgpg import Pgpg
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import COCO17, Skeleton


@dataclass(frozen=True)
class FitSettings:
    """How to fit."""

    atoms: int | None = None
    """Number of atomic poses; None: at the elbow of the distortion (`atoms.choose_count`)."""
    least_pairs: int = 200
    """Atoms with fewer matched people take the density of everybody."""
    least_score: float = 0.0
    """Detections below this score are not used."""
    prior: float = 200.0
    """An atom's mixture is that of everybody, adapted as if this many people lay like everybody.
    0: a mixture of its own, of 1 to 3 components by BIC (the paper)."""
    seed: int = 0
    """Of the starts of k-means and of the mixtures; the same files give the same fit."""


def fit_pgpg(
    out: Path,
    annotations: Path | None = None,
    detections: Path | None = None,
    poses: Path | None = None,
    *,
    skeleton: Skeleton = COCO17,
    settings: FitSettings = FitSettings(),
    console: Console | None = None,
) -> dict[str, Any]:
    """Fit, write `out` and two pictures beside it, and return what was found.

    Atoms come from `poses` (see `read_poses`) or, without it, from `annotations`. Without
    `detections` the authors' published Gaussian stands for all people. Raises ValueError if
    neither poses nor annotations are given, for detections without annotations and for files
    that do not belong together.
    """
    _check_given(annotations, detections, poses, settings)
    given = {"annotations": annotations, "detections": detections, "poses": poses}
    return fit_photographs(
        out,
        [] if annotations is None else coco.index(annotations, skeleton),
        detections,
        None if poses is None else read_poses(poses, skeleton),
        skeleton=skeleton,
        settings=settings,
        console=console,
        origin=_of_files(given),
    )


def fit_photographs(
    out: Path,
    photographs: Sequence[Annotation],
    detections: Path | None,
    joints_px: Float[np.ndarray, "n k 3"] | None = None,
    *,
    skeleton: Skeleton,
    settings: FitSettings = FitSettings(),
    console: Console | None = None,
    origin: dict[str, Any],
) -> dict[str, Any]:
    """Do what `fit_pgpg` does, from annotations of any set; `origin` says which, for the file.

    Atoms come from `joints_px` or, without it, from the photographs.
    """
    began, worked = time.perf_counter(), time.process_time()
    console = console or Console(stderr=True)
    generator = np.random.default_rng(settings.seed)
    matched = None
    if detections is not None:
        matched = _matched(photographs, detections, settings)
        console.print(f"{len(matched.offset)} people matched by a detection")
    if joints_px is None:
        joints_px = np.concatenate([_labelled(entry) for entry in photographs])
    aligned = atoms.align(joints_px, skeleton)
    console.print(f"{len(joints_px)} poses, {aligned.has_torso.sum()} of them with a torso")
    count, tried = settings.atoms, {}
    if count is None:
        count, tried = atoms.choose_count(generator, aligned)
    shapes = atoms.cluster(generator, aligned, count)
    console.print(f"{count} atoms{_elbow_told(tried)}")
    sizes = np.bincount(atoms.assign(aligned, shapes), minlength=count + 1)
    clustered, worked = time.perf_counter() - began, time.process_time() - worked

    fitted = fit(generator, skeleton, shapes, sizes, matched, settings)
    fitted.provenance.update(origin | _provenance(settings, tried))
    pgpg.write(fitted, out)
    pgpg_figures.draw_atoms(fitted, out.with_name(f"{out.stem}_atoms.png"))
    result = {
        "atoms": count,
        "poses": len(joints_px),
        "with_torso": int(aligned.has_torso.sum()),
        "poses_of_atoms": sizes.tolist(),
        "distortion": {str(key): value for key, value in tried.items()},
        "seconds_atoms": round(clustered, 1),
        "processor_seconds_atoms": round(worked, 1),
    }
    if matched is not None:
        rows = fitted.assign(matched.joints_px)
        offsets_out = out.with_name(f"{out.stem}_offsets.png")
        pgpg_figures.draw_offsets(fitted, matched.offset, rows, offsets_out)
        result |= {
            "pairs": len(rows),
            "pairs_of_atoms": fitted.pairs.tolist(),
            "components": [None if own is None else len(own.mixture.weights) for own in fitted.own],
            "bic": bic(fitted, matched.offset, rows),
            "held_out": held_out(
                generator,
                matched,
                rows,
                fitted.pairs >= settings.least_pairs,
                settings.prior,
                console=console,
            ),
        }
    return result | {"seconds": round(time.perf_counter() - began, 1)}


def fit(
    generator: np.random.Generator,
    skeleton: Skeleton,
    shapes: Float[np.ndarray, "a k 2"],
    sizes: Int[np.ndarray, " a+1"],
    matched: Matched | None,
    settings: FitSettings,
) -> Pgpg:
    """Return the generator with given atoms, its densities fitted to the matched people."""
    rows = len(shapes) + 1
    if matched is None:
        counts = np.zeros(rows, np.int64)
        own = (None,) * rows
        return Pgpg(skeleton, shapes, sizes, counts, own, pgpg.published(), {})
    assigned = atoms.assign(atoms.align(matched.joints_px, skeleton), shapes)
    counts = np.bincount(assigned, minlength=rows)
    everybody, own = fit_densities(
        generator, matched.offset, assigned, counts >= settings.least_pairs, settings.prior
    )
    return Pgpg(skeleton, shapes, sizes, counts, own, everybody, {})


def read_poses(path: Path, skeleton: Skeleton) -> Float[np.ndarray, "n k 3"]:
    """Return the poses (x, y, visibility) of a NumPy archive with an array keypoints [n k 3]."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a NumPy archive with keypoints [n k 3] is due")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = sorted(archive.files)
            joints_px = archive["keypoints"].astype(np.float64) if "keypoints" in names else None
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not a NumPy archive (.npz) of arrays: {error}") from error
    if joints_px is None:
        raise ValueError(f"{path}: no keypoints; it has {names}, and keypoints [n k 3] is due")
    due = (len(joints_px), len(skeleton.joints), 3)
    if joints_px.shape != due or not len(joints_px):
        raise ValueError(
            f"{path}: keypoints have shape {joints_px.shape}; poses (x, y, visibility) of "
            f"{skeleton.name}, [n {due[1]} 3], are expected"
        )
    if not np.isfinite(joints_px).all():
        row = int(np.argwhere(~np.isfinite(joints_px))[0, 0])
        raise ValueError(f"{path}: pose {row} has numbers that are not finite; leave it out")
    return joints_px


def table(result: dict[str, Any]) -> str:
    """Return a result as lines for people to read."""
    lines = [
        f"{result['atoms']} atoms from {result['with_torso']} of {result['poses']} poses "
        f"({result['seconds_atoms']} s)"
    ]
    if "pairs" not in result:
        return f"{lines[0]}\nno detections: the published Gaussian stands for all people"
    own = sum(count is not None for count in result["components"])
    lines.append(f"{result['pairs']} matched people; {own} rows have a density of their own")
    lines += ["| density | log-likelihood, held out | gain | ± |", "|---|---|---|---|"]
    for name, values in result["held_out"].items():
        if "log_likelihood" in values:
            numbers = (values[key] for key in ("log_likelihood", "gain", "standard_error"))
            lines.append(f"| {name} | {' | '.join(f'{number:.3f}' for number in numbers)} |")
    return "\n".join(lines)


def _check_given(
    annotations: Path | None, detections: Path | None, poses: Path | None, settings: FitSettings
) -> None:
    if detections is not None and annotations is None:
        raise ValueError(
            f"detections {detections} came without annotations to match them with; type "
            f"rmpe fit-pgpg ANNOTATIONS --detections {detections} ..."
        )
    if annotations is None and poses is None:
        raise ValueError(
            "no poses came: give COCO keypoint annotations (rmpe fit-pgpg ANNOTATIONS ...) or an "
            "archive of poses (--poses FILE.npz), or both"
        )
    if not settings.prior >= 0:
        raise ValueError(f"prior is {settings.prior}; a number of people from 0 on is expected")
    if settings.least_pairs < 20:
        raise ValueError(
            f"least_pairs is {settings.least_pairs}; from 20 on a density can be fitted and "
            "measured"
        )


def _labelled(entry: Annotation) -> Float[np.ndarray, "n k 3"]:
    """Return the poses of people with a labelled joint who are no crowd."""
    people = entry.persons
    return people.joints_px[(people.joints_px[:, :, 2] > 0).any(axis=1) & ~people.is_crowd]


def _matched(photographs: Sequence[Annotation], detections: Path, settings: FitSettings) -> Matched:
    some = pairs.of_file(detections, photographs, least_score=settings.least_score)
    if len(some.image) < settings.least_pairs:
        raise ValueError(
            f"{detections}: {len(some.image)} people matched, and a density needs "
            f"{settings.least_pairs}; give more photographs or lower --least-pairs"
        )
    if len(np.unique(some.image)) < FOLDS:
        raise ValueError(
            f"{detections}: people matched on {len(np.unique(some.image))} photographs; at least "
            f"{FOLDS} are needed to measure densities on others than they were fitted to"
        )
    places = zip(some.image.tolist(), some.person.tolist(), strict=True)
    joints = [photographs[image].persons.joints_px[person] for image, person in places]
    return Matched(some.image, np.array(joints), some.offset)


def _of_files(given: dict[str, Path | None]) -> dict[str, Any]:
    """Return what files the fit came from, without names of folders."""
    return {
        name: {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for name, path in given.items()
        if path is not None
    }


def _provenance(settings: FitSettings, tried: dict[int, float]) -> dict[str, Any]:
    return {
        "atoms": settings.atoms if settings.atoms is not None else "elbow",
        "distortion": {str(key): round(value, 5) for key, value in tried.items()},
        "least_pairs": settings.least_pairs,
        "least_score": settings.least_score,
        "prior": settings.prior,
        "seed": settings.seed,
        "rmpe_jax": metadata.version("rmpe_jax"),
    }


def _elbow_told(tried: dict[int, float]) -> str:
    distortions = ", ".join(f"{key}: {value:.3f}" for key, value in tried.items())
    return f", the elbow of the distortion: {distortions}" if tried else ""
