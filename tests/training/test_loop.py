import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import orbax.checkpoint as ocp
import pytest

import rmpe_jax
from rmpe_jax.__main__ import main
from rmpe_jax.checkpoint import CheckpointError, Checkpoints, SaveError
from rmpe_jax.checksums import checksums
from rmpe_jax.config import StageConfig, STNConfig
from rmpe_jax.skeletons import COCO17
from rmpe_jax.training import loop
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.stop import NonFiniteLossError
from rmpe_jax.training.workdir import locked
from tests import small


def arrays(workdir: str) -> dict:
    """The checksums of a run's last state."""
    checkpoints = Checkpoints(Path(workdir) / "checkpoints", read_only=True)
    meta = checkpoints.meta(checkpoints.steps()[-1])
    checkpoints.close()
    return {path: entry["checksum"] for path, entry in meta["arrays"]["state"].items()}


def lines(workdir: Path) -> list[dict]:
    """The log of a run, its steps and not its evaluations."""
    read = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in read if "loss" in line]


def as_read(result: dict) -> dict:
    """The result as its file has it, which knows no tuples."""
    return json.loads(json.dumps(result))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An uninterrupted run of four steps."""
    config = small.config(tmp_path_factory.mktemp("loop"))
    return config, loop.train(config)


def test_a_run_leaves_everything_a_person_looks_for(trained):
    config, result = trained
    workdir = Path(config.workdir)
    assert json.loads((workdir / "result.json").read_text()) == as_read(result)
    records = json.loads((workdir / "records.json").read_text())
    assert len(records) == result["poses"] > 0
    logged = lines(workdir)
    assert [line["step"] for line in logged] == [1, 2, 3, 4]
    schedule = optimisers.learning_rate(config.optimiser, 4)
    rates = [float(np.asarray(schedule(step))) for step in range(4)]
    assert [line["learning_rate"] for line in logged] == pytest.approx(rates)
    assert all(line["crops_per_second"] > 0 and line["gradient_norm"] > 0 for line in logged)
    assert '"AP"' in (workdir / "metrics.jsonl").read_text().splitlines()[-1]
    sheet = cv2.imread(str(workdir / "contact_sheet.png"))
    assert sheet is not None and sheet.std() > 10
    assert json.loads((workdir / "config.json").read_text())["train"]["steps"] == 4


def test_the_saved_network_is_the_averaged_one(trained):
    config, _ = trained
    model = rmpe_jax.load(config.workdir)
    checkpoints = Checkpoints(Path(config.workdir) / "checkpoints", read_only=True)
    saved = checkpoints.meta(4)["arrays"]
    checkpoints.close()
    found = dict(zip(saved["model"], checksums(model.variables), strict=True))
    for path, checksum in found.items():
        assert checksum == saved["model"][path]["checksum"]
        assert checksum == saved["state"][f"average/{path}"]["checksum"]


def test_a_result_says_what_it_depends_on(trained):
    _, result = trained
    assert result["boxes"] == "annotated"
    assert result["flip"] is True
    assert result["decode"] == "taylor"
    assert result["step"] == 4
    assert len(result["data_fingerprint"]) > 8
    assert result["commit"] == result["trained_commit"] != ""
    assert result["config"]["model"]["family"] == "pyramid"
    assert 0 <= result["AP"] <= 1


KILLED = """
import os, signal, time
from pathlib import Path
from rmpe_jax.config import *
from rmpe_jax.skeletons import COCO17
from rmpe_jax.training import loop

def killer(step, *rest):
    if step == 3:
        while not Path({workdir!r}, "checkpoints", "2").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)

