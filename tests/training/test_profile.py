import gzip
import json
from dataclasses import replace

import pytest
from rich.console import Console

from rmpe_jax.training import loop
from rmpe_jax.training.profile import Profile
from tests import small


def test_a_run_leaves_a_trace_of_the_steps_that_were_asked_for(tmp_path, capsys):
    config = small.config(tmp_path)
    loop.train(replace(config, train=replace(config.train, profile="1:3")))
    (trace,) = (tmp_path / "run" / "profile").glob("**/perfetto_trace.json.gz")
    with gzip.open(trace) as file:
        events = json.load(file)["traceEvents"]
    assert any("jit" in str(event.get("name")) for event in events)
    assert "ui.perfetto.dev" in capsys.readouterr().out


def test_what_is_left_of_the_range_is_traced_by_a_run_that_goes_on(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("jax.profiler.start_trace", lambda *_, **__: calls.append("start"))
    monkeypatch.setattr("jax.profiler.stop_trace", lambda: calls.append("stop"))
    profile = Profile("2:5", tmp_path, Console(quiet=True))
    for step in (4, 5, 6):
        profile.before(step)
        calls.append(step)
        profile.after(step, None)
    profile.close()
    assert calls == ["start", 4, 5, "stop", 6]
    # One that ends within the range leaves what there is.
    profile, calls[:] = Profile("2:5", tmp_path, Console(quiet=True)), []
    profile.before(3)
    profile.close()
    assert calls == ["start", "stop"]


@pytest.mark.parametrize("steps", ["5", "5:5", "6:5", "a:b", ":3"])
def test_a_range_has_a_start_and_a_later_stop(steps, tmp_path):
    with pytest.raises(ValueError, match="--profile 100:110"):
        Profile(steps, tmp_path, Console())
