"""A result as people read it: tables, one Markdown row, and pictures of where it went wrong."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rmpe_jax import drawing
from rmpe_jax.data import images
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.evaluation import coco
from rmpe_jax.evaluation.metrics import COCO, METRICS
from rmpe_jax.evaluation.run import Evaluated
from rmpe_jax.geometry.boxes import from_xywh
from rmpe_jax.records import Photograph
from rmpe_jax.skeletons import Skeleton

RESULT, RECORDS, DRAWS = "result.json", "records.json", "draws.npz"
ROW, WORST = "result.md", "worst.png"
SHORT = 12  # characters of a hash that people read
TILE = 480  # pixels of the longer side of a picture


def write(folder: Path, evaluated: Evaluated, source: PhotographSource) -> list[Path]:
    """Write all of an evaluation into a folder, made if need be; return the files.

    result.json, records.json (COCO results), draws.npz (for `rmpe eval --compare`), result.md (one
    row of a table) and worst.png.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result, records, draws = evaluated
    (folder / RECORDS).write_text(json.dumps(records))
    np.savez_compressed(folder / DRAWS, **draws)  # pyright: ignore[reportArgumentType]
    (folder / ROW).write_text("\n".join(row(result)) + "\n", encoding="utf-8")
    sheet = worst_pictures(evaluated, source)
    (folder / WORST).unlink(missing_ok=True)
    if sheet is not None:
        drawing.write(folder / WORST, sheet)
    # Last and in one go: where there is a result, there is all of it.
    unfinished = folder / f"{RESULT}.new"
    unfinished.write_text(json.dumps(result, indent=2))
    unfinished.replace(folder / RESULT)
    names = (RESULT, RECORDS, DRAWS, ROW, *([WORST] if sheet is not None else []))
    return [folder / name for name in names]


def table(result: dict[str, Any]) -> str:
    """Return a result as text: what it depends on, COCO's numbers, the other metrics, the parts."""
    lines = [_about(result)]
    if "theta_error" in result:
        lines.append(
            f"mean |theta - theta*| {result['theta_error']:.4f}, "
            f"of the identity {result['theta_error_identity']:.4f}"
        )
    lines += _markdown(coco.NAMES, [result[name] for name in coco.NAMES])
    lines += [_interval(result, COCO)]
    for name in METRICS:
        if name in result:
            lines += ["", *_markdown([name, *result[name]], ["", *result[name].values()])]
            lines += [_interval(result, name)]
    for name, reason in result.get("refused", {}).items():
        lines.append(f"{name}: not measured: {reason}")
    for name, passed in result.get("left_out", {}).items():
        told = ", ".join(f"{what}: {of}" for what, of in passed.items())
        lines.append(f"{name}: left out: {told}")
    for name, parts in result.get("breakdown", {}).items():
        told = ", ".join(f"{part}: {of['AP']:.3f} ({of['people']})" for part, of in parts.items())
        lines.append(f"AP by {name} (people): {told}")
    return "\n".join(line for line in lines if line is not None)


def row(result: dict[str, Any]) -> list[str]:
    """Return a result as a Markdown table of one row, with all that it depends on."""
    leading = {
        name: result[name][metric.leading] for name, metric in METRICS.items() if name in result
    }
    low, high = result.get("intervals", {}).get(COCO, {}).get("AP", (None, None))
    values = {
        "run": result.get("config", {}).get("workdir", "-"),
        "data": f"{result['data_set']} {result['split']}",
        "images": result["images"],
        "AP": f"{result['AP']:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else ""),
        **{name: result[name] for name in coco.NAMES[1:]},
        **leading,
        "boxes": result.get("boxes", "-") + _jitter_told(result),
        "flip": result.get("flip", "-"),
        "decode": result.get("decode", "-"),
        "nms": result.get("nms", "-"),
        "data fingerprint": result["data_fingerprint"][:SHORT],
        "config": _hash(result.get("config")),
        "commit": result["commit"],
    }
    return _markdown(list(values), list(values.values()), rule=True)


