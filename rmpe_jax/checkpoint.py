"""Checkpoints: one atomic folder a step, checked when it is read.

Orbax writes and commits; this module adds what Orbax lacks: a checksum of every array, verified
after restoring (flipped bytes load silently otherwise), the way back to the newest step that is
whole, and messages that name the parameter. A checkpoint holds three items: `state` (everything
training needs to go on), `model` (the variables that evaluation uses) and `meta` (JSON:
configuration, data position, checksums).
"""

import gc
import json
import math
import shutil
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from rmpe_jax import packed
from rmpe_jax.checksums import checksums
from rmpe_jax.records import Variables

PyTree = Any

SECONDS_OF_OTHERS = 60  # that the rest of a failed save may take
SECONDS_OF_READS = 0.3  # that the reads in flight beside a failed one take


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class DamagedError(CheckpointError):
    """A checkpoint cannot be read back as it was written."""


class SaveError(CheckpointError):
    """A checkpoint could not be written; the earlier ones are whole."""


class Checkpoints:
    """The checkpoints below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        keep: int | None = None,
        keep_best: int = 0,
        read_only: bool = False,
    ) -> None:
        """Open `folder`; the newest `keep` steps (None: all) and the `keep_best` best are kept.

        `read_only` leaves everything as it is, also what a run is writing at this moment.
        """
        self.folder = folder.absolute()
        self.kept = _Kept(keep, keep_best)
        self.manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self.kept,
                # A folder that cannot be made is said at once. Behind, all who wait for it would
                # keep the program from ending for five minutes.
                async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
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
        self.writing = (0, 0)  # step, bytes
        self.failed = False
        for step in self.steps() if keep_best else ():
            try:
                self.kept.metrics[step] = self.meta(step).get("metric")
            except DamagedError:
                continue  # said by whoever wants to read it

    def save(
        self,
        step: int,
        state: PyTree,
        model: Variables,
        meta: dict[str, Any],
        *,
        metric: float | None = None,
    ) -> None:
        """Write one step; returns when the arrays are copied, the rest happens behind.

        The higher `metric` is the better; without it the step is no candidate for the best. What
        goes wrong behind is raised, as a SaveError, by the next `save`, `wait` or `close`.
        """
        self.wait()
        arrays = {"state": describe_shapes(state), "model": describe_shapes(model)}
        for entry, checksum in zip(_entries(arrays), checksums((state, model)), strict=True):
            entry["checksum"] = checksum
        # As it will be read: JSON knows no tuples.
        told = json.loads(json.dumps({**meta, "step": step, "metric": metric, "arrays": arrays}))
        self.kept.metrics[step] = metric
        self.writing = step, _bytes(state) + _bytes(model)
        try:
            self.manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    model=ocp.args.StandardSave(model),
                    meta=ocp.args.JsonSave({**told, "checksum": _text_checksum(told)}),
                ),
            )
        # Orbax and its storage raise many kinds for a disk that is full, absent or read-only.
        except Exception as error:
            raise self._not_written(error) from error

    def wait(self) -> None:
        """Wait until everything is on disk; a SaveError if it could not be written."""
        try:
            self.manager.wait_until_finished()
        except Exception as error:
            raise self._not_written(error) from error

    def steps(self) -> list[int]:
        """Return the steps that are committed, oldest first."""
        return sorted(self.manager.all_steps())

    def meta(self, step: int) -> dict[str, Any]:
        """Return what was saved beside the arrays; it has a checksum of its own."""
        meta = self._read(step, "meta", ocp.args.JsonRestore())
        written = meta.pop("checksum", None)
        before = written is None and any("crc32" in entry for entry in _entries(meta["arrays"]))
        if not before and written != _text_checksum(meta):
            raise self._damage(step, "meta is not what was saved")
        return meta

    def restore(self, step: int, item: str, template: PyTree) -> PyTree:
        """Return `item` of `step`, shaped and placed as `template`; checksums are verified."""
        arrays = self.meta(step)["arrays"][item]
        compare(arrays, describe_shapes(template), where=f"{self.folder}, step {step}")
        restored = self._read(
            step, item, ocp.args.StandardRestore(jax.tree.map(_abstract, template))
        )
        damaged = different(arrays, restored)
        if damaged:
            raise self._damage(
                step, f"{len(damaged)} arrays are not what was saved, the first is {damaged[0]}"
            )
        return restored

    def newest(
        self,
        item: str,
        template_of: Callable[[dict[str, Any]], PyTree],
        everywhere: Callable[[bool], bool] = bool,
    ) -> tuple[PyTree, dict[str, Any], list[DamagedError]]:
        """Return (item, meta, what was passed over) of the newest step that is whole.

        `template_of` makes the template from a step's meta. `everywhere` says of something that is
        true here whether it is in all processes: they must not go on from different steps. Raises
        CheckpointError when there is no step, when none is whole, and at once when a step belongs
        to another network.
        """
        damages: list[DamagedError] = []
        for step in reversed(self.steps()):
            found, damage = None, self._damage(step, "another process cannot read it")
            try:
                meta = self.meta(step)
                found = self.restore(step, item, template_of(meta)), meta, damages
            except DamagedError as error:
                damage = error
            if everywhere(found is not None) and found is not None:
                return found
            damages.append(damage)
        told = "; ".join(map(str, damages)) or "there is none"
        raise CheckpointError(f"no checkpoint in {self.folder} can be read: {told}")

    def delete(self, step: int) -> None:
        """Remove the folder of a step, whatever is in it; one process does, then all `reload`."""
        shutil.rmtree(self.folder / str(step))

    def reload(self) -> None:
        """Look again at which steps there are."""
        self.manager.reload()

    def close(self) -> None:
        """Wait as `wait` does, and let go of everything; what has been raised is not again."""
        try:
            self.wait()
        finally:
            try:
                self.manager.close()
            except Exception as error:
                if not self.failed:
                    raise self._not_written(error) from error

    def _read(self, step: int, item: str, how: Any) -> Any:
        try:
            return self.manager.restore(step, args=ocp.args.Composite(**{item: how}))[item]
        # Orbax and its storage raise many kinds for a file that is cut, changed or missing.
        except Exception as error:
            reason = f"{item} cannot be read ({type(error).__name__}: {str(error)[:200]})"
        _collect_unfinished()
        raise self._damage(step, reason)

    def _not_written(self, error: Exception) -> SaveError:
        self.failed = True
        step, needed = self.writing
        # Half a checkpoint is of no use, and its room may be what is lacking. Orbax tells the first
        # of its threads that fails; the others may be writing still.
        for thread in threading.enumerate():
            if type(thread).__module__.startswith("orbax."):
                with suppress(Exception):
                    thread.join(SECONDS_OF_OTHERS)
        for unfinished in self.folder.glob(f"{step}.*tmp*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        self.manager.reload()  # Orbax has crossed out already what it meant to remove after this
        free = shutil.disk_usage(self.folder).free
        whole = self.steps()
        return SaveError(
            f"the checkpoint of step {step} could not be written: {_reason(error)}. It takes up "
            f"to {needed / 1e6:.1f} MB, and {self.folder} has room for {free / 1e6:.1f} MB. "
            + (f"That of step {whole[-1]} is as it was. " if whole else "There is no earlier one. ")
            + "Mend this (a full disk: make room, or keep fewer by --train.keep 1 "
            "--train.keep-best 0) and type the same command again"
        )

    def _damage(self, step: int, reason: str) -> DamagedError:
        return DamagedError(f"the checkpoint {self.folder / str(step)} is damaged: {reason}")


class _Kept:
    """Says which steps are kept, as a preservation policy of Orbax.

    Orbax' own best steps want a file of metrics each, and one that is damaged is an error as soon
    as the folder is opened.
    """

    def __init__(self, newest: int | None, best: int) -> None:
        self.newest, self.best = newest, best
        self.metrics: dict[int, float | None] = {}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]  # oldest first
        known = {step: self.metrics.get(step) for step in steps}
        measured = [
            (metric, step)
            for step, metric in known.items()
            if metric is not None and math.isfinite(metric)
        ]
        kept = steps if self.newest is None else steps[-self.newest :]
        best = [step for _, step in sorted(measured, reverse=True)[: self.best]]
        return [step in kept or step in best for step in steps]


def load_model(
    folder: Path, template_of: Callable[[dict[str, Any]], Variables]
) -> tuple[Variables, dict[str, Any], list[DamagedError]]:
    """Return (variables, meta, what was passed over) of the newest whole checkpoint of a run.

    `folder` is a run's work directory or its `checkpoints` folder, and nothing in it is changed; or
    the folder of one step, as `checkpoints/400`, which must be whole then; or a file of
    `rmpe_jax.packed`. `template_of` makes the variables' shapes from a checkpoint's meta.
    """
    if folder.suffix == packed.SUFFIX:
        variables, meta = packed.read(folder)
        compare(describe_shapes(variables), describe_shapes(template_of(meta)), where=str(folder))
        return jax.device_put(variables), meta, []
    if is_step(folder):
        step = int(folder.name)
        checkpoints = Checkpoints(folder.parent, read_only=True)
        try:
            meta = checkpoints.meta(step)
            return checkpoints.restore(step, "model", template_of(meta)), meta, []
        finally:
            checkpoints.close()
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


def is_step(folder: Path) -> bool:
    """Whether a folder is one step of a run, as RUN/checkpoints/400."""
    return folder.name.isdecimal() and folder.absolute().parent.name == "checkpoints"


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


def different(saved: dict[str, Any], restored: PyTree) -> list[str]:
    """Return the paths of the arrays whose bits are not those that were saved."""
    found = zip(_leaves(restored), checksums(restored), strict=True)
    return [path for (path, leaf), checksum in found if not _same(saved[path], leaf, checksum)]


def _entries(arrays: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for item in arrays.values() for entry in item.values()]


def _collect_unfinished() -> None:
    """Collect the coroutines that Orbax leaves half done where reading fails.

    Each prints an error of its own when it is collected, at any later time; here none does.
    """
    heard = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            time.sleep(SECONDS_OF_READS)  # until then the storage holds on to them
            gc.collect()
    finally:
        sys.unraisablehook = heard


def _text_checksum(meta: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _same(entry: dict[str, Any], leaf: Any, checksum: int) -> bool:
    if "crc32" in entry:  # a checkpoint of before there was a checksum of the device
        return zlib.crc32(np.ascontiguousarray(_host(leaf)).tobytes()) == entry["crc32"]
    return checksum == entry["checksum"]


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in flat]


def _reason(error: Exception) -> str:
    """Return the end of a storage error, which is the cause; before it are the names of files."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rsplit(": ", 1)[-1][:200]


def _bytes(tree: PyTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _host(leaf: Any) -> np.ndarray:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(
        jax.local_devices()[0]
    )
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
