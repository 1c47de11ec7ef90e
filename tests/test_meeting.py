from collections.abc import Callable, Sequence

import pytest

from rmpe_jax import meeting, processes
from rmpe_jax.processes import Given, Told
from rmpe_jax.shares import Share
from rmpe_jax.sources import Input, inputs


def outcomes(monkeypatch, listings: Sequence[Callable[[], list[Input]]]) -> list:
    """Return what each process gets, or the error that it ends with."""
    texts: list[str] = []

    def ended(process: int, heard: list[str]):
        def meet(given: Given, text: str) -> Told:
            texts.append(text)
            return Told(process, heard or [text])

        monkeypatch.setattr(processes, "meet", meet)
        try:
            return meeting.agreed(listings[process], Given())
        except (ValueError, OSError) as error:
            return error

    for process in range(len(listings)):
        ended(process, [])
    heard = texts.copy()
    return [ended(process, heard) for process in range(len(listings))]


def given(*names: str) -> Callable[[], list[Input]]:
    return lambda: inputs(names)


def test_each_gets_the_whole_list_and_a_share_of_its_own(monkeypatch):
    # Where files lie may differ.
    found = outcomes(monkeypatch, [given("/x/a.png", "/x/b.png"), given("/y/a.png", "/y/b.png")])
    assert [share for _, share in found] == [Share(0, 2), Share(1, 2)]
    assert [[one.name for one in whole] for whole, _ in found] == [["a.png", "b.png"]] * 2


@pytest.mark.parametrize("other", ["a", "abcd", "cba", "axc"])
def test_all_refuse_lists_that_differ_and_name_who_has_which(monkeypatch, other):
    same = given(*"abc")
    about = rf"{len(other)} \({other[0]} to {other[-1]}, check.*, not 3 \(a to c, check"
    for error in outcomes(monkeypatch, [same, same, given(*other)]):
        assert isinstance(error, ValueError)
        with pytest.raises(ValueError, match=f"process 2 was given other inputs.*{about}.*same"):
            raise error


@pytest.mark.parametrize("kind", [ValueError, PermissionError])
def test_who_cannot_list_says_why_and_so_do_the_others(monkeypatch, kind):
    def broken() -> list[Input]:
        raise kind("no such folder")

    first, second = outcomes(monkeypatch, [given("a.png"), broken])
    assert type(second) is kind and str(second) == "no such folder"
    assert "process 1 cannot list its inputs (no such folder)" in str(first)
