"""Jobs that are done once, by their content."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from rmpe_jax.ablation import jobs
from rmpe_jax.ablation.jobs import Job


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def told(console):
    return console.file.getvalue()


def job(name, *needs, work=None, kind="kind", **request):
    def note(folder, *others):
        (folder / "seen").write_text(" ".join(other.name for other in others))
        return {"name": name}

    return Job(kind, name, {"name": name, **request}, needs, work or note, 10.0)


def test_a_job_comes_after_what_it_needs_and_once():
    data = job("data")
    first, second = job("first", data), job("second", data)
    both = job("both", first, second)
    found = jobs.ordered([both, second, data])
    assert [one.about for one in found] == ["data", "first", "second", "both"]


def test_the_name_depends_on_the_request_and_on_all_that_is_needed():
    base = job("last", job("middle", job("first")))
    assert base.name == job("last", job("middle", job("first"))).name
    others = [
        job("last", job("middle", job("first", seed=1))),
        job("last", job("middle", job("first")), seed=1),
        job("last", job("middle", job("first")), kind="other"),
        job("last"),
    ]
    names = {base.name, *(one.name for one in others)}
    assert len(names) == 5
    # What a job is called for people, and how long it may take, are not what it is.
    assert replace(base, about="else", guess=1.0).name == base.name


def test_what_is_done_is_not_done_again(tmp_path, console):
    data = job("data")
    wanted = jobs.ordered([job("fit", data)])
    assert jobs.run(wanted, tmp_path, console) == {}
    assert jobs.outcome(wanted[1], tmp_path) == {"name": "fit"}
    assert (tmp_path / wanted[1].name / "seen").read_text() == data.name
    before = told(console)
    (tmp_path / data.name / "seen").unlink()
    assert jobs.run(wanted, tmp_path, console) == {}
    assert not (tmp_path / data.name / "seen").exists() and told(console) == before


def test_a_job_that_fails_takes_along_only_those_that_need_it(tmp_path, console):
    works = [False]

    def work(folder):
        if not works[0]:
            raise ValueError("no boxes")
        return {}

    broken = job("broken", work=work)
    wanted = jobs.ordered([job("above", job("needs it", broken)), job("other", job("data"))])
    failed = jobs.run(wanted, tmp_path, console)
    assert {wanted[number].about for number in (0, 1, 2)} == {"broken", "needs it", "above"}
    assert set(failed) == {wanted[number].name for number in (0, 1, 2)}
    assert set(failed.values()) == {"broken: ValueError: no boxes"}
    assert all(jobs.outcome(one, tmp_path) is None for one in wanted[:3])
    assert jobs.outcome(wanted[-1], tmp_path) == {"name": "other"}
    report = tmp_path / broken.name / jobs.FAILED
    assert 'raise ValueError("no boxes")' in report.read_text()
    assert "failed: broken: ValueError: no boxes" in told(console)
    works[0] = True
    assert jobs.run(wanted, tmp_path, console) == {}, "the next call tries it again"
    assert not report.exists()


def test_a_job_that_is_stopped_goes_on_in_its_folder(tmp_path, console):
    def work(folder):
        if not (folder / "half").exists():
            (folder / "half").write_text("")
            raise KeyboardInterrupt
        return {"went on": True}

    wanted = [job("long", work=work), job("next")]
    with pytest.raises(KeyboardInterrupt):
        jobs.run(wanted, tmp_path, console)
    assert jobs.outcome(wanted[0], tmp_path) is None
    assert jobs.run(wanted, tmp_path, console) == {}
    assert jobs.outcome(wanted[0], tmp_path) == {"went on": True}


def test_the_seconds_of_all_calls_are_added(tmp_path, console, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(jobs.time, "perf_counter", lambda: now[0])

    def work(folder):
        now[0] += 7
        if now[0] < 10:
            raise KeyboardInterrupt
        return {}

    one = job("long", work=work)
    with pytest.raises(KeyboardInterrupt):
        jobs.run([one], tmp_path, console)
    jobs.run([one], tmp_path, console)
    assert json.loads((tmp_path / one.name / jobs.DONE).read_text())["seconds"] == 14


def test_what_is_left_is_told_by_how_long_such_jobs_took():
    train, find = job("a", kind="train"), job("b", kind="find")
    assert jobs.seconds_left([train, find], []) is None
    done = [(train, 30.0)]
    assert jobs.seconds_left([train, find, find], done) == pytest.approx(90)
    done = [(train, 30.0), (find, 5.0), (find, 15.0)]
    assert jobs.seconds_left([train, train, find], done) == pytest.approx(30 + 30 + 10)
    assert jobs.seconds_left([], done) == 0


def test_the_time_left_is_shown_once_something_is_done(tmp_path, console):
    jobs.run([job("one"), job("two")], tmp_path, console)
    first, second = (line for line in told(console).splitlines() if line)
    assert first.startswith("1 of 2: one (kind-") and "left" not in first
    assert second.startswith("2 of 2: two (kind-") and "min left in all" in second