def worst_pictures(evaluated: Evaluated, source: PhotographSource) -> np.ndarray | None:
    """Return the photographs of the lowest AP, each as annotated (left) and as found (right)."""
    rows = {entry.image_id: number for number, entry in enumerate(source.annotations())}
    tiles, titles = [], []
    for entry in evaluated.result["worst"]:
        photograph = source[rows[entry["image_id"]]]
        found = [r for r in evaluated.records if r["image_id"] == photograph.image_id]
        tiles += [
            annotated(photograph, source.skeleton),
            found_on(photograph, found, source.skeleton),
        ]
        titles += [f"{photograph.file_name}, annotated", f"found: AP {entry['AP']:.2f}"]
    return drawing.contact_sheet(tiles, columns=4, titles=titles) if tiles else None


def annotated(photograph: Photograph, skeleton: Skeleton) -> np.ndarray:
    """Return a photograph, made small, with the annotated poses."""
    points = photograph.persons.joints_px
    labelled = (points[..., 2] > 0).astype(np.float64)
    return _drawn(photograph, points[..., :2], labelled, skeleton)


def found_on(
    photograph: Photograph,
    found: Sequence[dict[str, Any]],
    skeleton: Skeleton,
    *,
    boxes: bool = False,
) -> np.ndarray:
    """Return a photograph, made small, with the best of COCO results: as many as people.

    `boxes`: with the boxes in which they were found as well.
    """
    shape = (-1, len(skeleton.joints), 3)
    keypoints = np.array([r["keypoints"] for r in found], np.float64).reshape(shape)
    most = max(len(photograph.persons.joints_px), 1)
    best = np.argsort([-r["score"] for r in found], kind="stable")[:most]
    keypoints = keypoints[best] if len(found) else keypoints
    boxes_px = None
    if boxes:
        xywh = np.array([found[row]["bbox"] for row in best], np.float64).reshape(-1, 4)
        boxes_px = from_xywh(xywh)
    return _drawn(photograph, keypoints[..., :2], keypoints[..., 2], skeleton, boxes_px)


def _drawn(
    photograph: Photograph,
    joints_px: np.ndarray,
    sure: np.ndarray,
    skeleton: Skeleton,
    boxes_px: np.ndarray | None = None,
) -> np.ndarray:
    picture = images.pixels(photograph)
    shrink = min(1.0, TILE / max(picture.shape[:2]))
    picture = drawing.resized(picture, shrink)
    if boxes_px is not None:
        picture = drawing.boxes(picture, shrink * boxes_px)
    return drawing.poses(picture, shrink * joints_px, sure, skeleton)


def _about(result: dict[str, Any]) -> str:
    about = (
        f"{result['data_set']} {result['split']}: {result['images']} images, "
        f"{result['poses']} poses, boxes: {result.get('boxes', 'not told')}{_jitter_told(result)}, "
        f"flip: {result.get('flip', 'not told')}, decode: {result.get('decode', 'not told')}, "
        f"nms: {result.get('nms', 'not told')}"
    )
    left = [
        (result["images_unreadable"], "unreadable images"),
        (result.get("boxes_left_out", 0), "boxes off the image"),
        (result["poses_of_other_images"], "poses of other images"),
    ]
    told = [f"{number} {what}" for number, what in left if number]
    return about + (f"; {' and '.join(told)} left out" if told else "")


def _interval(result: dict[str, Any], name: str) -> str | None:
    leading = METRICS[name].leading
    ends = result.get("intervals", {}).get(name, {}).get(leading)
    if ends is None or ends[0] is None:
        return None
    low, high = ends
    return f"95 % interval of {leading} (bootstrap over images): {low:.3f} to {high:.3f}"


def _markdown(names: Sequence[str], values: Sequence[Any], *, rule: bool = False) -> list[str]:
    cells = [_cell(value) for value in values]
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join(cells)} |"]
    return [lines[0], "|" + " --- |" * len(names), lines[1]] if rule else lines


def _cell(value: Any) -> str:
    if value is None or value == -1.0:  # COCO's for nothing to find
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _jitter_told(result: dict[str, Any]) -> str:
    return f" jittered by {result['jitter']:g}" if result.get("jitter") else ""


def _hash(config: dict[str, Any] | None) -> str:
    """Return a short hash of the settings."""
    if config is None:
        return "-"
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT]
