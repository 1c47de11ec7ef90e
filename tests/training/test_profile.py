import gzip
import json

import pytest
from rich.console import Console

from experiments import kills
from rmpe_jax.training import profile
from rmpe_jax.training.profile import Profile


@pytest.fixture
def _no_tpu_library(monkeypatch):
    """As if no test before had loaded it."""
    monkeypatch.setattr(profile, "_loaded", lambda library: False)


def test_a_run_leaves_a_trace_of_the_steps_that_were_asked_for(tmp_path):
    """In a process of its own: a test before may have loaded the TPU library into this one."""
    settings = kills.write_settings(tmp_path, 4)
    run = kills.started(settings, tmp_path / "run", "--profile", "1:3", processes=1, devices=1)
    codes, (output,) = kills.ended(run, 150)
    assert codes == [0], output
    (trace,) = (tmp_path / "run" / "profile").glob("**/perfetto_trace.json.gz")
    with gzip.open(trace) as file:
        events = json.load(file)["traceEvents"]
    assert any("jit" in str(event.get("name")) for event in events)
    assert "ui.perfetto.dev" in output


@pytest.mark.usefixtures("_no_tpu_library")
def test_what_is_left_of_the_range_is_traced_by_a_run_that_goes_on(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("jax.profiler.start_trace", lambda *_, **__: calls.append("start"))
    monkeypatch.setattr("jax.profiler.stop_trace", lambda: calls.append("stop"))
    trace = Profile("2:5", tmp_path, Console(quiet=True))
    for step in (4, 5, 6):
        trace.before(step)
        calls.append(step)
        trace.after(step, None)
    trace.close()
    assert calls == ["start", 4, 5, "stop", 6]
    # One that ends within the range leaves what there is.
    trace, calls[:] = Profile("2:5", tmp_path, Console(quiet=True)), []
    trace.before(3)
    trace.close()
    assert calls == ["start", "stop"]


@pytest.mark.parametrize("steps", ["5", "5:5", "6:5", "a:b", ":3"])
def test_a_range_has_a_start_and_a_later_stop(steps, tmp_path):
    with pytest.raises(ValueError, match="--profile 100:110"):
        Profile(steps, tmp_path, Console())


def test_a_trace_that_would_crash_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "_loaded", lambda library: library == "libtpu.so")
    Profile(None, tmp_path, Console())
    with pytest.raises(ValueError, match="Type JAX_PLATFORMS=cpu"):
        Profile("1:2", tmp_path, Console())
