"""The annotated people of many photographs in one set of arrays."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from rmpe_jax.records import Annotation, Persons, nobody
from rmpe_jax.skeletons import Skeleton


def everyone(
    photographs: Sequence[Annotation], skeleton: Skeleton
) -> tuple[Persons, Int[np.ndarray, " n"]]:
    """Return (all people in order, the row of each one's photograph)."""
    of = [nobody(len(skeleton.joints)), *(photograph.persons for photograph in photographs)]
    for row, persons in enumerate(of[1:]):
        if persons.joints_px.shape[1] != len(skeleton.joints):
            raise ValueError(
                f"image {photographs[row].image_id}: people of {persons.joints_px.shape[1]} joints "
                f"came; {skeleton.name} has {len(skeleton.joints)}. Give the skeleton in which the "
                "photographs were read"
            )
    count = [len(persons.person_id) for persons in of[1:]]
    together = Persons(*(np.concatenate(field) for field in zip(*of, strict=True)))
    return together, np.repeat(np.arange(len(photographs)), np.array(count, np.int64))
