import errno
import json
import resource
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from rmpe_jax import checkpoint
from rmpe_jax.checkpoint import CheckpointError, Checkpoints, DamagedError, SaveError


def state_of(value: int, width: int = 4) -> dict:
    return {
        "step": jnp.int32(value),
        "key": jax.random.key(value),
        "params": {"dense": {"kernel": jax.random.normal(jax.random.key(value), (3, width))}},
    }


def model_of(state: dict) -> dict:
    return {"params": state["params"]}


def saved(folder: Path, *values: int, keep: int | None = None) -> None:
    checkpoints = Checkpoints(folder, keep=keep)
    for value in values:
        state = state_of(value)
        checkpoints.save(value, state, model_of(state), {"config": {"name": "a"}})
    checkpoints.close()


def test_a_state_comes_back_bit_for_bit(tmp_path):
    saved(tmp_path / "c", 3)
    checkpoints = Checkpoints(tmp_path / "c")
    restored = checkpoints.restore(3, "state", state_of(0))
    expected = state_of(3)
    np.testing.assert_array_equal(
        restored["params"]["dense"]["kernel"], expected["params"]["dense"]["kernel"]
    )
    assert int(restored["step"]) == 3
    np.testing.assert_array_equal(
        jax.random.key_data(restored["key"]), jax.random.key_data(expected["key"])
    )
    assert checkpoints.meta(3)["config"] == {"name": "a"}
    checkpoints.close()


def test_the_newest_are_kept(tmp_path):
    saved(tmp_path / "c", 1, 2, 3, 4, keep=2)
    checkpoints = Checkpoints(tmp_path / "c")
    assert checkpoints.steps() == [3, 4]
    checkpoints.close()


METRICS = {1: 0.1, 2: 0.4, 3: 0.4, 4: None, 5: float("nan"), 6: 0.2, 7: None}


@pytest.mark.parametrize(
    ("keep", "keep_best", "kept"),
    [(1, 0, [7]), (1, 1, [3, 7]), (2, 3, [2, 3, 6, 7]), (2, 99, [1, 2, 3, 6, 7])],
)
def test_the_best_are_kept_beside_the_newest(tmp_path, keep, keep_best, kept):
    """Also those of an earlier start, of which one has lost what it was worth."""
    for steps in ((1, 2, 3, 4), (5, 6, 7)):
        checkpoints = Checkpoints(tmp_path / "c", keep=keep, keep_best=keep_best)
        for step in steps:
            model = model_of(state_of(step))
            checkpoints.save(step, state_of(step), model, {}, metric=METRICS[step])
        checkpoints.close()
    checkpoints = Checkpoints(tmp_path / "c", read_only=True)
    assert checkpoints.steps() == kept
    checkpoints.close()
    assert checkpoint.load_model(tmp_path / "c", lambda meta: model_of(state_of(0)))[1]["step"] == 7


def test_a_damaged_note_of_how_good_it_is_stops_nothing(tmp_path):
    for step, metric in ((1, 0.9), (2, 0.5), (3, 0.1)):
        checkpoints = Checkpoints(tmp_path / "c", keep=1, keep_best=1)
        state = state_of(step)
        checkpoints.save(step, state, model_of(state), {}, metric=metric)
        checkpoints.close()
        if step == 1:
            (tmp_path / "c" / "1" / "meta" / "metadata").write_text("{")
    checkpoints = Checkpoints(tmp_path / "c", read_only=True)
    assert checkpoints.steps() == [2, 3]
    checkpoints.close()


