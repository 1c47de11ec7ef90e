"""Checkpoints: one atomic folder a step, checked when it is read.

Orbax writes and commits; this module adds what Orbax lacks: a checksum of every array, verified
after restoring (flipped bytes load silently otherwise), the way back to the newest step that is
whole, and messages that name the parameter. A checkpoint holds three items: `state` (everything
training needs to go on), `model` (the variables that evaluation uses) and `meta` (JSON:
configuration, data position, checksums).
"""

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from rmpe_jax import packed
from rmpe_jax.records import Variables

PyTree = Any


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class DamagedError(CheckpointError):
    """A checkpoint cannot be read back as it was written."""


class Checkpoints:
    """The checkpoints below one folder."""

    def __init__(self, folder: Path, *, keep: int | None = None, read_only: bool = False) -> None:
        """Open `folder`; the newest `keep` steps are kept (None: all).

        `read_only` leaves everything as it is, also what a run is writing at this moment.
        """
        self.folder = folder.absolute()
        self.manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=None if read_only else keep,
                create=not read_only,
                cleanup_tmp_directories=not read_only,
                read_only=read_only,
            ),
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
        return self._read(step, "meta", ocp.args.JsonRestore())

    def restore(self, step: int, item: str, template: PyTree) -> PyTree:
        """Return `item` of `step`, shaped and placed as `template`; checksums are verified."""
        arrays = self.meta(step)["arrays"][item]
        compare(arrays, describe_shapes(template), where=f"{self.folder}, step {step}")
        restored = self._read(
            step, item, ocp.args.StandardRestore(jax.tree.map(_abstract, template))
        )
        damaged = different(arrays, describe(restored))
        if damaged:
            raise self._damage(
                step, f"{len(damaged)} arrays are not what was saved, the first is {damaged[0]}"
            )
        return restored

    def newest(
        self, item: str, template_of: Callable[[dict[str, Any]], PyTree]
    ) -> tuple[PyTree, dict[str, Any], list[DamagedError]]:
        """Return (item, meta, what was passed over) of the newest step that is whole.

        `template_of` makes the template from a step's meta. Raises CheckpointError when there is
        no step, when none is whole, and at once when a step belongs to another network.
        """
        damages: list[DamagedError] = []
        for step in reversed(self.steps()):
            try:
                meta = self.meta(step)
                return self.restore(step, item, template_of(meta)), meta, damages
            except DamagedError as damage:
                damages.append(damage)
        told = "; ".join(map(str, damages)) or "there is none"
        raise CheckpointError(f"no checkpoint in {self.folder} can be read: {told}")

    def delete(self, step: int) -> None:
        """Remove the folder of a step, whatever is in it."""
        shutil.rmtree(self.folder / str(step))
        self.manager.reload()

    def close(self) -> None:
        """Wait until everything is on disk."""
        self.manager.wait_until_finished()
        self.manager.close()

    def _read(self, step: int, item: str, how: Any) -> Any:
        try:
            return self.manager.restore(step, args=ocp.args.Composite(**{item: how}))[item]
        # Orbax and its storage raise many kinds for a file that is cut, changed or missing.
        except Exception as error:
            reason = f"{item} cannot be read ({type(error).__name__}: {str(error)[:200]})"
            raise self._damage(step, reason) from error

    def _damage(self, step: int, reason: str) -> DamagedError:
        return DamagedError(f"the checkpoint {self.folder / str(step)} is damaged: {reason}")


def load_model(
    folder: Path, template_of: Callable[[dict[str, Any]], Variables]
) -> tuple[Variables, dict[str, Any], list[DamagedError]]:
    """Return (variables, meta, what was passed over) of the newest whole checkpoint of a run.

    `folder` is a run's work directory or its `checkpoints` folder, and nothing in it is changed, or
    a file of `rmpe_jax.packed`; `template_of` makes the variables' shapes from a checkpoint's meta.
    """
    if folder.suffix == packed.SUFFIX:
        variables, meta = packed.read(folder)
        compare(describe_shapes(variables), describe_shapes(template_of(meta)), where=str(folder))
        return jax.device_put(variables), meta, []
    nested = folder / "checkpoints"
    place = nested if nested.is_dir() else folder
    if not place.is_dir() or not any(child.name.isdecimal() for child in place.iterdir()):
        raise CheckpointError(
            f"{folder} holds no checkpoint; give the work directory of a run (it has a folder "
            f"`checkpoints`), for example runs/synthetic, or a {packed.SUFFIX} file of `rmpe pack`"
        )
    checkpoints = Checkpoints(place, read_only=True)
    try:
        return checkpoints.newest("model", template_of)
    finally:
        checkpoints.close()


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


def different(saved: dict[str, Any], restored: dict[str, Any]) -> list[str]:
    """Return the paths of the arrays whose bytes are not those that were saved."""
    return [path for path in saved if saved[path]["crc32"] != restored[path]["crc32"]]


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
