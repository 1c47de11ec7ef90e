"""Who is blamed when a message fails, with the other process played by the test."""

import time

import jax
import pytest

from rmpe_jax.checkpoint import SaveError
from rmpe_jax.training.watch import Beat, Watch


def watch(monkeypatch, *, speaks: bool) -> tuple[Watch, list[str]]:
    """Process 0 of two, which last heard beat 4 of process 1; beat 5 was said since."""
    ended: list[str] = []
    one = Watch(0.8, end=ended.append)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    one.alone, one._heard = False, {1: (Beat(4, 3), time.monotonic())}
    said = [5]

    def listen() -> None:
        one._heard[1] = (Beat(said[0], 3), time.monotonic())
        said[0] += speaks

    monkeypatch.setattr(one, "_listen", listen)
    return one, ended


def test_what_a_lost_process_said_before_does_not_make_it_alive(monkeypatch):
    one, _ = watch(monkeypatch, speaks=False)
    assert "nothing is heard any more of process 1 (last 0 s ago, at step 3)" in one.lost()


def test_one_that_speaks_is_alive(monkeypatch):
    one, _ = watch(monkeypatch, speaks=True)
    assert "all processes are alive; the last to finish a step (3) is process 1" in one.lost()


@pytest.mark.parametrize("error", [SaveError, jax.errors.JaxRuntimeError])
def test_a_save_or_a_step_that_fails_for_a_lost_process_names_it(monkeypatch, error):
    one, ended = watch(monkeypatch, speaks=False)
    with pytest.raises(error), one.blames():
        raise error("connection closed")
    assert "nothing is heard any more of process 1" in ended[0]
    assert "(connection closed)" in ended[0]


def test_a_save_that_fails_for_another_reason_says_its_own(monkeypatch):
    one, ended = watch(monkeypatch, speaks=True)
    with pytest.raises(SaveError, match="disk full"), one.blames():
        raise SaveError("disk full")
    assert ended == []