@contextmanager
def files_of_at_most(bytes_each: int) -> Iterator[None]:
    """Let the writing of longer files fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_each, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("noticed", ["save", "wait", "close"])
def test_a_disk_that_is_full_leaves_the_earlier_checkpoint_and_says_so(tmp_path, noticed):
    values = np.random.default_rng(0).random((512, 512), np.float32)
    state = {"params": {"kernel": jnp.asarray(values)}}
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    checkpoints.save(1, state, state, {})
    checkpoints.wait()
    message = (
        r"step 2 could not be written: .*File too large.*It takes up to 2\.1 MB, and .* has room "
        r"for .* MB\. That of step 1 is as it was\. .*--train.keep 1"
    )
    with files_of_at_most(1 << 17):
        checkpoints.save(2, state, state, {})
        with pytest.raises(SaveError, match=message):
            {
                "save": lambda: checkpoints.save(3, state, state, {}),
                "wait": checkpoints.wait,
                "close": checkpoints.close,
            }[noticed]()
        checkpoints.close()  # as the end of a `with closing` does; the error is said once
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["1"]
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    restored = checkpoints.restore(1, "model", state)
    np.testing.assert_array_equal(restored["params"]["kernel"], values)
    checkpoints.save(2, state, state, {})
    checkpoints.close()
    assert checkpoint.load_model(tmp_path / "c", lambda meta: state)[1]["step"] == 2


def test_a_note_that_cannot_be_written_is_an_error_too(tmp_path, monkeypatch):
    """On a disk without a single block left everything fails at once, and Orbax says one of it."""

    async def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "metadata")

    saved(tmp_path / "c", 1)
    monkeypatch.setattr(ocp.JsonCheckpointHandler, "_save_fn", full)
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    with pytest.raises(SaveError, match=r"step 2 could not be written: No space left on device\. "):
        checkpoints.save(2, state_of(2), model_of(state_of(2)), {})
        checkpoints.wait()
    checkpoints.close()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["1"]


@pytest.mark.parametrize("said", [False, True])
def test_what_fails_at_the_end_is_said_unless_it_has_been(tmp_path, monkeypatch, said):
    """Orbax raises what went wrong in `save` once more when it is closed."""

    def fail(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoints = Checkpoints(tmp_path / "c")
    if said:
        monkeypatch.setattr(checkpoints.manager, "save", fail)
        with pytest.raises(SaveError, match="step 1 could not be written: No space"):
            checkpoints.save(1, state_of(1), model_of(state_of(1)), {})
    close = checkpoints.manager.close
    monkeypatch.setattr(checkpoints.manager, "close", fail)
    with nullcontext() if said else pytest.raises(SaveError, match="No space left"):
        checkpoints.close()
    close()


def test_a_folder_that_is_gone_is_said_at_once(tmp_path):
    """The storage has no room for another folder, or none at all."""
    checkpoints = Checkpoints(tmp_path / "c")
    shutil.rmtree(tmp_path / "c")
    (tmp_path / "c").write_text("a file")
    with pytest.raises(SaveError, match=r"step 1 could not be written: .*There is no earlier one"):
        checkpoints.save(1, state_of(1), model_of(state_of(1)), {})
        checkpoints.wait()
    checkpoints.close()


def test_what_is_given_away_after_saving_is_saved_as_it_was(tmp_path):
    """The next step writes into the buffers of the state it gets."""
    state = {"params": {"kernel": jax.random.normal(jax.random.key(0), (512, 512))}}
    values = np.array(state["params"]["kernel"])
    forward = jax.jit(lambda state: jax.tree.map(lambda a: a * 1.5, state), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path / "c")
    state = forward(jax.tree.map(lambda a: a / 1.5, state))
    values = np.array(state["params"]["kernel"])
    checkpoints.save(1, state, state, {})
    for _ in range(20):
        state = forward(state)
    checkpoints.wait()
    restored = checkpoints.restore(1, "state", state)
    np.testing.assert_array_equal(restored["params"]["kernel"], values)
    checkpoints.close()


def test_a_checkpoint_is_restored_onto_other_devices(tmp_path):
    saved(tmp_path / "c", 1)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    cut = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "data"))
    template = {"params": {"dense": {"kernel": jax.ShapeDtypeStruct((3, 4), jnp.float32)}}}
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=cut), template
    )
    variables, _, _ = checkpoint.load_model(tmp_path / "c", lambda meta: template)
    kernel = variables["params"]["dense"]["kernel"]
    assert kernel.sharding == cut
    np.testing.assert_array_equal(kernel, state_of(1)["params"]["dense"]["kernel"])


def test_a_checkpoint_is_restored_onto_a_device_of_this_process(tmp_path, monkeypatch):
    saved(tmp_path / "c", 1)
    own = jax.devices()[2:]  # as if the first were another process'
    monkeypatch.setattr(jax, "local_devices", lambda *_, **__: own)
    template = {"params": {"dense": {"kernel": jax.ShapeDtypeStruct((3, 4), jnp.float32)}}}
    variables, _, _ = checkpoint.load_model(tmp_path / "c", lambda meta: template)
    assert variables["params"]["dense"]["kernel"].devices() == {own[0]}


def test_checkpoints_of_before_are_verified_as_they_were_written(tmp_path):
    """By the CRC-32 of each array's bytes."""
    saved(tmp_path / "c", 1, 2)
    kernels = {step: state_of(step)["params"]["dense"]["kernel"] for step in (1, 2)}
    for step, right in ((1, 1), (2, 1)):
        path = tmp_path / "c" / str(step) / "meta" / "metadata"
        meta = json.loads(path.read_text())
        del meta["checksum"]
        entry = meta["arrays"]["model"]["params/dense/kernel"]
        del entry["checksum"]
        entry["crc32"] = zlib.crc32(np.asarray(kernels[right]).tobytes())
        path.write_text(json.dumps(meta))
    variables, meta, damages = checkpoint.load_model(
        tmp_path / "c", lambda meta: model_of(state_of(0))
    )
    assert meta["step"] == 1
    assert [str(damage).count("2 is damaged: 1 arrays are not") for damage in damages] == [1]
    np.testing.assert_array_equal(variables["params"]["dense"]["kernel"], kernels[1])


