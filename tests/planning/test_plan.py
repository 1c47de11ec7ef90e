from contextlib import closing
from dataclasses import replace

import jax
import pytest
from rich.console import Console

from rmpe_jax.config import DevicesConfig, ModelConfig, StageConfig, STNConfig
from rmpe_jax.data import releases
from rmpe_jax.data.dataset import expected_joints, prepare
from rmpe_jax.models.variables import shapes
from rmpe_jax.planning import plan as planning
from rmpe_jax.planning.plan import input_shapes, laid_out, plan, stored
from rmpe_jax.planning.pod import Chip, here, pod
from rmpe_jax.planning.table import table
from rmpe_jax.training.detector_task import detector_task
from rmpe_jax.training.pose_task import pose_task
from rmpe_jax.training.sharding import layout
from tests import small


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = small.config(tmp_path_factory.mktemp("plan"))
    model = replace(config.model, input_height=32, input_width=32, head_width=8)
    return replace(config, devices=DevicesConfig(), model=model)


@pytest.fixture(scope="module")
def made(config):
    told = []
    return plan(config, here(), say=told.append), told


def pod_of(memory):
    """The devices of this machine, each with so many bytes for a program."""
    mine = here()
    return mine._replace(chip=Chip(round(memory) + planning.RESERVED_BYTES, 1e12, 1e11))


def test_what_is_planned_is_what_a_run_has(config, tmp_path):
    """Inputs and state have the shapes and types of those of the real run."""
    config = replace(config, train=replace(config.train, batch_size=8))
    devices = layout(config.devices, 8)
    task = pose_task(config, tmp_path, devices, Console(quiet=True))
    with closing(task.batches(0)) as batches:
        alike(input_shapes(config, 8), task.inputs(next(batches)))
    run = laid_out(config, here())
    variables = shapes(task.module, config.model)
    assert jax.tree.structure(run.state.params) == jax.tree.structure(variables["params"])


def test_a_detector_is_planned_as_it_runs(config, tmp_path):
    model = ModelConfig(family="detector", depth=10, head_width=8, input_height=64, input_width=64)
    config = replace(config, model=model)
    task = detector_task(config, tmp_path, layout(DevicesConfig(count=1), 4), Console(quiet=True))
    with closing(task.batches(0)) as batches:
        alike(input_shapes(config, 4), task.inputs(next(batches)))


def alike(shapes, arrays):
    for expected, array in zip(jax.tree.leaves(shapes), jax.tree.leaves(arrays), strict=True):
        assert expected.shape == array.shape
        assert expected.dtype == jax.dtypes.canonicalize_dtype(array.dtype)


def test_a_line_through_two_programs_finds_the_largest_batch(config, made):
    one, two = made[0]["compiled"][:2]
    assert two["per_chip"] == 2 * one["per_chip"]
    assert two["flops"] == pytest.approx(2 * one["flops"], rel=0.01)
    line = made[0]["memory_line"]
    room = line["always"] + 37.5 * line["a_person"]
    found = plan(config, pod_of(room), say=lambda _: None)
    # Rounding inside the compiler bends the line a little.
    assert 33 <= found["largest_batch_per_chip"] <= 42
    last = found["compiled"][-1]
    assert last["fits"] and last["total"] <= room
    assert f"--train.batch-size {4 * found['largest_batch_per_chip']}" in table(found)


def test_one_size_may_be_asked_for(config):
    accumulated = replace(config, devices=DevicesConfig(accumulate=2))
    with pytest.raises(ValueError, match="multiple of 2"):
        plan(accumulated, here(), per_chip=3, say=lambda _: None)
    found = plan(accumulated, here(), per_chip=2, say=lambda _: None)
    assert [each["per_chip"] for each in found["compiled"]] == [2]
    assert "activations and temporaries" in table(found)


def test_what_does_not_fit_is_said(config, made):
    least = made[0]["memory_line"]["always"]
    found = plan(config, pod_of(0.9 * least), say=lambda _: None)
    assert found["largest_batch_per_chip"] == 0
    assert "--train.remat blocks" in table(found)


def test_the_table_has_every_figure(made):
    text = table(made[0])
    for word in ("parameters", "optimiser", "activations", "GFLOPs", "all-reduce", "**total**"):
        assert word in text
    assert len(made[1]) == len(made[0]["compiled"])
    assert "compiled in" in made[1][0]


def test_pieces_take_less_room_than_the_whole(config):
    cut = replace(config, devices=DevicesConfig(parameters="sharded"))
    whole, pieces = (stored(laid_out(each, here()).state.params) for each in (config, cut))
    assert pieces < 0.35 * whole
    variables = jax.tree.leaves(laid_out(config, here()).state.params)
    assert whole == 4 * sum(leaf.size for leaf in variables)


def test_the_parallel_sppe_may_be_there_described_or_an_earlier_stage(config):
    affine = replace(config.model, stn=STNConfig("affine", "small"))
    missing = replace(config, model=affine, train=replace(config.train, parallel="nowhere"))
    with pytest.raises(ValueError, match="--parallel-config CONFIG.py"):
        laid_out(missing, here())
    run = laid_out(missing, here(), parallel=config)
    assert stored(run.fixed) > 0
    stages = (
        StageConfig("sppe", steps=2, learning_rate=1e-3, transformer=False),
        StageConfig("sstn", steps=2, learning_rate=1e-4),
    )
    staged = replace(config, model=affine, stages=stages)
    assert stored(laid_out(staged, here()).fixed) == stored(run.fixed)
    larger = replace(config, model=replace(config.model, input_height=64))
    with pytest.raises(ValueError, match="crops of 64 x 32"):
        laid_out(missing, here(), parallel=larger)


def test_pmap_is_refused(config):
    with pytest.raises(ValueError, match="--devices.parallel shard_map"):
        laid_out(replace(config, devices=DevicesConfig(parallel="pmap")), here())


@pytest.mark.parametrize("topology", ["v5e", "4x4", "v5e:4x4x4x4", "here:2"])
def test_a_topology_says_generation_and_shape(topology):
    with pytest.raises(ValueError, match="v5e:16x16"):
        pod(topology)


def test_a_slice_that_nobody_builds_is_refused():
    pytest.importorskip("libtpu", reason="pip install 'rmpe_jax[tpu]' brings the TPU compiler")
    with pytest.raises(ValueError, match="no such slice"):
        pod("v5e:3x7")


def test_compiles_for_a_pod_that_is_not_there(config):
    config = replace(config, model=replace(config.model, depth=10))
    pytest.importorskip("libtpu", reason="pip install 'rmpe_jax[tpu]' brings the TPU compiler")
    run = laid_out(config, pod("v5e:4x4"))
    found = planning.compiled(run, 4, lambda _: None)
    assert found.fits and found.flops > 0 and found.moved > 0
    reduced = {each.kind: each for each in found.collectives}["all-reduce"]
    sent = sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves((run.state.params, run.state.batch_stats))
    )
    # Gradient and batch statistics, less what has no gradient, and a few numbers of the step.
    assert 0.99 * sent <= reduced.bytes <= 1.01 * sent


def test_the_joints_of_a_set_are_known_before_it_is_read(data_root, config):
    coco = data_root / "coco_pose" / "annotations" / "person_keypoints_val.json"
    for source, file in (("coco", coco), ("lsp", data_root / "lsp" / "joints.mat")):
        read = releases.RELEASES[source].read(file, "validation")
        assert read.skeleton == expected_joints(replace(config.data, source=source))
    assert prepare(config.data, "train").skeleton == expected_joints(config.data)
