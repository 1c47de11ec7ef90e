"""The numbers of a report as plain JSON, without its pictures. NaN and infinity are null."""

import math
from typing import Any

import numpy as np

from rmpe_jax.inspection import motion
from rmpe_jax.inspection.findings import Findings, Pixel
from rmpe_jax.inspection.scene import Place

DIGITS = 7  # significant, as float32 has


def as_json(findings: Findings) -> dict[str, Any]:
    """Return all numbers of the findings, by the names that they have there."""
    size = findings.size
    gradients, person = findings.gradients, findings.person
    parts = (*gradients.by_branch, gradients.total)
    pixels = findings.pixels
    told = {
        "checkpoint": findings.checkpoint,
        "stn_form": findings.form,
        "missing": findings.missing,
        "notes": gradients.notes,
        "image": findings.subject.name,
        "example": findings.subject.number,
        "boxes_px": findings.subject.boxes_px,
        "target": findings.subject.target,
        "joints_px": findings.subject.joints_px,
        "joint_names": findings.skeleton.joints,
        "height": size[0],
        "width": size[1],
        "theta_crop": person.theta_crop,
        "theta_star": person.theta_star,
        "joints_crop": person.joints_crop,
        "weight": person.weight,
        "gradients": gradients,
        "gradient_total": gradients.total,
        "cosines": findings.cosines,
        "slopes": {
            name: motion.slopes(gradients.theta, part, *size)
            for name, part in zip(("stn", "sdtn", "parallel", "total"), parts, strict=True)
        },
        "path": [place(one) for one in findings.path],
        "identity": place(findings.identity),
        "star": place(findings.star),
        "pixels": None if pixels is None else [pixel(one) for one in pixels],
        "checks": findings.checks,
        "landscape": findings.landscape,
        "curves": findings.curves,
    }
    return plain(told)


def place(one: Place) -> dict[str, Any]:
    """Return what is known at one theta, with the pose but without images and heat-maps."""
    seen = one.view
    told = {name: value for name, value in one._asdict().items() if name != "view"}
    pose = ("joints_straight", "joints_crop", "joints_image", "confidence")
    return told | {name: getattr(seen, name) for name in pose}


def pixel(one: Pixel) -> dict[str, Any]:
    """Return what one output pixel reads, without the pixels around."""
    return {name: value for name, value in one._asdict().items() if name != "around"}


def plain(value: Any) -> Any:
    """Return records, arrays and numbers as JSON has them."""
    fields = getattr(value, "_fields", None)
    if fields is not None:
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return plain(np.asarray(value).tolist())