def test_another_network_is_refused_naming_the_parameter_and_both_shapes(tmp_path):
    saved(tmp_path / "c", 1)
    checkpoints = Checkpoints(tmp_path / "c")
    message = r"params/dense/kernel: the checkpoint has shape \[3, 4\], this network \[3, 5\]"
    with pytest.raises(CheckpointError, match=message):
        checkpoints.restore(1, "state", state_of(0, width=5))
    other = {"params": {"conv": {"kernel": jnp.zeros((3, 4))}}}
    with pytest.raises(CheckpointError, match=r"params/conv/kernel: only this network has it"):
        checkpoints.restore(1, "model", other)
    checkpoints.close()


def test_a_flipped_byte_is_found_and_named(tmp_path):
    """Orbax itself loads such a file without a word."""
    checkpoints = Checkpoints(tmp_path / "c")
    state = {"params": {"kernel": np.random.default_rng(0).random((256, 256), np.float32)}}
    checkpoints.save(1, state, state, {})
    checkpoints.close()
    files = [path for path in (tmp_path / "c" / "1" / "model").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 0x10 for byte in content[middle : middle + 64])
    largest.write_bytes(content)
    checkpoints = Checkpoints(tmp_path / "c", read_only=True)
    with pytest.raises(DamagedError, match=r"damaged: 1 arrays are not .* params/kernel"):
        checkpoints.restore(1, "model", state)
    checkpoints.close()


@pytest.mark.parametrize("part", ["meta", "model"])
def test_the_newest_whole_step_is_taken_and_the_bad_one_named(tmp_path, part):
    saved(tmp_path / "c", 1, 2, 3)
    shutil.rmtree(tmp_path / "c" / "3" / part)
    variables, meta, damages = checkpoint.load_model(
        tmp_path / "c", lambda meta: model_of(state_of(0))
    )
    assert meta["step"] == 2
    np.testing.assert_array_equal(
        variables["params"]["dense"]["kernel"], state_of(2)["params"]["dense"]["kernel"]
    )
    assert len(damages) == 1 and "3 is damaged" in str(damages[0])


