"""A small table from beginning to end, by the command line, also killed in between."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiments import robustness
from rmpe_jax import config as configs
from rmpe_jax.ablation import jobs, pairs_page, results, work
from rmpe_jax.ablation.plan import Cell, plan
from rmpe_jax.ablation.rows import COLUMNS, PAPER
from rmpe_jax.ablation.rows import ROWS as ALL
from rmpe_jax.ablation.run import ablate
from rmpe_jax.config import BoxesConfig
from rmpe_jax.data.dataset import prepare
from rmpe_jax.evaluation import compare
from rmpe_jax.evaluation.metrics import BOX
from tests.ablation import tables
from tests.training import test_detector_task

ROWS = ("full", "no_sstn", "no_nms", "oracle")
COMMAND = [sys.executable, "-m", "rmpe_jax", "ablate"]


def written(config, folder: Path) -> Path:
    """Return a Python file with these settings, as a user writes one."""
    path = folder / "mine.py"
    path.write_text(
        "import json\nfrom rmpe_jax.config import Config, from_dict\n"
        f"config = from_dict(Config, json.loads({json.dumps(json.dumps(configs.to_dict(config)))}))"
    )
    return path


def chosen():
    return {name: PAPER[name] for name in ROWS}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return (settings, the table), made in this process."""
    config = tables.config(tmp_path_factory.mktemp("ablation"))
    return config, ablate(config, chosen(), 2)


def test_every_row_has_its_figures_and_differences(table):
    config, made = table
    assert made["metric"] == BOX and list(made["columns"]) == ["files", "moved"]
    assert made["samples_seen"] == 5 * 4 and made["seeds"] == 2
    for column in made["columns"].values():
        assert list(column["rows"]) == list(ROWS)
        for name, row in column["rows"].items():
            assert set(row["figures"]) == set(COLUMNS)
            assert len(row["of_seeds"]) == 2
            mean = np.mean([one["Total"] for one in row["of_seeds"]])
            assert row["figures"]["Total"] == pytest.approx(mean)
            assert ("difference" in row) == (name != "full")
    rows = made["columns"]["files"]["rows"]
    full, other = rows["full"]["figures"], rows["no_nms"]
    assert other["difference"]["Total"]["value"] == pytest.approx(
        other["figures"]["Total"] - full["Total"]
    )
    assert other["paper_difference"] == -0.051
    assert made["data_fingerprint"]["train"] and made["data_fingerprint"]["validation"]


def test_differences_are_those_of_the_comparison_of_two_results(table):
    """`rmpe eval --compare` of the two folders says the same of one seed."""
    config, _ = table
    one = plan(config, chosen(), 1)
    root = Path(config.workdir)
    folders = [root / one.scores[Cell("files", name, 0)].name for name in ("full", "no_nms")]
    (expected,) = [
        row for row in compare.compare(*folders) if row.metric == BOX and row.figure == "Total"
    ]
    made = results.collected(one, root, {})
    found = made["columns"]["files"]["rows"]["no_nms"]["difference"]["Total"]
    assert found["value"] == pytest.approx(expected.difference, abs=1e-6)
    assert found["low"] == pytest.approx(expected.low, abs=1e-6)
    assert found["high"] == pytest.approx(expected.high, abs=1e-6)


