"""What a run learns, as the loop sees it: poses (`pose_task`) or human boxes (`detector_task`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flax import linen as nn

from rmpe_jax.data.batches import Batches
from rmpe_jax.records import Variables
from rmpe_jax.training.step import Inputs, Lesson


class Outcome(NamedTuple):
    """The end of a run: its result, what is printed of it, and the files that were written."""

    result: dict[str, Any]
    table: str
    written: list[Path]


class Task(NamedTuple):
    """A network with its data, what it learns from them, and how well it does.

    `facts` go into every checkpoint; `check` refuses those of a checkpoint that this run must not
    go on from. `first` gives variables their first weights, `batches` this process' batches from a
    number on, and `inputs` what goes to the devices of a batch; `fixed` lies there all the time.
    After a number of steps `measure` gives a quick AP, and `finish` measures and writes everything.
    """

    module: nn.Module
    about: str
    facts: dict[str, Any]
    check: Callable[[dict[str, Any]], None]
    first: Callable[[Variables], Variables]
    batches: Callable[[int], Batches[Any]]
    lesson: Lesson
    inputs: Callable[[Any], Inputs]
    fixed: Any
    measure: Callable[[int, Variables], float]
    finish: Callable[[int, Variables], Outcome]
