import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax import checkpoint
from rmpe_jax.checkpoint import CheckpointError, Checkpoints, DamagedError


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
    assert checkpoints.steps() == [1]
    state = state_of(5)
    checkpoints.save(2, state, model_of(state), {})
    checkpoints.close()
    assert [path.name for path in sorted((tmp_path / "c").glob("[12]"))] == ["1", "2"]


def test_checksums_see_a_single_bit():
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    other = kernel.copy()
    other.view(np.uint32)[1, 2] ^= 1
    before, after = checkpoint.describe({"k": kernel}), checkpoint.describe({"k": other})
    assert checkpoint.different(before, after) == ["k"]
    assert checkpoint.different(before, checkpoint.describe({"k": kernel.copy()})) == []


def test_a_model_loads_from_the_work_directory_and_from_the_folder_itself(tmp_path):
    saved(tmp_path / "run" / "checkpoints", 1, 2)
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        variables, meta, damages = checkpoint.load_model(folder, lambda meta: model_of(state_of(0)))
        assert damages == []
        np.testing.assert_array_equal(
            variables["params"]["dense"]["kernel"], state_of(2)["params"]["dense"]["kernel"]
        )
        assert meta["step"] == 2


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no checkpoint; give the work directory"):
        checkpoint.load_model(tmp_path, lambda saved: {})
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint.load_model(tmp_path / "absent", lambda saved: {})
