"""The data sets that are known by name: where their files lie as published, and who reads them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from rmpe_jax import skeletons, whole_body
from rmpe_jax.data import (
    coco,
    lsp,
    mpii,
    mpii_json,
    one_based,
    posetrack,
    whole_body_files,
)
from rmpe_jax.records import Annotation
from rmpe_jax.skeletons import Skeleton

Split = Literal["train", "validation"]


class Read(NamedTuple):
    """The annotations of a split, the joints they have, and what a user should know of them."""

    annotations: list[Annotation]
    skeleton: Skeleton
    notes: list[str]


class Release(NamedTuple):
    """A data set as it is published.

    `places` names for each split the annotations and the folder of images, below the set's folder;
    `obtain` says what to download. `skeleton` is what `read` finds in the files as published.
    """

    read: Callable[[Path, Split], Read]
    places: dict[Split, tuple[str, str]]
    obtain: str
    skeleton: Skeleton = skeletons.COCO17


def _own(annotations: Path, split: Split) -> Read:
    sections = coco.read_sections(annotations)
    skeleton, notes = coco.own_skeleton(sections, annotations)
    entries = coco.index_sections(sections, skeleton, str(annotations))
    without = sum("area" not in person for person in sections["annotations"])
    if without:
        notes = [*notes, f"{without} people have no area: 0.53 of their box stands in"]
    if one_based.looks_one_based(entries):
        notes = [
            *notes,
            "no labelled joint lies below 1: do these annotations count pixels from 1? COCO's "
            "format counts from 0; if so, subtract 1 from the joints",
        ]
    return Read(entries, skeleton, notes)


def _crowdpose(annotations: Path, split: Split) -> Read:
    skeleton = skeletons.CROWDPOSE14
    return Read(coco.index(annotations, skeleton, area="box"), skeleton, [])


def _wholebody(annotations: Path, split: Split) -> Read:
    entries = whole_body_files.index_wholebody(annotations)
    return Read(entries, whole_body.WHOLEBODY133, [])


def _halpe(annotations: Path, split: Split, *, skeleton: Skeleton) -> Read:
    return Read(whole_body_files.index_halpe(annotations, skeleton), skeleton, [])


def _posetrack(annotations: Path, split: Split) -> Read:
    entries, unlabelled = posetrack.index(annotations)
    notes = [f"{unlabelled} frames are not labelled and left out"] if unlabelled else []
    return Read(entries, skeletons.POSETRACK17, notes)


def _posetrack17(annotations: Path, split: Split) -> Read:
    return Read(posetrack.index_annolist(annotations), skeletons.POSETRACK15, [])


def _mpii(annotations: Path, split: Split) -> Read:
    """Read MPII's own file, or one of the two JSON layouts in which it is passed on."""
    if annotations.suffix == ".mat":
        groups = annotations.parent / GROUPS
        entries = mpii.index(annotations, split, groups=groups if groups.is_file() else None)
        return Read(entries, skeletons.MPII16, [MPII_SPLIT])
    if annotations.read_bytes()[:64].lstrip().startswith(b"["):
        entries = mpii_json.index_hrnet(annotations)
        return Read(entries, skeletons.MPII16, ["head sizes are estimated from neck and head top"])
    return Read(mpii_json.index_small(annotations), skeletons.MPII16, [])


def _lsp(annotations: Path, split: Split) -> Read:
    part = "train" if split == "train" else "test"
    return Read(lsp.index(annotations, part), skeletons.LSP14, [])


def _lspet(annotations: Path, split: Split) -> Read:
    return Read(lsp.index_extended(annotations), skeletons.LSP14, [])