@pytest.mark.parametrize(("before", "after"), [('"name": "a"', '"name": "b"'), ("checksum", "x")])
def test_a_changed_note_is_found(tmp_path, before, after):
    """It is still JSON, so that nobody else would notice."""
    saved(tmp_path / "c", 1, 2)
    path = tmp_path / "c" / "2" / "meta" / "metadata"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    _, meta, damages = checkpoint.load_model(tmp_path / "c", lambda meta: model_of(state_of(0)))
    assert meta["step"] == 1
    assert "2 is damaged: meta is not what was saved" in str(damages[0])


def test_no_whole_step_is_an_error_that_names_them_all(tmp_path):
    saved(tmp_path / "c", 1, 2)
    for step in ("1", "2"):
        shutil.rmtree(tmp_path / "c" / step / "model")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*2 is damaged.*1 is damaged"):
        checkpoint.load_model(tmp_path / "c", lambda meta: model_of(state_of(0)))


def test_reading_leaves_what_is_being_written_alone(tmp_path):
    saved(tmp_path / "c", 1)
    unfinished = tmp_path / "c" / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    checkpoint.load_model(tmp_path / "c", lambda meta: model_of(state_of(0)))
    assert unfinished.is_dir()


def test_a_deleted_step_can_be_written_again(tmp_path):
    saved(tmp_path / "c", 1, 2)
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.delete(2)
    checkpoints.reload()
    assert checkpoints.steps() == [1]
    state = state_of(5)
    checkpoints.save(2, state, model_of(state), {})
    checkpoints.close()
    assert [path.name for path in sorted((tmp_path / "c").glob("[12]"))] == ["1", "2"]


def test_a_model_loads_from_the_work_directory_and_from_the_folder_itself(tmp_path):
    saved(tmp_path / "run" / "checkpoints", 1, 2)
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        variables, meta, damages = checkpoint.load_model(folder, lambda meta: model_of(state_of(0)))
        assert damages == []
        np.testing.assert_array_equal(
            variables["params"]["dense"]["kernel"], state_of(2)["params"]["dense"]["kernel"]
        )
        assert meta["step"] == 2


def test_a_model_loads_from_the_folder_of_one_step_which_must_be_whole(tmp_path):
    saved(tmp_path / "run" / "checkpoints", 1, 2)
    folder = tmp_path / "run" / "checkpoints" / "1"
    variables, meta, damages = checkpoint.load_model(folder, lambda meta: model_of(state_of(0)))
    assert (meta["step"], damages) == (1, [])
    np.testing.assert_array_equal(
        variables["params"]["dense"]["kernel"], state_of(1)["params"]["dense"]["kernel"]
    )
    shutil.rmtree(folder / "model")
    with pytest.raises(DamagedError, match="1 is damaged: model cannot be read"):
        checkpoint.load_model(folder, lambda meta: model_of(state_of(0)))


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no checkpoint; give the work directory"):
        checkpoint.load_model(tmp_path, lambda saved: {})
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint.load_model(tmp_path / "absent", lambda saved: {})


def test_what_another_process_cannot_read_is_passed_over_here(tmp_path):
    saved(tmp_path / "c", 1, 2)
    asked = []

    def everywhere(whole: bool) -> bool:
        asked.append(whole)
        return whole and len(asked) > 1  # the other one cannot read step 2

    checkpoints = Checkpoints(tmp_path / "c", read_only=True)
    state, meta, damages = checkpoints.newest("state", lambda meta: state_of(0), everywhere)
    checkpoints.close()
    assert meta["step"] == 1 and int(state["step"]) == 1 and asked == [True, True]
    assert "another process cannot read it" in str(damages[0])
