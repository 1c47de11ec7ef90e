"""Several processes on this machine: killed and resumed, lost and named, started differently."""

import json
import shutil
import signal
import time

import pytest

from experiments import kills

SECONDS = 150  # for one run; a process that waits for ever is killed then


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return kills.write_settings(tmp_path_factory.mktemp("distributed"), 24)


@pytest.fixture(scope="module")
def alone(settings):
    """What a run that nobody interrupts ends with."""
    workdir = settings.parent / "alone"
    codes, outputs = kills.ended(kills.started(settings, workdir), SECONDS)
    assert codes == [0, 0], outputs
    assert "on 4 x cpu in 2 processes" in " ".join(outputs[0].split())
    assert "people in" not in outputs[1]
    return kills.checksums(workdir)


def test_a_run_that_was_stopped_and_killed_ends_with_the_same_bits(settings, alone, tmp_path):
    run = kills.started(settings, tmp_path)
    assert kills.wait_for_step(run, tmp_path, 2, SECONDS)
    run[1].send_signal(signal.SIGTERM)
    codes, outputs = kills.ended(run, SECONDS)
    assert codes == [0, 0], outputs
    said = int(outputs[0].split("stopped at step ")[1].split()[0])
    run = kills.started(settings, tmp_path)
    assert kills.wait_for_step(run, tmp_path, said + 3, SECONDS)
    for process in run:
        process.kill()
    codes, outputs = kills.ended(run, SECONDS)
    assert codes == [-9, -9]
    assert f"at step {said}" in " ".join(outputs[0].split())
    codes, outputs = kills.ended(kills.started(settings, tmp_path), SECONDS)
    assert codes == [0, 0], outputs
    assert "resumed" in outputs[0]
    assert kills.checksums(tmp_path) == alone


def test_all_fall_back_where_one_process_cannot_read(settings, alone, tmp_path):
    """The file of the last checkpoint that process 1 wrote is damaged for all who read it."""
    shutil.copytree(settings.parent / "alone", tmp_path, dirs_exist_ok=True)
    last = tmp_path / "checkpoints" / "24"
    (data, *_) = sorted(last.glob("state/ocdbt.process_1/d/*"), key=lambda f: -f.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    codes, outputs = kills.ended(kills.started(settings, tmp_path), SECONDS)
    assert codes == [0, 0], outputs
    said = " ".join(outputs[0].split())
    assert "an earlier step is used" in said and "at step 20" in said
    assert kills.checksums(tmp_path) == alone


@pytest.mark.parametrize("kind", [signal.SIGSTOP, signal.SIGKILL])
def test_a_lost_process_is_named_in_time(settings, tmp_path, kind):
    run = kills.started(
        settings, tmp_path, "--devices.stall-seconds", "6", "--train.steps", "100000"
    )
    try:
        assert kills.wait_for_step(run, tmp_path, 3, SECONDS)
        began = time.monotonic()
        run[1].send_signal(kind)
        output, _ = run[0].communicate(timeout=40)
        assert time.monotonic() - began < 25
        assert run[0].returncode == 1
        said = " ".join(output.split())
        assert "nothing is heard any more of process 1" in said, said[-1000:]
    finally:
        for process in run:
            process.kill()
            process.communicate()


def test_processes_that_were_started_differently_refuse(settings, tmp_path):
    run = kills.started(settings, tmp_path, of_process={1: ["--train.seed", "3"]})
    codes, outputs = kills.ended(run, SECONDS)
    assert codes == [1, 1]
    for output in outputs:
        assert "train.seed was 0, is 3" in " ".join(output.split())


@pytest.mark.parametrize("devices", [1, 8])
def test_a_run_goes_on_over_other_devices(settings, alone, tmp_path, devices):
    """Two processes of two devices, then one process: the same samples, equal to rounding."""
    groups = ("--devices.norm-groups", "4")  # as many as there were devices
    check_goes_on(settings, settings.parent / "alone", tmp_path, devices, groups)


def test_a_run_of_one_device_goes_on_over_eight(settings, tmp_path):
    groups = ("--devices.norm-groups", "1")
    before = tmp_path / "one"
    run = kills.started(settings, before, *groups, processes=1, devices=1)
    codes, outputs = kills.ended(run, SECONDS)
    assert codes == [0], outputs
    check_goes_on(settings, before, tmp_path / "eight", 8, groups)


def check_goes_on(settings, before, workdir, devices, groups):
    """Take a run's last checkpoint away and go on in one process: the losses are the same."""
    shutil.copytree(before, workdir, dirs_exist_ok=True)
    (*_, earlier, last) = sorted(int(f.name) for f in (workdir / "checkpoints").glob("[0-9]*"))
    assert (earlier, last) == (20, 24)
    shutil.rmtree(workdir / "checkpoints" / "24")
    run = kills.started(settings, workdir, *groups, processes=1, devices=devices)
    codes, outputs = kills.ended(run, SECONDS)
    assert codes == [0], outputs
    assert "at step 20" in " ".join(outputs[0].split())
    losses = [
        [
            line["loss"]
            for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
            if "loss" in line
        ]
        for folder in (before, workdir)
    ]
    assert len(losses[0]) == 24
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
