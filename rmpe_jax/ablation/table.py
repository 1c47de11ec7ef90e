"""A table of ablations in the paper's layout, as Markdown. Figures in percent."""

from typing import Any

from rmpe_jax.ablation.rows import COLUMNS
from rmpe_jax.ablation.statistics import ONE_TRAINING, OPPOSITE, SIGN, SURE, UNKNOWN

SHORT = 12  # characters of a hash that people read
SIGNS = {SURE: "++", ONE_TRAINING: "(++)", SIGN: "+", UNKNOWN: "?", OPPOSITE: "--"}


def markdown(made: dict[str, Any]) -> str:
    """Return a whole table: what it depends on, a part for each kind of boxes, what marks mean."""
    chances = "photographs and seeds" if made["seeds"] > 1 else "photographs"
    lines = [
        f"# Ablations: {made['workdir']}",
        "",
        f"{made['data_set']}, {made['images']} test photographs, {made['seeds']} "
        f"seed{'s' if made['seeds'] > 1 else ''}, {made['samples_seen']:,} training samples a row "
        f"({' + '.join(f'{steps} steps {name}' for name, steps in made['steps'].items())}, batch "
        f"{made['batch_size']}).",
        f"Data {_short(made['data_fingerprint']['train'])} (training) and "
        f"{_short(made['data_fingerprint']['validation'])} (test); commit "
        f"{made['trained_commit']} (training) and {made['commit']} (table); "
        f"{made['seconds'] / 60:.0f} minutes.",
        f"{made['metric']} in percent, mean over seeds; D is the difference from the full system "
        f"with its paired 95 % interval over {chances}, beside the paper's own; AP is COCO's.",
        "",
    ]
    for name, column in made["columns"].items():
        lines += _part(name, column, made["most_boxes"])
    lines += _theta_told(made)
    lines += [
        f"{SIGNS[SURE]} {SURE}; {SIGNS[ONE_TRAINING]} {ONE_TRAINING}; {SIGNS[SIGN]} {SIGN}: in 5 "
        f"of 6 draws at least; {SIGNS[UNKNOWN]} {UNKNOWN}; {SIGNS[OPPOSITE]} {OPPOSITE}, outside "
        "noise. The paper has no AP of these rows: AP's marks compare with its mAP.",
        "",
    ]
    return "\n".join(lines)


def _part(name: str, column: dict[str, Any], most: int) -> list[str]:
    lines = [f"## Boxes: {name}", "", *_boxes_told(column, most), *_resolution_told(column), ""]
    head = ["row", *COLUMNS, "D", "95 %", "paper", "", "AP", "D AP", "95 %", ""]
    lines += [_line(head), _line(["---"] * len(head))]
    for row in column["rows"].values():
        if "figures" not in row:
            why = "; ".join(row.get("failed", ["not done yet"]))
            why = " ".join(why.replace("|", "/").split())
            lines.append(_line([row["label"], why, *[""] * (len(head) - 2)]))
            continue
        cells = [f"{100 * row['figures'][key]:.1f}" for key in COLUMNS]
        told = {"Total": ["", "", "", ""], "AP": ["", "", ""]}
        if "difference" in row:
            paper = row["paper_difference"]
            for key, empty in told.items():
                one = row["difference"][key]
                told[key] = [
                    f"{100 * one['value']:+.1f}",
                    f"{100 * one['low']:+.1f} to {100 * one['high']:+.1f}",
                    *(["" if paper is None else f"{100 * paper:+.1f}"] if len(empty) == 4 else []),
                    SIGNS.get(row["mark"][key], ""),
                ]
        some = " (not all seeds)" if row["incomplete"] else ""
        label = row["label"] + some
        precision = f"{100 * row['COCO']['AP']:.1f}"
        lines.append(_line([label, *cells, *told["Total"], precision, *told["AP"]]))
    return [*lines, ""]


def _theta_told(made: dict[str, Any]) -> list[str]:
    """Return how far theta is from what it should say, of each row that trains a transformer."""
    rows = next(iter(made["columns"].values()))["rows"].values()
    found: dict[float, dict[str, Any]] = {}
    for row in rows:
        if "theta_error" in row:
            found.setdefault(row["theta_error"], row)  # the full system's, of rows that share it
    if not found:
        return []
    identity = next(iter(found.values()))["theta_error_identity"]
    told = "; ".join(f"{row['label']} {error:.3f}" for error, row in found.items())
    return [
        "Mean |theta - theta*| in annotated boxes that are jittered by the published Gaussian "
        f"({identity:.3f} of the identity): {told}.",
        "",
    ]


def _boxes_told(column: dict[str, Any], most: int) -> list[str]:
    boxes = column["boxes"] or {}
    told = []
    for file, what in (("train.json", "training"), ("validation.json", "test")):
        if file in boxes:
            one = boxes[file]
            told.append(
                f"on {what} photographs AP {one['AP']:.3f}, AP50 {one['AP50']:.3f}, recall at IoU "
                f"0.5 {one['recall50']:.3f}, {one['boxes'] / one['images']:.1f} a photograph"
            )
    return [
        f"Those of a score of {column['threshold']:g} or more, at most {most} a photograph: "
        f"{'; '.join(told)}."
    ]


def _resolution_told(column: dict[str, Any]) -> list[str]:
    """Return how small a difference may be and still be told from chance."""
    names = {"trained_anew": "rows trained anew", "same_network": "rows of the same network"}
    told = [
        f"{100 * column['resolution'][key]:.1f} for {name}"
        for key, name in names.items()
        if column["resolution"][key] is not None
    ]
    if not told:
        return []
    return [f"Smallest difference told from chance (half an interval, median): {', '.join(told)}."]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short(text: str | None) -> str:
    return (text or "unknown")[:SHORT]
