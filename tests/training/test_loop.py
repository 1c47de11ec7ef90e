import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from rmpe_jax.checkpoint import CheckpointError, Checkpoints
from rmpe_jax.training import loop
from tests import small


def final_params(workdir: str) -> dict:
    checkpoints = Checkpoints(Path(workdir) / "checkpoints")
    meta = checkpoints.meta(checkpoints.steps()[-1])
    checkpoints.close()
    return {path: entry["crc32"] for path, entry in meta["arrays"]["state"].items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An uninterrupted run of four steps."""
    config = small.config(tmp_path_factory.mktemp("loop"))
    return config, loop.train(config)


def test_a_run_leaves_everything_a_person_looks_for(trained):
    config, result = trained
    workdir = Path(config.workdir)
    assert json.loads((workdir / "result.json").read_text()) == json.loads(json.dumps(result))
    records = json.loads((workdir / "records.json").read_text())
    assert len(records) == result["poses"] > 0
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "gradient_norm", "learning_rate", "crops_per_second"} <= set(lines[0])
    sheet = cv2.imread(str(workdir / "contact_sheet.png"))
    assert sheet is not None and sheet.std() > 10
    assert json.loads((workdir / "config.json").read_text())["train"]["steps"] == 4


def test_a_result_says_what_it_depends_on(trained):
    _, result = trained
    assert result["boxes"] == "annotated"
    assert result["flip"] is True
    assert result["decode"] == "taylor"
    assert result["step"] == 4
    assert len(result["data_fingerprint"]) > 8
    assert result["commit"]
    assert result["config"]["model"]["family"] == "pyramid"
    assert 0 <= result["AP"] <= 1


def test_a_run_killed_after_a_checkpoint_ends_with_the_same_bits(trained, tmp_path):
    config, _ = trained
    command = [sys.executable, "-c", KILLED.format(config=replace(config, workdir=str(tmp_path)))]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    loop.train(replace(config, workdir=str(tmp_path)))
    assert final_params(str(tmp_path)) == final_params(config.workdir)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


KILLED = """
import os, signal
from rmpe_jax.config import *
from rmpe_jax.training import loop
step = loop.train_step
checks = []
check = loop._check
def killer(number, batch, metrics):
    check(number, batch, metrics)
    checks.append(number)
    if number == 3:  # the checkpoint of step 2 is committed by then
        import time; time.sleep(2); os.kill(os.getpid(), signal.SIGKILL)
loop._check = killer
loop.train({config!r})
"""


def test_sigterm_saves_and_says_how_to_go_on(trained, tmp_path):
    config = small.longer(replace(trained[0], workdir=str(tmp_path)), 100_000)
    code = (
        f"from rmpe_jax.config import *\nfrom rmpe_jax.training import loop\nloop.train({config!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "metrics.jsonl"
    deadline = time.time() + 120
    while time.time() < deadline and not (metrics.exists() and metrics.stat().st_size > 200):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert "the same command goes on from there" in errors
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    said = int(errors.split("stopped at step ")[1].split()[0])
    assert checkpoints.steps()[-1] == said
    checkpoints.close()


def test_a_finished_run_only_evaluates_again(trained, capsys):
    config, result = trained
    again = loop.train(config)
    assert again["AP"] == result["AP"]
    assert "resumed" in capsys.readouterr().out


def test_a_loss_that_is_no_number_stops_the_run_naming_step_and_records(trained, tmp_path):
    config = replace(trained[0], workdir=str(tmp_path))
    config = replace(config, optimiser=replace(config.optimiser, learning_rate=1e38, clip_norm=0.0))
    message = r"step [234] has loss (nan|inf).* person \d+ of image \d+"
    with pytest.raises(loop.NonFiniteLossError, match=message):
        loop.train(config)
    for step in Checkpoints(tmp_path / "checkpoints").steps():
        assert step < 3


def test_another_network_in_the_work_directory_is_refused(trained):
    config = replace(trained[0], model=replace(trained[0].model, head_width=24))
    with pytest.raises(CheckpointError, match=r"the checkpoint has shape \[.*this network"):
        loop.train(config)


def test_other_data_in_the_work_directory_is_refused(trained):
    config = replace(trained[0], data=replace(trained[0].data, seed=5))
    with pytest.raises(ValueError, match="was trained on other data"):
        loop.train(config)


def test_differences_between_settings_are_named():
    old = {"a": 1, "b": {"c": [1, 2], "d": 3}}
    assert loop.differences(old, {"a": 1, "b": {"c": (1, 2), "d": 4}}) == ["b.d was 3, is 4"]


def test_steps_use_the_devices_there_are(trained):
    assert jax.device_count() == 4
    assert np.isfinite(trained[1]["AP"])
