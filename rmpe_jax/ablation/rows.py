"""The rows of a table of ablations: what each changes of the full system.

Fang et al., RMPE (ICCV 2017), Table 3, on the validation part of MPII: mAP by joints, in percent.
What the columns mean is the mean of their seven figures in every row but the first, the seventh
and the eighth, where the printed total is 0.1 to 0.4 higher.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

COLUMNS = ("Head", "Sho", "Elb", "Wri", "Hip", "Knee", "Ank", "Total")
FULL = "full"

Proposals = Literal["pgpg", "jitter", "none"]
Nms = Literal["learned", "none", "matched_joints", "truncated_mean", "unmerged", "published"]


@dataclass(frozen=True)
class Row:
    """What a row is called, and what it has in place of the full system's parts."""

    label: str
    paper: tuple[float, ...] | None = None
    """The figures of `COLUMNS`, where the paper has the row."""
    proposals: Proposals = "pgpg"
    """`augment.proposals` of all training."""
    transformer: bool = True
    """STN and SDTN in stage 2; without them the pose network trains on for as many steps."""
    parallel: bool = True
    """The frozen parallel SPPE in stage 2."""
    nms: Nms = "learned"
    """What leaves one pose of each person. learned: parametric pose NMS. unmerged: the same, poses
    are not merged. published: with the parameters that the authors published for MPII."""
    oracle: bool = False
    """The annotated boxes in place of a detector's, in the test."""
    change: dict[str, Any] = field(default_factory=dict)
    """Settings by their names, as on the command line, of both stages."""


PAPER = {
    FULL: Row("RMPE, full", (90.7, 89.7, 84.1, 75.4, 80.4, 75.5, 67.3, 80.8)),
    "no_sstn": Row(
        "a) without SSTN and parallel SPPE",
        (89.0, 86.9, 82.8, 73.5, 77.1, 73.3, 65.0, 78.2),
        transformer=False,
        parallel=False,
    ),
    "no_parallel": Row(
        "a) without parallel SPPE",
        (89.9, 88.0, 83.4, 74.7, 77.8, 74.0, 65.8, 79.1),
        parallel=False,
    ),
    "no_pgpg": Row(
        "b) without PGPG",
        (82.8, 81.0, 77.5, 68.2, 74.6, 66.8, 60.1, 73.0),
        proposals="none",
    ),
    "jitter": Row(
        "b) random jittering in place of PGPG",
        (89.3, 87.8, 82.3, 70.4, 78.4, 73.3, 63.8, 77.9),
        proposals="jitter",
    ),
    "no_nms": Row(
        "c) without pose NMS",
        (85.1, 83.6, 79.2, 69.8, 76.4, 72.2, 63.6, 75.7),
        nms="none",
    ),
    "matched_joints": Row(
        "c) greedy matched-joint NMS (for Chen and Yuille)",
        (88.9, 87.8, 83.0, 73.8, 78.7, 74.6, 66.3, 79.1),
        nms="matched_joints",
    ),
    "truncated_mean": Row(
        "c) NMS of Burgos-Artizzu et al.",
        (90.0, 88.6, 83.7, 74.6, 79.7, 75.1, 67.0, 79.9),
        nms="truncated_mean",
    ),
    "two_step": Row(
        "d) plain two-step",
        (81.9, 80.4, 74.1, 68.5, 69.0, 66.1, 62.2, 71.7),
        proposals="none",
        transformer=False,
        parallel=False,
        nms="none",
    ),
    "oracle": Row(
        "e) oracle boxes",
        (94.3, 93.4, 87.7, 80.2, 84.3, 78.9, 70.6, 84.2),
        oracle=True,
    ),
}

# Settings that every family of networks can have, and none of which helps one of them.
_FAMILY = {
    "model.input_height": 128,
    "model.input_width": 128,
    "model.trunk_weights": None,
    "model.frozen_stages": 0,
    "model.stored_statistics": False,
    "model.trunk_stages": 4,
    "optimiser.trunk_rate": 1.0,
}


def _family(name: str, **more: Any) -> dict[str, Any]:
    """Return the change to another pose network, from nothing and at 128 x 128."""
    return {**_FAMILY, "model.family": name} | {f"model.{key}": v for key, v in more.items()}


EXTENSIONS = {
    "scale_shift": Row("theta: one scale and a shift", change={"model.stn.form": "scale_shift"}),
    "pgpg_global": Row("PGPG: one Gaussian for all", change={"augment.pgpg_density": "global"}),
    "pgpg_atoms": Row("PGPG: a Gaussian an atom", change={"augment.pgpg_density": "gaussian"}),
    "samples_4": Row(
        "PGPG: 4 samples a person in an epoch", change={"augment.samples_per_person": 4}
    ),
    "unmerged": Row("pose NMS without merging", nms="unmerged"),
    "published": Row("pose NMS with published parameters", nms="published"),
    "centred_main": Row(
        "centre-located loss on the main SPPE in place of the parallel one",
        change={"train.centred": "main"},
        parallel=False,
    ),
    "unfrozen": Row("a parallel SPPE that learns as well", change={"train.centred": "unfrozen"}),
    "pyramid": Row("SPPE: pyramid, from nothing at 128 x 128", change=_family("pyramid")),
    "hourglass": Row(
        "SPPE: two-stack hourglass, from nothing at 128 x 128",
        change=_family("hourglass", stacks=2, features=128),
    ),
    "simple_baseline": Row(
        "SPPE: SimpleBaseline, from nothing at 128 x 128", change=_family("simple_baseline")
    ),
    "fastpose": Row("SPPE: FastPose, from nothing at 128 x 128", change=_family("fastpose")),
}
ROWS = PAPER | EXTENSIONS


def chosen(names: str | None) -> dict[str, Row]:
    """Return the rows of a comma-separated list, in the order of the table and with the full one.

    None: those of the paper; "all": the extensions as well. Raises ValueError for other names.
    """
    if names is None:
        return PAPER
    if names == "all":
        return ROWS
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        raise ValueError(
            f"--rows names {unknown[0]!r}; allowed are {', '.join(ROWS)} (with commas between "
            "them), or all"
        )
    return {name: row for name, row in ROWS.items() if name == FULL or name in wanted}