def test_the_files_say_what_the_table_depends_on(table):
    config, made = table
    root = Path(config.workdir)
    assert json.loads((root / "table.json").read_text()) == json.loads(json.dumps(made))
    text = (root / "table.md").read_text()
    for word in (
        "20 training samples a row",
        made["data_fingerprint"]["train"][:12],
        "## Boxes: files",
        "## Boxes: moved",
        "RMPE, full",
        "a) without SSTN and parallel SPPE",
        "-5.1",
        f"commit {made['trained_commit']}",
    ):
        assert word in text, word
    assert (root / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_annotated_full_and_row_side_by_side(table, tmp_path, monkeypatch):
    config, made = table
    monkeypatch.setattr(pairs_page, "LEAST", -1.0)  # so small networks find nothing alike
    path = tmp_path / "pairs.html"
    pairs_page.write(plan(config, chosen(), 1), Path(config.workdir), made, path)
    page = path.read_text()
    sections = page.split("<h2>")[1:]
    assert [one.partition("</h2>")[0] for one in sections] == [
        PAPER[name].label for name in ROWS if name != "full"
    ]
    for section in sections:
        assert section.count("data:image/webp;base64,") == 3 * 2 * pairs_page.PAIRS
        assert section.count("as annotated") >= 2 * pairs_page.PAIRS
        assert "full system: AP 0.00" in section and "this row: AP 0.00" in section
    assert "http:" not in page and "https:" not in page and "<script" not in page


def test_a_second_call_does_nothing_and_says_the_same(table, capsys):
    config, made = table
    root = Path(config.workdir)
    before = {path: path.stat().st_mtime_ns for path in root.glob("*/done.json")}
    again = ablate(config, chosen(), 2)
    assert again == made
    assert {path: path.stat().st_mtime_ns for path in root.glob("*/done.json")} == before
    told = capsys.readouterr().out
    assert re.search(r"(\d+) jobs, \1 of them done before", told)


def test_a_row_that_fails_is_told_and_the_others_go_on(table, tmp_path, monkeypatch):
    config, made = table
    broken = replace(config, workdir=str(tmp_path / "broken"))
    train = work.train

    def fails(settings):
        if settings.model.stn.form == "none" and settings.train.start_from is not None:
            raise RuntimeError("out | of memory")
        return train(settings)

    monkeypatch.setattr(work, "train", fails)
    rows = {name: PAPER[name] for name in ("full", "no_sstn")}
    column = ablate(broken, rows, 1)["columns"]["files"]["rows"]
    assert (
        column["full"]["of_seeds"][0] == (made["columns"]["files"]["rows"]["full"]["of_seeds"][0])
    )
    (reason,) = column["no_sstn"]["failed"]
    assert "RuntimeError: out | of memory" in reason and "figures" not in column["no_sstn"]
    text = (tmp_path / "broken" / "table.md").read_text()
    assert "out / of memory" in text
    monkeypatch.setattr(work, "train", train)
    again = ablate(broken, rows, 1)["columns"]["files"]["rows"]["no_sstn"]
    assert again["of_seeds"][0] == made["columns"]["files"]["rows"]["no_sstn"]["of_seeds"][0]


def test_a_killed_command_goes_on_and_makes_the_same_table(table, tmp_path):
    config, made = table
    mine = replace(config, workdir=str(tmp_path / "killed"))
    command = [*COMMAND, str(written(mine, tmp_path)), "--rows", "full,no_nms"]
    root = Path(mine.workdir)
    environment = os.environ | {"XLA_FLAGS": ""}

    def started():
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )

    process = started()
    deadline = time.monotonic() + 300
    while not list(root.glob("train-*/checkpoints/*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (root / "table.json").exists()
    process = started()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    again = json.loads((root / "table.json").read_text())["columns"]["files"]["rows"]
    for name in ("full", "no_nms"):
        known = made["columns"]["files"]["rows"][name]["of_seeds"][0]
        assert again[name]["of_seeds"][0] == pytest.approx(known, abs=1e-9)
    assert "# Ablations: killed" in told and "| RMPE, full |" in told


def test_the_command_ends_badly_when_a_row_failed(table, tmp_path):
    config, _ = table
    broken = replace(
        config,
        workdir=str(tmp_path / "table"),
        ablation=replace(
            config.ablation,
            boxes=(replace(config.ablation.boxes[0], validation=str(tmp_path / "none.json")),),
        ),
    )
    (tmp_path / "none.json").write_text("[]")
    command = [*COMMAND, str(written(broken, tmp_path)), "--rows", "full"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "1 rows failed, the first: files, RMPE, full" in done.stderr
    assert "none of the 0 images in" in done.stderr
    assert jobs.FAILED in done.stdout


def test_the_curve_over_iou_comes_from_the_networks_of_the_table(table, monkeypatch, tmp_path):
    config, _ = table
    monkeypatch.setattr(robustness, "IOUS", (1.0, 0.5))
    made = json.loads(json.dumps(robustness.measured(config, 2)))
    exact, half = made["by_iou"]
    root = Path(config.workdir)
    planned = plan(config, {name: PAPER[name] for name in ("full", "no_sstn")}, 2)
    for name in ("full", "no_sstn"):
        # The result of the training itself is in annotated boxes, without pose NMS.
        known = [jobs.outcome(planned.trainings[name, seed], root)["AP"] for seed in (0, 1)]
        assert exact[name]["AP"] == pytest.approx(np.mean(known), abs=1e-6)
        assert half[name][BOX] != exact[name][BOX]
    gain = half["gain"][BOX]
    assert gain["value"] == pytest.approx(half["full"][BOX] - half["no_sstn"][BOX])
    assert gain["low"] <= gain["value"] <= gain["high"]
    people = prepare(config.data, "validation").annotations()
    boxes_px = json.loads((root / "boxes_iou_0.5.json").read_text())
    assert len(boxes_px) == sum(entry.persons.to_find.sum() for entry in people)
    robustness.draw(made, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="not trained yet: stage 2"):
        robustness.measured(config, 3)


def test_all_other_rows_are_made_as_well_and_share_what_is_done(table):
    config, made = table
    others = (
        "no_parallel",
        "jitter",
        "matched_joints",
        "truncated_mean",
        "two_step",
        "scale_shift",
        "unmerged",
        "published",
        "centred_main",
        "unfrozen",
    )
    rows = {"full": PAPER["full"], **{name: ALL[name] for name in others}}
    more = ablate(config, rows, 1)["columns"]["files"]["rows"]
    assert not [row["failed"] for row in more.values() if "failed" in row]
    known = made["columns"]["files"]["rows"]
    assert more["full"]["of_seeds"][0] == known["full"]["of_seeds"][0]
    for name in others:
        assert set(more[name]["figures"]) == set(COLUMNS) and not more[name]["incomplete"]
        assert (more[name]["paper_difference"] is None) == (name not in PAPER)
    assert more["two_step"]["poses"] == known["no_nms"]["poses"][:1], "a pose in every box"
    planned = plan(config, rows, 1)
    root = Path(config.workdir)
    jittered = json.loads((root / planned.trainings["jitter", 0].name / "config.json").read_text())
    assert jittered["augment"]["proposals"] == "jitter"
    assert Path(jittered["augment"]["detections"]).is_file()


def test_a_detector_of_a_table_boxes_what_it_has_not_seen(tmp_path):
    config = tables.config(tmp_path)
    file = written(test_detector_task.config(tmp_path, steps=25), tmp_path)
    own = BoxesConfig("own", config=str(file), threshold=0.0)
    job = plan(
        replace(config, ablation=replace(config.ablation, boxes=(own,))),
        {"full": PAPER["full"]},
        1,
    ).boxes["own"]
    root = tmp_path / "jobs"
    jobs.run(jobs.ordered([job]), root, Console(quiet=True))
    told = jobs.outcome(job, root)
    assert told is not None and set(told) == {"train.json", "validation.json"}
    for split in ("train", "validation"):
        source = prepare(replace(config.data, folds=1), split)
        found = json.loads((root / job.name / f"{split}.json").read_text())
        counts = Counter(record["image_id"] for record in found)
        assert set(counts) <= {entry.image_id for entry in source.annotations()}
        assert max(counts.values()) <= config.ablation.most
    (detector,) = job.needs
    seen = [
        json.loads(path.read_text())["data"]["left_out"]
        for path in sorted((root / detector.name).glob("runs/fold*/config.json"))
    ]
    assert seen == [0, 1]


def test_boxes_are_those_of_the_highest_scores():
    records = [
        {"image_id": image, "score": score} for image in (1, 2) for score in (0.2, 0.9, 0.5, 0.4)
    ]
    left = work.limited(records, 0.3, 2)
    assert [(one["image_id"], one["score"]) for one in left] == [
        (1, 0.9),
        (1, 0.5),
        (2, 0.9),
        (2, 0.5),
    ]
    assert len(work.limited(records, 0.6, 20)) == 2