loop.check_finite = killer
loop.train({config!r})
"""


def test_a_run_killed_after_a_checkpoint_ends_with_the_same_bits(trained, tmp_path, capsys):
    config = replace(trained[0], workdir=str(tmp_path))
    code = KILLED.format(config=config, workdir=str(tmp_path))
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    killed = time.time()
    capsys.readouterr()
    loop.train(config)
    assert "at step 2" in capsys.readouterr().out
    assert arrays(str(tmp_path)) == arrays(trained[0].workdir)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4]
    assert [line["time"] < killed for line in lines(tmp_path)] == [True, True, False, False]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(trained, tmp_path, number, code):
    config = small.longer(replace(trained[0], workdir=str(tmp_path)), 100_000)
    run = "from rmpe_jax.config import *\nfrom rmpe_jax.training import loop\n"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{run}loop.train({config!r})"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "metrics.jsonl"
    deadline = time.time() + 120
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size > 200):
        assert time.time() < deadline
        time.sleep(0.1)
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "the same command goes on from there" in output
    said = int(output.split("stopped at step ")[1].split()[0])
    checkpoints = Checkpoints(tmp_path / "checkpoints", read_only=True)
    assert checkpoints.steps()[-1] == said
    checkpoints.close()


def test_a_damaged_newest_checkpoint_is_passed_over_and_said(trained, tmp_path, capsys):
    config = replace(trained[0], workdir=str(tmp_path))
    shutil.copytree(trained[0].workdir, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints" / "4" / "meta")
    loop.train(config)
    said = " ".join(capsys.readouterr().out.split())
    assert "is damaged" in said and "at step 2" in said
    assert arrays(str(tmp_path)) == arrays(trained[0].workdir)


def test_two_runs_in_one_folder_are_refused(trained):
    config, _ = trained
    with locked(Path(config.workdir)):
        with pytest.raises(ValueError, match="another process is training in"):
            loop.train(config)


def test_a_run_may_go_on_with_clipping_and_decay(trained, tmp_path, capsys):
    """The advice that a loss which is no number comes with."""
    shutil.copytree(trained[0].workdir, tmp_path, dirs_exist_ok=True)
    settings = replace(trained[0].optimiser, clip_norm=0.0, weight_decay=0.1, trunk_rate=0.5)
    config = small.longer(replace(trained[0], workdir=str(tmp_path), optimiser=settings), 6)
    assert loop.train(config)["step"] == 6
    said = " ".join(capsys.readouterr().out.split())
    assert "optimiser.clip_norm was 1.0, is 0.0" in said


def test_another_order_of_the_data_within_a_run_is_refused(trained):
    config = replace(trained[0], train=replace(trained[0].train, batch_size=2))
    with pytest.raises(ValueError, match=r"train.batch_size was 4 .* Use --train.batch-size 4"):
        loop.train(config)


def test_the_checkpoint_of_the_best_evaluation_is_kept(trained, tmp_path, monkeypatch):
    """Also over a stop; and it can be evaluated by its folder, which is left as it is."""
    precisions = {2: 0.1, 4: 0.6, 6: 0.3, 8: 0.2}
    make = loop.pose_task

    def task(*arguments):
        return make(*arguments)._replace(measure=lambda step, variables: precisions[step])

    monkeypatch.setattr(loop, "pose_task", task)
    settings = replace(trained[0].train, evaluate_every=2, checkpoint_every=3, keep=1)
    config = replace(trained[0], workdir=str(tmp_path / "run"), train=settings)
    for steps in (7, 10):
        loop.train(small.longer(config, steps))
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", read_only=True)
    assert checkpoints.steps() == [4, 10]
    assert checkpoints.meta(4)["metric"] == 0.6
    checkpoints.close()
    logged = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    measured = map(json.loads, logged)
    measured = {line["step"]: line["AP"] for line in measured if "AP" in line}
    assert {step: measured[step] for step in precisions} == precisions
    assert rmpe_jax.load(config.workdir).meta["step"] == 10
    best = tmp_path / "run" / "checkpoints" / "4"
    assert rmpe_jax.load(best).meta["step"] == 4
    before = sorted(best.rglob("*"))
    monkeypatch.setattr("sys.argv", ["rmpe", "eval", str(best)])
    main()
    assert json.loads((tmp_path / "run/eval_4/result.json").read_text())["step"] == 4
    assert sorted(best.rglob("*")) == before


@pytest.mark.parametrize("failing", [4, 10])
def test_a_checkpoint_that_cannot_be_written_ends_the_run_and_it_goes_on(
    trained, tmp_path, monkeypatch, failing
):
    """Step 10 is the last: nothing is saved after it that would notice."""
    config = replace(trained[0], workdir=str(tmp_path))
    write = ocp.JsonCheckpointHandler._save_fn

    async def full(self, x, directory):
        if x.get("step") == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        await write(self, x, directory)

    with monkeypatch.context() as patched:
        patched.setattr(ocp.JsonCheckpointHandler, "_save_fn", full)
        with pytest.raises(SaveError, match=rf"step {failing} .*No space .* step {failing - 2} is"):
            loop.train(small.longer(config, 10))
    assert not (tmp_path / "result.json").exists()
    loop.train(small.longer(config, 10))
    checkpoints = Checkpoints(tmp_path / "checkpoints", read_only=True)
    assert checkpoints.steps() == [8, 10]
    checkpoints.close()


def test_what_stops_a_run_hides_no_checkpoint_that_was_not_written(trained, tmp_path, monkeypatch):
    async def full(self, x, directory):
        raise OSError(errno.ENOSPC, "No space left on device")

    def stop(step, *rest):
        if step == 3:
            raise NonFiniteLossError("step 3")

    monkeypatch.setattr(ocp.JsonCheckpointHandler, "_save_fn", full)
    monkeypatch.setattr(loop, "check_finite", stop)
    with pytest.raises(SaveError, match="step 2 could not be written"):
        loop.train(replace(trained[0], workdir=str(tmp_path)))


def test_a_finished_run_only_evaluates_again(trained, capsys):
    config, result = trained
    again = loop.train(config)
    assert again["AP"] == result["AP"]
    assert "resumed" in capsys.readouterr().out


def test_a_loss_that_is_no_number_stops_the_run_naming_step_and_records(trained, tmp_path):
    config = replace(trained[0], workdir=str(tmp_path))
    config = replace(config, optimiser=replace(config.optimiser, learning_rate=1e38, clip_norm=0.0))
    message = r"step 1 has .*parameter_norm (nan|inf).* person \d+ of image \d+"
    with pytest.raises(NonFiniteLossError, match=message):
        loop.train(config)
    checkpoints = Checkpoints(tmp_path / "checkpoints", read_only=True)
    assert checkpoints.steps() == []
    checkpoints.close()


def test_another_network_in_the_work_directory_is_refused(trained):
    before = (Path(trained[0].workdir) / "config.json").read_text()
    config = replace(trained[0], model=replace(trained[0].model, head_width=24))
    with pytest.raises(CheckpointError, match=r"the checkpoint has shape \[.*this network"):
        loop.train(config)
    assert (Path(trained[0].workdir) / "config.json").read_text() == before


def test_other_data_in_the_work_directory_is_refused(trained):
    config = replace(trained[0], data=replace(trained[0].data, seed=5))
    with pytest.raises(ValueError, match="was trained on other data"):
        loop.train(config)


def test_boxes_that_name_other_images_are_refused_before_training(trained, tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text('[{"image_id": 987, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    settings = replace(trained[0].evaluation, boxes=str(path))
    config = replace(trained[0], workdir=str(tmp_path / "run"), evaluation=settings)
    with pytest.raises(ValueError, match=r"none of the 1 images .* is among these .*987"):
        loop.train(config)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def staged(folder: Path):
    """Two stages of two steps: a pose network, then the transformer and the parallel SPPE."""
    config = small.config(folder)
    return replace(
        config,
        model=replace(config.model, stn=STNConfig("affine", "small")),
        augment=replace(config.augment, jitter=1.0),
        stages=(
            StageConfig("sppe", steps=2, learning_rate=1e-3, transformer=False),
            StageConfig("sstn", steps=2, learning_rate=1e-4),
        ),
    )


@pytest.fixture(scope="module")
def two_stages(tmp_path_factory):
    """An uninterrupted run in two stages."""
    config = staged(tmp_path_factory.mktemp("stages"))
    return config, loop.train(config)


def test_a_run_in_stages_has_a_folder_for_each_and_the_last_ones_result(two_stages):
    config, result = two_stages
    first, second = (Path(config.workdir) / name for name in ("1_sppe", "2_sstn"))
    assert as_read(result) == json.loads((second / "result.json").read_text())
    assert result["theta_error_identity"] > 0
    assert "theta_error" not in json.loads((first / "result.json").read_text())
    logged = lines(second)
    assert [line["step"] for line in logged] == [1, 2]
    for name in ("loss_main", "loss_parallel", "theta_gradient_main", "theta_gradient_parallel"):
        assert all(line[name] > 0 for line in logged)
    assert all(line["theta_clamped"] == 0 for line in logged)


def test_the_network_of_a_run_in_stages_is_the_last_stages(two_stages):
    config, _ = two_stages
    assert "localization" in rmpe_jax.load(config.workdir).variables["params"]
    assert "trunk" in rmpe_jax.load(f"{config.workdir}/1_sppe").variables["params"]


def test_the_parallel_network_is_the_first_stages(two_stages):
    config, _ = two_stages
    second = Path(config.workdir) / "2_sstn"
    assert json.loads((second / "config.json").read_text())["train"]["parallel"].endswith("1_sppe")


def test_a_wrong_pose_nms_is_refused_before_training(tmp_path):
    config = small.config(tmp_path)
    config = replace(config, evaluation=replace(config.evaluation, nms="alphapose"))
    with pytest.raises(ValueError, match="'alphapose' is no file; choose none"):
        loop.train(config)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_finished_stage_is_not_done_again(two_stages, capsys):
    config, result = two_stages
    before = arrays(f"{config.workdir}/2_sstn")
    assert loop.train(config) == as_read(result)
    told = capsys.readouterr().out
    assert told.count("is finished") == 2 and "resumed" not in told
    assert arrays(f"{config.workdir}/2_sstn") == before


def test_a_run_stopped_in_its_second_stage_goes_on_there(two_stages, tmp_path, monkeypatch):
    config, _ = two_stages
    again = replace(config, workdir=str(tmp_path / "run"))

    class StoppedError(Exception):
        """Instead of a kill."""

    def stop(step, batch, figures, rows):
        if "loss_parallel" in figures and step == 2:
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(loop, "check_finite", stop)
        with pytest.raises(StoppedError):
            loop.train(again)

    def first_stage():
        files = (file for file in (tmp_path / "run/1_sppe").rglob("*") if file.is_file())
        return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}

    before = first_stage()
    loop.train(again)
    assert first_stage() == before, "it is finished, and the frozen parallel SPPE"
    assert arrays(f"{again.workdir}/2_sstn") == arrays(f"{config.workdir}/2_sstn")


def test_a_parallel_network_without_a_transformer_is_refused(trained, tmp_path):
    settings = replace(trained[0].train, parallel=trained[0].workdir)
    config = replace(trained[0], workdir=str(tmp_path), train=settings)
    with pytest.raises(ValueError, match=r"no transformer for it.*--model.stn.form affine"):
        loop.train(config)


def test_a_run_does_not_go_on_with_other_joints(tmp_path):
    """As many of them, in another order: nothing else would notice."""
    config = small.config(tmp_path, steps=1)
    described = {"name": "mirrored", "keypoints": list(COCO17.joints[::-1]), "sigmas": [0.1] * 17}
    (tmp_path / "mirrored.json").write_text(json.dumps(described))
    rmpe_jax.train(config)
    other = replace(config.data, skeleton=str(tmp_path / "mirrored.json"))
    with pytest.raises(ValueError, match="has learned the joints of COCO17, .*--workdir DIR"):
        rmpe_jax.train(replace(small.longer(config, 2), data=other))
    begun = replace(config.train, start_from=config.workdir)
    elsewhere = replace(config, data=other, train=begun, workdir=str(tmp_path / "elsewhere"))
    with pytest.raises(ValueError, match="has learned the joints of COCO17, .*--train.start-from"):
        rmpe_jax.train(elsewhere)
