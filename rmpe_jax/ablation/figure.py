"""The plot of a table: what each row loses, with its interval, beside the loss in the paper."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rmpe_jax.ablation.statistics import Difference

# Okabe & Ito (2008), as in `drawing`.
OURS, PAPER = "#0072B2", "#D55E00"
ROW_INCHES, PANEL_INCHES, LABEL_INCHES = 0.34, 3.4, 3.2


def draw(made: dict[str, Any], path: Path) -> None:
    """Draw the difference of each row from the full system, a panel for each kind of boxes."""
    columns = made["columns"]
    names = list(
        dict.fromkeys(
            name
            for column in columns.values()
            for name, row in column["rows"].items()
            if "difference" in row
        )
    )
    height = 1.4 + ROW_INCHES * max(len(names), 1)
    width = LABEL_INCHES + PANEL_INCHES * len(columns)
    chart = Figure(figsize=(width, height), layout="constrained")
    panels = chart.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for panel, (boxes, column) in zip(panels, columns.items(), strict=True):
        panel.axvline(0, color="0.6", linewidth=1)
        rows = [(place, column["rows"][name]) for place, name in enumerate(names)]
        here = [
            (place, Difference(**row["difference"]["Total"]))
            for place, row in rows
            if "difference" in row
        ]
        panel.hlines(
            [place for place, _ in here],
            [100 * one.low for _, one in here],
            [100 * one.high for _, one in here],
            color=OURS,
            linewidth=2,
        )
        values = [100 * one.value for _, one in here]
        panel.plot(values, [place for place, _ in here], "o", color=OURS, label="here, 95 %")
        paper = [
            (100 * row["paper_difference"], place)
            for place, row in rows
            if row.get("paper_difference") is not None
        ]
        values, places = zip(*paper, strict=True) if paper else ((), ())
        panel.plot(values, places, "D", color=PAPER, fillstyle="none", label="paper")
        panel.set(title=f"boxes: {boxes}", xlabel=f"{made['metric']}, points from the full system")
        panel.grid(axis="x", color="0.9")
    labels = {name: row["label"] for c in columns.values() for name, row in c["rows"].items()}
    panels[0].set_yticks(range(len(names)), [labels[name] for name in names])
    panels[0].invert_yaxis()
    panels[0].legend(loc="best", fontsize="small")
    chart.savefig(path, dpi=110)
