import gc
import threading
import time
import weakref

import numpy as np
import pytest

from rmpe_jax import pipeline
from rmpe_jax.pipeline import overlapped


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_order_is_kept_through_stages_of_different_speed():
    def uneven(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    through = overlapped(range(40), uneven, lambda number: -number, uneven)
    assert list(through) == [-number for number in range(40)]


def test_no_stage_passes_the_source_on_and_no_source_gives_nothing():
    assert list(overlapped(range(3))) == [0, 1, 2]
    assert list(overlapped([], abs)) == []


def test_stages_run_at_the_same_time():
    """Each waits for the other: one after the other, they would wait for ever."""
    meeting = threading.Barrier(2, timeout=10)

    def first(number: int) -> int:
        if number == 1:
            meeting.wait()
        return number

    def second(number: int) -> int:
        if number == 0:
            meeting.wait()
        return number

    assert list(overlapped(range(2), first, second)) == [0, 1]


@pytest.mark.parametrize("room", [1, 3])
def test_few_things_are_alive_however_many_come(room):
    alive: set[int] = set()
    most = 0

    def source():
        nonlocal most
        for number in range(200):
            thing = np.zeros(4)
            alive.add(number)
            weakref.finalize(thing, alive.discard, number)
            most = max(most, len(alive))
            yield thing
            del thing

    for thing in overlapped(source(), lambda a: a, lambda a: a, room=room):
        time.sleep(0.001)
        del thing
    gc.collect()
    assert not alive
    assert most <= 3 * (room + 1) + 1


def test_a_stages_exception_comes_after_what_was_before_it():
    def fails(number: int) -> int:
        if number == 5:
            raise RuntimeError("five")
        return number

    seen = []
    with pytest.raises(RuntimeError, match="five"):
        for number in overlapped(iter(range(10**9)), abs, fails, abs):
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]


def test_a_sources_exception_is_raised_here():
    def source():
        yield 1
        raise OSError("unplugged")

    through = overlapped(source(), abs)
    assert next(through) == 1
    with pytest.raises(OSError, match="unplugged"):
        next(through)


def test_a_consumer_who_stops_ends_all_threads_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    through = overlapped(source(), abs, abs)
    assert next(through) == 1
    through.close()
    assert closed.is_set()


def test_a_source_that_blocks_does_not_hold_its_consumer(monkeypatch):
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.05)
    gate = threading.Event()

    def source():
        yield 1
        gate.wait()

    before = set(threading.enumerate())
    through = overlapped(source(), abs)
    assert next(through) == 1
    through.close()
    gate.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def test_an_interrupt_lets_out_what_is_in_flight(monkeypatch):
    waiting = pipeline._Channel.get
    main = threading.current_thread()
    calls = 0

    def get(channel):
        nonlocal calls
        if threading.current_thread() is main:
            calls += 1
            if calls == 4:
                raise KeyboardInterrupt
        return waiting(channel)

    monkeypatch.setattr(pipeline._Channel, "get", get)
    seen, read = [], []

    def source():
        for number in range(10**9):
            read.append(number)
            yield number

    with pytest.raises(KeyboardInterrupt):
        for number in overlapped(source(), abs):
            seen.append(number)
    assert seen == list(range(len(seen)))
    assert seen == read and len(seen) > 3
