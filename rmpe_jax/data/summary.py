"""What a prepared set holds, for a person to check: a table, and a picture of joints on people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rmpe_jax import drawing
from rmpe_jax.data import images
from rmpe_jax.data.dataset import CONTACT_SHEET, PhotographSource
from rmpe_jax.geometry import boxes
from rmpe_jax.records import Annotation, Photograph

TILES, COLUMNS = 24, 6
TILE = 240  # pixels of the longer side of a tile
MOST_NAMED, PER_LINE = 30, 6  # joints whose share is told, and in one line
MARGIN = 0.3  # of the box's sides, about a person


def table(source: PhotographSource) -> str:
    """Return counts of the set as text, with how often each joint is labelled."""
    entries = source.annotations()
    joints = np.concatenate([entry.persons.joints_px for entry in entries])
    visibility = joints[..., 2]
    labelled = np.any(visibility > 0, axis=1)
    crowd = np.concatenate([entry.persons.is_crowd for entry in entries])
    head = np.concatenate([entry.persons.head_size_px for entry in entries])
    people = max(int(labelled.sum()), 1)
    rows = {
        "set": f"{source.data_set} {source.split}",
        "photographs": str(len(source)),
        "could not be read": str(source.skipped),
        "people": f"{len(labelled)} ({int(crowd.sum())} crowds)",
        "people with joints": str(int(labelled.sum())),
        "people to train on": str(len(source.person_index)),
        "labelled joints": f"{int((visibility > 0).sum())} ({int((visibility == 1).sum())} hidden)",
        "joints outside": str(_outside(entries)),
        "head sizes": str(int(np.isfinite(head).sum())),
        "joint set": f"{source.skeleton.name}, {len(source.skeleton.joints)} joints",
        "fingerprint": source.fingerprint,
        "folder": str(source.folder),
    }
    width = max(map(len, rows))
    lines = [f"{name:<{width}}  {value}" for name, value in rows.items()]
    lines += [f"note: {note}" for note in source.summary["notes"]]
    share = (visibility > 0).sum(axis=0) / people
    order = np.argsort(share, kind="stable")
    if len(order) > MOST_NAMED:
        order = order[[0, len(order) // 2, -1]]
        lines.append("labelled, of people with joints, the least often, the median and the most:")
    else:
        order = np.sort(order)
        lines.append("labelled, of people with joints:")
    shown = [f"{source.skeleton.joints[joint]} {100 * share[joint]:.0f} %" for joint in order]
    parts = (shown[row : row + PER_LINE] for row in range(0, len(shown), PER_LINE))
    lines += [f"  {', '.join(part)}" for part in parts]
    return "\n".join(lines)


def write_contact_sheet(source: PhotographSource) -> Path | None:
    """Draw people from all over the set, cut out with their joints; return the file.

    None where there is nobody to draw.
    """
    count = len(source.person_index)
    if not count:
        return None
    chosen = np.unique(np.linspace(0, count - 1, min(TILES, count)).astype(int))
    tiles, titles = [], []
    for row, person in source.person_index[chosen]:
        photograph = source[int(row)]
        tiles.append(_tile(photograph, int(person), source))
        titles.append(photograph.file_name.rsplit("/", 1)[-1])
    path = source.folder / CONTACT_SHEET
    drawing.write(path, drawing.contact_sheet(tiles, columns=COLUMNS, titles=titles))
    return path


def _tile(photograph: Photograph, person: int, source: PhotographSource) -> np.ndarray:
    """Return one person, cut out with a margin, with joints and box."""
    persons = photograph.persons
    picture = images.pixels(photograph)
    height, width, _ = picture.shape
    labelled = persons.joints_px[person, :, 2] > 0
    points = persons.joints_px[person, labelled, :2]
    around = np.concatenate([persons.boxes_px[person].reshape(2, 2), points])
    box_px = np.concatenate([around.min(axis=0), around.max(axis=0)])
    box_px = boxes.clip(boxes.extend(box_px, MARGIN), height, width)
    left, top, right, bottom = np.round(box_px).astype(int)
    cut = picture[top : max(bottom, top + 1), left : max(right, left + 1)]
    share = TILE / max(cut.shape[:2])
    cut = drawing.resized(cut, share)
    moved = (persons.joints_px[:, :, :2] - (left, top)) * share
    box = (persons.boxes_px[person] - (left, top, left, top)) * share
    cut = drawing.boxes(cut, box[None])
    sure = labelled.astype(np.float64)
    return drawing.poses(cut, moved[person][None], sure[None], source.skeleton)


def _outside(entries: Sequence[Annotation]) -> int:
    """Return how many labelled joints lie outside their photograph."""
    outside = 0
    for entry in entries:
        x, y, visibility = np.moveaxis(entry.persons.joints_px, -1, 0)
        inside = (x >= 0) & (x <= entry.width) & (y >= 0) & (y <= entry.height)
        outside += int(((visibility > 0) & ~inside).sum())
    return outside
