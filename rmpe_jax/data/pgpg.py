"""The pose-guided proposals generator: P(delta B | atom of P) (RMPE, section 3.3), and its file.

The file is JSON that `rmpe fit-pgpg` writes: atomic poses in the torso frame (`data.atoms`), and
for each a density of the offsets between detected and annotated boxes (`data.pairs`), in widths
and heights of the annotated box. People whose torso is not labelled count as one more atom, the
last. An atom with few pairs has no density of its own: the one of all people stands for it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rmpe_jax.data import atoms, densities
from rmpe_jax.data.densities import Mixture
from rmpe_jax.data.jitter import DEVIATION, MEAN
from rmpe_jax.skeletons import Skeleton

Kind = Literal["global", "gaussian", "mixture"]
SCHEMA = 1
ADVICE = "fit one with: rmpe fit-pgpg ANNOTATIONS --detections FILE --out FILE"
KEYS = ("schema", "skeleton", "joints", "atoms", "without_torso", "everybody", "provenance")


class Density(NamedTuple):
    """Both forms of a density: independent Gaussians (the authors' code), mixture (the paper)."""

    gaussian: Mixture
    mixture: Mixture


@dataclass(frozen=True)
class Pgpg:
    """What was fitted.

    `poses`, `pairs` and `own` have a row for each atom and a last one for people without a torso:
    how many poses and matched people they had, and their density, None where there were too few.
    """

    skeleton: Skeleton
    atoms: Float[np.ndarray, "a k 2"]
    poses: Int[np.ndarray, " a+1"]
    pairs: Int[np.ndarray, " a+1"]
    own: tuple[Density | None, ...]
    everybody: Density
    provenance: dict[str, Any] = field(default_factory=dict)

    def assign(self, joints_px: Float[np.ndarray, "n k 3"]) -> Int[np.ndarray, " n"]:
        """Return the row of each pose."""
        return atoms.assign(atoms.align(joints_px, self.skeleton), self.atoms)

    def density(self, row: int, kind: Kind) -> Mixture:
        """Return the density that people of that row are sampled from.

        global: independent Gaussians for everybody. gaussian: the same for each atom. mixture: a
        mixture for each atom.
        """
        if kind == "global":
            return self.everybody.gaussian
        own = self.own[row]
        density = self.everybody if own is None else own
        return density.gaussian if kind == "gaussian" else density.mixture


def published() -> Density:
    """Return the authors' Gaussian for all people, which stands where nothing was detected."""
    one = densities.from_deviation(MEAN, DEVIATION)
    return Density(one, one)


def write(pgpg: Pgpg, path: Path) -> None:
    """Write the file that `read` reads."""
    rows = [
        {"poses": int(poses), "pairs": int(pairs), "density": _told(own)}
        for poses, pairs, own in zip(pgpg.poses, pgpg.pairs, pgpg.own, strict=True)
    ]
    shapes = [{"joints_torso": _short(atom)} for atom in pgpg.atoms]
    document = {
        "schema": SCHEMA,
        "skeleton": pgpg.skeleton.name,
        "joints": list(pgpg.skeleton.joints),
        "provenance": pgpg.provenance,
        "everybody": _told(pgpg.everybody),
        "without_torso": rows[-1],
        "atoms": [shape | row for shape, row in zip(shapes, rows[:-1], strict=True)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read(path: Path, skeleton: Skeleton) -> Pgpg:
    """Return what was fitted, checked; raise ValueError if it is not what `write` wrote.

    Refused are other schemas and skeletons, numbers that are not finite, covariances that are not
    symmetric and positive, and weights that are negative or do not add up to 1.
    """
    document = _load(path)
    _check_skeleton(document, skeleton, path)
    if not isinstance(document["atoms"], list) or not document["atoms"]:
        raise ValueError(f"{path}: atoms must be a list with an atom or more; {ADVICE}")
    rows = [(f"{path}: atom {place}", row) for place, row in enumerate(document["atoms"])]
    shape = (len(skeleton.joints), 2)
    shapes = [
        _array(_get(row, "joints_torso", at), shape, f"{at}: joints_torso") for at, row in rows
    ]
    rows.append((f"{path}: without_torso", document["without_torso"]))
    poses, pairs = ([_count(row, key, at) for at, row in rows] for key in ("poses", "pairs"))
    own = [_density(_get(row, "density", at), at) for at, row in rows]
    everybody = _density(document["everybody"], f"{path}: everybody")
    if everybody is None:
        raise ValueError(f"{path}: everybody is null; a density is expected. {ADVICE}")
    return Pgpg(
        skeleton,
        np.stack(shapes),
        np.array(poses, np.int64),
        np.array(pairs, np.int64),
        tuple(own),
        everybody,
        document["provenance"],
    )


def _told(density: Density | None) -> dict[str, Any] | None:
    if density is None:
        return None
    return {
        name: {part: _short(values) for part, values in one._asdict().items()}
        for name, one in density._asdict().items()
    }


def _short(values: Float[np.ndarray, "..."]) -> Any:
    """Return nested lists of numbers with eight digits: enough for a box in any photograph."""
    return np.vectorize(lambda value: float(f"{value:.8g}"), otypes=[float])(values).tolist()


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file of proposals; {ADVICE}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}; {ADVICE}") from error
    missing = [key for key in KEYS if not isinstance(document, dict) or key not in document]
    if missing:
        came = sorted(document) if isinstance(document, dict) else type(document).__name__
        raise ValueError(f"{path}: no {', '.join(missing)}; it has {came}. {ADVICE}")
    if document["schema"] != SCHEMA:
        raise ValueError(
            f"{path}: schema {document['schema']!r} came, {SCHEMA} is allowed; {ADVICE}"
        )
    return document


def _check_skeleton(document: dict[str, Any], skeleton: Skeleton, path: Path) -> None:
    if document["skeleton"] != skeleton.name or document["joints"] != list(skeleton.joints):
        joints = document["joints"]
        came = f"{len(joints)} joints" if isinstance(joints, list) else repr(joints)
        raise ValueError(
            f"{path}: fitted for skeleton {document['skeleton']!r} with {came}, and the data has "
            f"{skeleton.name} with {len(skeleton.joints)}; {ADVICE} (annotations of "
            f"{skeleton.name})"
        )


def _get(row: Any, key: str, where: str) -> Any:
    if not isinstance(row, dict) or key not in row:
        came = sorted(row) if isinstance(row, dict) else type(row).__name__
        raise ValueError(f"{where}: no {key}; it has {came}. {ADVICE}")
    return row[key]


def _count(row: Any, key: str, where: str) -> int:
    value = _get(row, key, where)
    if type(value) is not int or value < 0:
        raise ValueError(f"{where}: {key} is {value!r}; a whole number from 0 is expected")
    return value


def _array(values: Any, shape: tuple[int, ...], where: str) -> Float[np.ndarray, "..."]:
    """Return finite numbers of that shape."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {values!r} are no numbers of shape {list(shape)}") from error
    if array.shape != shape or not np.isfinite(array).all():
        what = f"shape {list(array.shape)}" if array.shape != shape else "a number not finite"
        raise ValueError(
            f"{where}: {what} came; finite numbers of shape {list(shape)} are allowed. {ADVICE}"
        )
    return array


def _density(told: Any, where: str) -> Density | None:
    if told is None:
        return None
    parts = (_mixture(_get(told, name, where), f"{where}: {name}") for name in Density._fields)
    return Density(*parts)


def _mixture(told: Any, where: str) -> Mixture:
    weights = _get(told, "weights", where)
    count = len(weights) if isinstance(weights, list) else 0
    if not count:
        raise ValueError(f"{where}: weights are {weights!r}; a list of numbers is expected")
    shapes = {"weights": (count,), "means": (count, 4), "covariances": (count, 4, 4)}
    one = Mixture(
        **{
            name: _array(_get(told, name, where), shape, f"{where}: {name}")
            for name, shape in shapes.items()
        }
    )
    if (one.weights < 0).any() or abs(one.weights.sum() - 1) > 1e-6:
        raise ValueError(
            f"{where}: weights are {weights}; shares from 0 that add up to 1 are allowed. {ADVICE}"
        )
    mirrored = one.covariances.transpose(0, 2, 1)
    symmetric = np.allclose(one.covariances, mirrored, rtol=1e-6, atol=1e-12)
    if not symmetric or np.linalg.eigvalsh(one.covariances).min() <= 0:
        raise ValueError(
            f"{where}: covariances must be symmetric with eigenvalues above 0, and these are not; "
            f"{ADVICE}"
        )
    return one
