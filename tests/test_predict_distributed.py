"""`rmpe predict --distributed`: two processes on this machine, by the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.kills import ended, free_port
from rmpe_jax.data import poses_files

SECONDS = 120  # for one run; a process that waits for ever is killed then


def run(*of_each: list[str]) -> tuple[list[int], list[str]]:
    """Return exit codes and outputs of the processes with these arguments."""
    together = ["--distributed", "--coordinator", f"127.0.0.1:{free_port()}"]
    together += ["--processes", str(len(of_each)), "--process"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "rmpe_jax", "predict", *arguments, *together, str(process)],
            env={**os.environ, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process, arguments in enumerate(of_each)
    ]
    return ended(started, SECONDS)


@pytest.fixture(scope="module")
def photographs(data_root) -> list[str]:
    return [str(path) for path in sorted((data_root / "demo").glob("mpii_*.jpg"))[:3]]


def test_parts_are_together_what_one_process_finds(photographs, tmp_path):
    given = [*photographs, "--boxes", "whole", "--no-pictures", "--out"]
    command = [sys.executable, "-m", "rmpe_jax", "predict", *given, str(tmp_path / "alone")]
    subprocess.run(command, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)
    codes, outputs = run(*[[*given, str(tmp_path / "out")]] * 2)
    assert codes == [0, 0], outputs
    names = [f"{stem}.0000{i}-of-00002.json" for stem in ("frames", "poses") for i in (0, 1)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    records = poses_files.read(tmp_path / "out")
    alone = json.loads((tmp_path / "alone" / "poses.json").read_text())
    assert [record["image_id"] for record in alone] == [Path(path).name for path in photographs]
    assert len(records) == len(alone)
    for record, due in zip(records, alone, strict=True):
        assert record == {
            key: pytest.approx(value, abs=2e-3) if key != "image_id" else value
            for key, value in due.items()
        }


def test_processes_that_see_other_files_all_refuse(photographs, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    codes, outputs = run([*photographs, *out], [*photographs[:2], *out])
    assert codes == [1, 1]
    for output in outputs:
        assert "process 1 was given other inputs than process 0: 2 (mpii" in output
        assert "Traceback" not in output
    assert not (tmp_path / "out").exists()
