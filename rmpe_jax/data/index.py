"""The annotations of a prepared set as flat arrays in one file, so that no picture need be read."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Shaped

from rmpe_jax.records import Annotation, Persons, Photograph, nobody

Arrays = dict[str, Shaped[np.ndarray, "..."]]
PLAIN = ("image_id", "file_name", "height", "width")


def arrays(rows: Sequence[Annotation], joints: int) -> Arrays:
    """Return the annotations of n photographs; `people` counts those of each."""
    made: Arrays = {field: np.array([getattr(row, field) for row in rows]) for field in PLAIN}
    empty = nobody(joints)
    for field in Persons._fields:
        parts = [getattr(row.persons, field) for row in rows]
        made[field] = np.concatenate([getattr(empty, field), *parts])
    made["people"] = np.array([len(row.persons.area) for row in rows], np.int64)
    # Not as NumPy's strings: these are all as long as the longest.
    facts = "\n".join(json.dumps(row.facts) for row in rows)
    made["facts"] = np.frombuffer(facts.encode(), np.uint8)
    return made


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Return the arrays of several shards as one, in their order; of empty ones nothing."""
    parts = [part for part in parts if len(part["people"])] or list(parts[:1])
    made = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    newline = np.frombuffer(b"\n", np.uint8)
    facts = [piece for part in parts for piece in (newline, part["facts"])]
    return made | {"facts": np.concatenate(facts[1:])}


def annotations(index: Arrays) -> list[Annotation]:
    """Return what `arrays` was given."""
    ends = np.cumsum(index["people"])
    persons = zip(*(np.split(index[field], ends[:-1]) for field in Persons._fields), strict=True)
    facts = index["facts"].tobytes().decode().split("\n")
    return [
        Annotation(
            int(image_id), str(name), int(height), int(width), Persons(*parts), json.loads(f)
        )
        for image_id, name, height, width, parts, f in zip(
            *(index[field] for field in PLAIN), persons, facts, strict=True
        )
    ]


def taken(index: Arrays, rows: Int[np.ndarray, " n"]) -> Arrays:
    """Return the arrays of these photographs alone, in this order."""
    everything = annotations(index)
    return arrays([everything[row] for row in rows], index["joints_px"].shape[1])


def trainable(index: Arrays) -> Int[np.ndarray, "n 2"]:
    """Return (photograph, person) of everybody to train on.

    That is no crowd, with at least one labelled joint and a box with an area.
    """
    people = index["people"]
    photograph = np.repeat(np.arange(len(people)), people)
    person = np.arange(people.sum()) - np.repeat(np.cumsum(people) - people, people)
    x_min, y_min, x_max, y_max = index["boxes_px"].T
    wanted = (index["joints_px"][..., 2] > 0).any(1) & ~index["is_crowd"]
    wanted &= (x_max > x_min) & (y_max > y_min)
    return np.stack([photograph, person], axis=1)[wanted]


def digest(photograph: Photograph) -> str:
    """Return a hash of the picture's bytes and of all that is annotated."""
    told = hashlib.sha256(photograph.jpeg)
    about = [photograph.image_id, photograph.file_name, photograph.height, photograph.width]
    told.update(json.dumps([about, photograph.facts], sort_keys=True).encode())
    for field in photograph.persons:
        told.update(np.ascontiguousarray(field).tobytes())
    return told.hexdigest()
