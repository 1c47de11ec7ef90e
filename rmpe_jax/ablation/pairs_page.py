"""A page of picture pairs: where a row and the full system differ most. One file, no network."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rmpe_jax import drawing
from rmpe_jax.ablation.plan import Cell, Plan
from rmpe_jax.ablation.rows import FULL
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.evaluation import report
from rmpe_jax.evaluation.breakdown import of_each
from rmpe_jax.evaluation.found import from_records
from rmpe_jax.markup import Markup, figure, joined, picture, tag

PAIRS = 2  # photographs of either sign in a row
LEAST = 0.05  # difference of a photograph's AP that is worth a picture
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 90rem; }
.triple { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.8rem;
  margin: 0.8rem 0 1.6rem; }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; }
figcaption { font-size: 0.9rem; }
"""


class _Found(NamedTuple):
    """What a row found: COCO results by photograph, and the AP of each photograph alone."""

    of_image: dict[int, list[dict[str, Any]]]
    precision: np.ndarray


def write(plan: Plan, root: Path, made: dict[str, Any], path: Path) -> None:
    """Write the page: of each row the photographs that differ most, in the first kind of boxes."""
    column = next(iter(made["columns"]))
    full = Cell(column, FULL, 0)
    source = prepare(plan.config.data, "validation")
    parts: list[Markup] = []
    if (root / plan.scores[full].name / report.RESULT).exists():
        known = _found(root / plan.scores[full].name, source)
        for name, row in plan.rows.items():
            folder = root / plan.scores[Cell(column, name, 0)].name
            if name != FULL and (folder / report.RESULT).exists():
                parts.append(_section(row.label, source, known, _found(folder, source)))
    about = (
        "Left as annotated, then as the full system and as the row found it, with the boxes of "
        f"{column}, first seed. Of each row the photographs whose own AP differs most, in favour "
        "of the full system first."
    )
    body = joined(tag("h1", f"Pairs: {made['workdir']}"), tag("p", about), *parts)
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"Pairs: {made['workdir']}"),
        tag("style", Markup(STYLE)),
    )
    page = tag("html", tag("head", head), tag("body", body), lang="en")
    path.write_text(f"<!doctype html>\n{page}\n", encoding="utf-8")


def _section(label: str, source: PhotographSource, full: _Found, own: _Found) -> Markup:
    gain = full.precision - own.precision
    order = np.argsort(-np.nan_to_num(gain), kind="stable")
    chosen = [row for row in (*order[:PAIRS], *order[::-1][:PAIRS]) if abs(gain[row]) > LEAST]
    shown = [_triple(int(row), source, full, own) for row in dict.fromkeys(chosen)]
    return tag("section", tag("h2", label), *(shown or [tag("p", "No photograph differs.")]))


def _triple(row: int, source: PhotographSource, full: _Found, own: _Found) -> Markup:
    photograph = source[row]
    skeleton = source.skeleton
    name = photograph.file_name
    pictures = [(report.annotated(photograph, skeleton), f"{name}, as annotated")]
    for found, what in ((full, "full system"), (own, "this row")):
        of_image = found.of_image.get(photograph.image_id, [])
        drawn = report.found_on(photograph, of_image, skeleton, boxes=True)
        pictures.append((drawn, f"{what}: AP {found.precision[row]:.2f}"))
    figures = [figure(picture(drawing.data_uri(one), told), told) for one, told in pictures]
    return tag("div", *figures, class_="triple")


def _found(folder: Path, source: PhotographSource) -> _Found:
    records = json.loads((folder / report.RECORDS).read_text())
    of_image: dict[int, list[dict[str, Any]]] = {}
    for record in records:
        of_image.setdefault(record["image_id"], []).append(record)
    photographs = source.annotations()
    precision, _ = of_each(
        photographs, from_records(records, photographs, source.skeleton), source.skeleton
    )
    return _Found(of_image, precision)
