"""The table as Markdown, of figures made up."""

from rmpe_jax.ablation import table
from rmpe_jax.ablation.rows import COLUMNS
from rmpe_jax.ablation.statistics import OPPOSITE, SURE

BOXES = {"AP": 0.4, "AP50": 0.7, "recall50": 0.8, "boxes": 50, "images": 10}


def row(label, total, **more):
    return {
        "label": label,
        "paper": None,
        "figures": dict.fromkeys(COLUMNS[:-1], 0.5) | {"Total": total},
        "COCO": {"AP": total / 2},
        "incomplete": False,
        **more,
    }


def difference(value):
    one = {"value": value, "low": value - 0.01, "high": value + 0.01, "positive": 0.0}
    return {"Total": one, "AP": one}


def made():
    rows = {
        "full": row("RMPE, full", 0.712, theta_error=0.1, theta_error_identity=0.2),
        "no_sstn": row(
            "without SSTN",
            0.6,
            difference=difference(-0.112),
            paper_difference=-0.026,
            mark={"Total": SURE, "AP": OPPOSITE},
        ),
        "no_nms": row(
            "without NMS",
            0.7,
            difference=difference(-0.012),
            paper_difference=None,
            mark={"Total": "-", "AP": "-"},
            theta_error=0.1,
            theta_error_identity=0.2,
        ),
        "jitter": {"label": "jitter", "paper": None, "failed": ["train: no |\n memory"]},
        "oracle": {"label": "oracle", "paper": None},
    }
    column = {
        "boxes": {"validation.json": BOXES},
        "threshold": 0.25,
        "rows": rows,
        "resolution": {"trained_anew": 0.011, "same_network": None},
    }
    return {
        "metric": "mAP@0.1box",
        "columns": {"NanoDet": column},
        "seeds": 2,
        "samples_seen": 16000,
        "steps": {"sppe": 600, "sstn": 400},
        "batch_size": 16,
        "data_set": "coco",
        "images": 338,
        "data_fingerprint": {"train": "a" * 64, "validation": "b" * 64},
        "most_boxes": 20,
        "commit": "c1",
        "trained_commit": "c2",
        "seconds": 600.0,
        "workdir": "mine",
    }


def line(text, label):
    (found,) = [one for one in text.splitlines() if one.startswith(f"| {label} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_row_has_its_figures_its_difference_and_the_papers():
    text = table.markdown(made())
    cells = line(text, "without SSTN")
    assert cells[1:8] == ["50.0"] * 7
    assert cells[8:13] == ["60.0", "-11.2", "-12.2 to -10.2", "-2.6", "++"]
    assert cells[13:] == ["30.0", "-11.2", "-12.2 to -10.2", "--"]
    assert line(text, "RMPE, full")[8:] == ["71.2", "", "", "", "", "35.6", "", "", ""]
    assert line(text, "without NMS")[11:13] == ["", ""], "the paper has no such row"


def test_all_rows_have_as_many_cells():
    text = table.markdown(made())
    counts = {one.count("|") for one in text.splitlines() if one.startswith("|")}
    assert len(counts) == 1


def test_what_is_missing_is_told():
    text = table.markdown(made())
    assert line(text, "jitter")[1] == "train: no / memory"
    assert line(text, "oracle")[1] == "not done yet"


def test_what_the_table_depends_on_is_told():
    text = table.markdown(made())
    for words in (
        "# Ablations: mine",
        "338 test photographs, 2 seeds, 16,000 training samples a row (600 steps sppe + 400 steps",
        "Data aaaaaaaaaaaa (training) and bbbbbbbbbbbb (test); commit c2 (training) and c1 (table)",
        "of a score of 0.25 or more, at most 20 a photograph: on test photographs AP 0.400, AP50",
        "(half an interval, median): 1.1 for rows trained anew.",
        "(0.200 of the identity): RMPE, full 0.100.",
    ):
        assert words in text, words
