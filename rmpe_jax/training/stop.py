"""How a run ends early: because its figures are no numbers any more."""

from typing import Any

import numpy as np

from rmpe_jax.records import Batch
from rmpe_jax.training.sharding import fetched, fetched_rows
from rmpe_jax.training.step import Figures, Rows


class NonFiniteLossError(ArithmeticError):
    """The loss became infinite or not a number; the run stopped."""


def check_finite(step: int, batch: Any, figures: Figures, rows: Rows) -> None:
    """Raise NonFiniteLossError if a step's figures are no numbers, naming its records.

    `rows["suspects"]` names those of this process' samples that began it.
    """
    values = fetched(figures)
    if all(np.isfinite(list(values.values()))):
        return
    suspects = fetched_rows(rows).get("suspects", np.zeros(0, bool))
    if not suspects.any():
        suspects = np.ones(len(batch.image_id), bool)
    people = [f"image {image}" for image in batch.image_id[suspects]]
    if isinstance(batch, Batch):
        persons = zip(batch.person_id[suspects], people, strict=True)
        people = [f"person {person} of {image}" for person, image in persons]
    raise NonFiniteLossError(
        f"step {step} has {', '.join(f'{name} {value}' for name, value in values.items())}. Its "
        f"batch held {', '.join(people)}. The last checkpoint is from before and is whole: look "
        "at these records, lower --optimiser.learning-rate or set --optimiser.clip-norm 1, and "
        "start again."
    )
