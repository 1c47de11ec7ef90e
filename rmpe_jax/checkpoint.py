"""Checkpoints: one atomic folder a step, checked when it is read.

Orbax writes and commits; this module adds what Orbax lacks: a checksum of every array, verified
after restoring (flipped bytes load silently otherwise), and messages that name the parameter.
A checkpoint holds three items: `state` (everything training needs to go on), `model` (the
variables that evaluation uses) and `meta` (JSON: configuration, data position, checksums).
"""

import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from rmpe_jax.records import Variables

PyTree = Any


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class Checkpoints:
    """The checkpoints below one folder."""

    def __init__(self, folder: Path, *, keep: int | None = None) -> None:
        """Open `folder` (made when first written to); the newest `keep` are kept (None: all)."""
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True, step_prefix=None
        )
        self.manager = ocp.CheckpointManager(
            self.folder,
            options=options,
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "model": ocp.StandardCheckpointHandler(),
                "meta": ocp.JsonCheckpointHandler(),
            },
        )

    def save(self, step: int, state: PyTree, model: Variables, meta: dict[str, Any]) -> None:
        """Write one step; returns when the arrays are copied, the rest happens behind."""
        checked = {
            **meta,
            "step": step,
            "arrays": {"state": describe(state), "model": describe(model)},
        }
        self.manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                model=ocp.args.StandardSave(model),
                meta=ocp.args.JsonSave(checked),
            ),
        )

    def steps(self) -> list[int]:
        """Return the steps that are committed, oldest first."""
        return sorted(self.manager.all_steps())

    def meta(self, step: int) -> dict[str, Any]:
        """Return what was saved beside the arrays."""
        args = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return self.manager.restore(step, args=args)["meta"]

    def restore(self, step: int, item: str, template: PyTree) -> PyTree:
        """Return `item` of `step`, shaped and placed as `template`; checksums are verified."""
        arrays = self.meta(step)["arrays"][item]
        compare(arrays, describe_shapes(template), where=f"{self.folder}, step {step}")
        abstract = jax.tree.map(_abstract, template)
        args = ocp.args.Composite(**{item: ocp.args.StandardRestore(abstract)})
        restored = self.manager.restore(step, args=args)[item]
        verify(arrays, describe(restored), where=f"{self.folder}, step {step}")
        return restored

    def close(self) -> None:
        """Wait until everything is on disk."""
        self.manager.wait_until_finished()
        self.manager.close()


def load_model(folder: Path, build_template: Any) -> tuple[Variables, dict[str, Any]]:
    """Return (variables, meta) of the newest checkpoint below `folder`.

    `folder` is a run's work directory or its `checkpoints` folder; `build_template` makes the
    variables' shapes from the saved configuration (a dict).
    """
    nested = folder / "checkpoints"
    place = nested if nested.is_dir() else folder
    if not place.is_dir() or not any(child.name.isdigit() for child in place.iterdir()):
        raise CheckpointError(
            f"{folder} holds no checkpoint; give the work directory of a run "
            "(it has a folder `checkpoints`), for example runs/synthetic"
        )
    checkpoints = Checkpoints(place)
    step = checkpoints.steps()[-1]
    meta = checkpoints.meta(step)
    variables = checkpoints.restore(step, "model", build_template(meta["config"]))
    checkpoints.close()
    return variables, meta


def describe(tree: PyTree) -> dict[str, dict[str, Any]]:
    """Return {path: shape, dtype, crc32} of every array in a tree."""
    described = describe_shapes(tree)
    for (_, leaf), entry in zip(_leaves(tree), described.values(), strict=True):
        entry["crc32"] = zlib.crc32(np.ascontiguousarray(_host(leaf)).tobytes())
    return described


def describe_shapes(tree: PyTree) -> dict[str, dict[str, Any]]:
    """Return {path: shape, dtype} of every array in a tree (shapes are enough)."""
    return {
        path: {"shape": list(leaf.shape), "dtype": str(leaf.dtype)} for path, leaf in _leaves(tree)
    }


def compare(saved: dict[str, Any], wanted: dict[str, Any], *, where: str) -> None:
    """Raise CheckpointError naming the first arrays that differ in name or shape."""
    troubles = [
        f"{path}: the checkpoint has shape {saved[path]['shape']}, this network {entry['shape']}"
        for path, entry in wanted.items()
        if path in saved and saved[path]["shape"] != entry["shape"]
    ]
    troubles += [f"{path}: only this network has it" for path in wanted if path not in saved]
    troubles += [f"{path}: only the checkpoint has it" for path in saved if path not in wanted]
    if troubles:
        shown = "\n  ".join(troubles[:3])
        raise CheckpointError(
            f"the checkpoint ({where}) belongs to another network; {len(troubles)} arrays differ:"
            f"\n  {shown}\nUse the configuration it was trained with, or another --workdir."
        )


def verify(saved: dict[str, Any], restored: dict[str, Any], *, where: str) -> None:
    """Raise CheckpointError naming the arrays whose bytes are not those that were saved."""
    damaged = [path for path in saved if saved[path]["crc32"] != restored[path]["crc32"]]
    if damaged:
        raise CheckpointError(
            f"the checkpoint ({where}) is damaged: {len(damaged)} arrays are not what was "
            f"saved, the first is {damaged[0]}. Delete this step's folder; an earlier one is used."
        )


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in flat]


def _host(leaf: Any) -> np.ndarray:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(
        jax.devices()[0]
    )
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