GROUPS = "groups_v12.mat"  # MPII's groups of people, a file beside the annotations
MPII_SPLIT = (
    "MPII publishes no validation split: every tenth image, by the SHA-1 of its name, is held out"
)
COCO_IMAGES = "From cocodataset.org: the train and val images of {year}, and their annotations;"
RELEASES: dict[str, Release] = {
    "coco": Release(
        _own,
        {
            "train": ("annotations/person_keypoints_train2017.json", "train2017"),
            "validation": ("annotations/person_keypoints_val2017.json", "val2017"),
        },
        COCO_IMAGES.format(year=2017) + " unpack all three there.",
    ),
    "coco2014": Release(
        _own,
        {
            "train": ("annotations/person_keypoints_train2014.json", "train2014"),
            "validation": ("annotations/person_keypoints_val2014.json", "val2014"),
        },
        COCO_IMAGES.format(year=2014) + " unpack all three there.",
    ),
    "coco_wholebody": Release(
        _wholebody,
        {
            "train": ("annotations/coco_wholebody_train_v1.0.json", "train2017"),
            "validation": ("annotations/coco_wholebody_val_v1.0.json", "val2017"),
        },
        COCO_IMAGES.format(year=2017)
        + " from github.com/jin-s13/COCO-WholeBody: the two annotation files, into annotations/.",
        whole_body.WHOLEBODY133,
    ),
    "crowdpose": Release(
        _crowdpose,
        {
            "train": ("annotations/crowdpose_train.json", "images"),
            "validation": ("annotations/crowdpose_val.json", "images"),
        },
        "From github.com/Jeff-sjtu/CrowdPose: images.zip, unpacked there, and the annotations, "
        "into annotations/.",
        skeletons.CROWDPOSE14,
    ),
    "ochuman": Release(
        _own,
        {"validation": ("ochuman_coco_format_val_range_0.00_1.00.json", "images")},
        "From github.com/liruilong940607/OCHumanApi: images.zip, unpacked there, and the files in "
        "COCO's format (for the test split name the other one).",
    ),
    "halpe26": Release(
        partial(_halpe, skeleton=whole_body.HALPE26),
        {
            "train": ("annotations/halpe_train_v1.json", "images/train2015"),
            "validation": ("annotations/halpe_val_v1.json", "images/val2017"),
        },
        "From github.com/Fang-Haoshu/Halpe-FullBody: the annotations, into annotations/, and the "
        "training images of HICO-DET (hico_20160224_det), whose images/ belongs there; the "
        "validation images are COCO's val2017, into images/val2017.",
        whole_body.HALPE26,
    ),
    "posetrack18": Release(
        _posetrack,
        {"train": ("annotations/train", "."), "validation": ("annotations/val", ".")},
        "From posetrack.net (2018): the annotations in JSON, one file a video, into "
        "annotations/train and annotations/val, and the images, into images/.",
        skeletons.POSETRACK17,
    ),
    "posetrack17": Release(
        _posetrack17,
        {"validation": ("annotations.json", "images")},
        "One video of PoseTrack 2017 (or in its layout): its annolist as JSON, annotations.json, "
        "and its frames, into images/.",
        skeletons.POSETRACK15,
    ),
    "mpii": Release(
        _mpii,
        {
            "train": ("mpii_human_pose_v1_u12_1.mat", "images"),
            "validation": ("mpii_human_pose_v1_u12_1.mat", "images"),
        },
        "From human-pose.mpi-inf.mpg.de: the images, into images/, the annotation "
        f"mpii_human_pose_v1_u12_1.mat and, for the multi-person evaluation, {GROUPS}, both there. "
        "The JSON files that HRNet passes on can be named instead.",
        skeletons.MPII16,
    ),
    "lsp": Release(
        _lsp,
        {"train": ("joints.mat", "images"), "validation": ("joints.mat", "images")},
        "Leeds Sports Pose (Johnson and Everingham 2010), lsp_dataset.zip: joints.mat and images/, "
        "unpacked there.",
        skeletons.LSP14,
    ),
    "lspet": Release(
        _lspet,
        {"train": ("joints.mat", "images")},
        "Leeds Sports Pose Extended Training (2011), lspet_dataset.zip: joints.mat and images/, "
        "unpacked there.",
        skeletons.LSP14,
    ),
}
RELEASES["halpe136"] = RELEASES["halpe26"]._replace(
    read=partial(_halpe, skeleton=whole_body.HALPE136), skeleton=whole_body.HALPE136
)


def inputs(annotations: Path) -> list[Path]:
    """Return the files that annotations consist of."""
    if annotations.is_dir():
        return sorted(path for path in annotations.glob("*.json") if path.is_file())
    groups = annotations.parent / GROUPS
    return [annotations, groups] if groups.is_file() else [annotations]
