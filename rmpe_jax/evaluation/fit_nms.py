"""Learn the parameters of pose NMS from files: redundant poses, and the annotated people.

The poses are computed once, by whatever network, and searched for the highest average precision
(`nms_search`). What was learned is compared with published parameters and other schemes.
"""

import hashlib
import json
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float
from rich.console import Console

from rmpe_jax.evaluation import fast_oks, nms_grid
from rmpe_jax.evaluation.nms_comparison import compare, heat_maps, schemes
from rmpe_jax.evaluation.nms_search import STANDARD, Task, Thoroughness, fit
from rmpe_jax.evaluation.nms_trace import Trace
from rmpe_jax.evaluation.redundant_poses import Data, read_data
from rmpe_jax.evaluation.run import commit
from rmpe_jax.pose_nms import RMPE_MPII, NmsSet
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import COCO17, Skeleton

LAYOUT = 1  # raise it when figures of an earlier trace would no longer be right


class OksPrecision(NamedTuple):
    """COCO's AP as a measure; `truth` is `fast_oks.Truth`."""

    sigmas: tuple[float, ...]

    def __call__(self, truth: Any, poses: Poses) -> Float[Array, ""]:
        """Return AP in [0, 1]."""
        return fast_oks.average_precision(truth, poses, sigmas=self.sigmas)


def fit_nms(
    poses: Path,
    annotations: Path,
    out: Path,
    *,
    test_poses: Path | None = None,
    test_annotations: Path | None = None,
    start: NmsSet = RMPE_MPII,
    only_with_poses: bool = False,
    most_photographs: int = 5000,
    skeleton: Skeleton = COCO17,
    thoroughness: Thoroughness = STANDARD,
    console: Console | None = None,
) -> dict[str, Any]:
    """Learn from a file of redundant poses; return and write what was learned and what it reaches.

    Leaves fit_nms.json, trace.json and pairs.png in `out`. `only_with_poses` leaves annotated
    photographs without a pose out of the learning, for poses of a part of the photographs; of
    more than `most_photographs` as many are chosen at random, always the same ones. The test
    files, of other photographs, are only measured.
    """
    began = time.perf_counter()
    console = console or Console()
    data = read_data(
        poses, annotations, skeleton, only_with_poses=only_with_poses, most=most_photographs
    )
    tested = [path for path in (test_poses, test_annotations) if path is not None]
    if len(tested) == 1:
        raise ValueError("poses and annotations to test on belong together: give both or none")
    unseen = read_data(tested[0], tested[1], skeleton) if tested else None
    console.print(f"{data.poses.valid.sum()} poses on {len(data.ids)} photographs")
    _, arrays = fast_oks.truth_arrays(data.truth)
    measure = OksPrecision(skeleton.sigmas)
    trace = Trace(out / "trace.json", _fingerprint(data, measure), console)
    figures = partial(nms_grid.figures, data.poses, arrays, measure=measure)
    best = fit(Task(figures, trace, thoroughness), start)
    learned = NmsSet(best.parameters, best.options)
    heat_maps(trace, learned, out / "pairs.png")
    compared = schemes(learned, skeleton)
    result = {
        "parameters": best.parameters._asdict(),
        "options": asdict(best.options),
        "photographs": len(data.ids),
        "learned_on": compare(data, compared, skeleton),
        "files": _named(poses, annotations),
        "points": int(sum(np.size(grid["figures"]) for grid in trace.grids)),
        "thoroughness": asdict(thoroughness),
        "commit": commit(),
    }
    if unseen is not None:
        result["tested_on"] = compare(unseen, compared, skeleton)
        result["test_files"] = _named(*tested)
    result["seconds"] = round(time.perf_counter() - began, 1)
    text = json.dumps(result, indent=2)
    (out / "fit_nms.json").write_text(text + "\n")
    return json.loads(text)


def _named(*paths: Path) -> dict[str, str]:
    """Return a hash of each file, by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _fingerprint(data: Data, measure: OksPrecision) -> str:
    """Return a hash of all that the search depends on."""
    about = [LAYOUT, measure, data.truth]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for field in data.poses:
        digest.update(np.ascontiguousarray(field).tobytes())
    return digest.hexdigest()
