"""The same step however a batch lies over the devices: against one device, by plain descent.

Adam would hide a gradient of the wrong size; SGD shows it.
"""

import dataclasses
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from rmpe_jax.config import Config, DevicesConfig, ModelConfig
from rmpe_jax.models.layers import Conv, ConvNormRelu
from rmpe_jax.models.localization import Theta
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.models.variables import initialise
from rmpe_jax.training.parallel import ParallelSPPE
from rmpe_jax.training.pose_lesson import PoseInputs, pose_lesson
from rmpe_jax.training.sharding import fetched, fetched_rows, layout, one_copy
from rmpe_jax.training.step import Learned, Lesson, start, train_step
from tests.training.test_step import JOINTS, a_batch

MODEL = ModelConfig(input_height=64, input_width=64)  # nothing is frozen
OFF = np.array([-0.043, 0.021, 0.037, -0.029, 0.051, -0.017], np.float32)
WAYS = {
    "jit": DevicesConfig(),
    "jit in pieces": DevicesConfig(parameters="sharded"),
    "pmap": DevicesConfig(parallel="pmap"),
    "shard_map": DevicesConfig(parallel="shard_map"),
}


class Tiny(nn.Module):
    """A pose network of three layers."""

    norm_axis: str | None = None

    @nn.compact
    def __call__(self, images, *, train):
        for number in range(2):
            layer = ConvNormRelu(8, 3, 2, norm_axis=self.norm_axis, name=f"conv{number}")
            images = layer(images, train=train)
        return Conv(JOINTS, 1, bias=True, name="last")(images)[None]


class TinyLocalization(nn.Module):
    """A localisation network of two layers."""

    norm_axis: str | None = None

    @nn.compact
    def __call__(self, crops, *, train):
        x = ConvNormRelu(8, 3, 4, norm_axis=self.norm_axis, name="conv")(crops, train=train)
        return Theta("affine", name="theta")(x.mean(axis=(1, 2)))


def batches(steps: int, size: int = 8):
    """Batches whose people have different numbers of labelled joints, some of them none.

    Pictures are smooth: in noise the gradient of theta hangs on how a coordinate is rounded.
    """
    for step in range(steps):
        batch = a_batch(step, size)
        weight = np.random.default_rng(step).random((size, JOINTS)) < 0.5
        weight[:2] = False  # all people of the first of four devices
        smooth = [
            cv2.resize(crop[:4, :4], (64, 64), interpolation=cv2.INTER_CUBIC) for crop in batch.crop
        ]
        yield PoseInputs(batch._replace(crop=np.stack(smooth), weight=weight.astype(np.float32)))


def run(devices: DevicesConfig, steps: int = 5, size: int = 8):
    """Return (state, figures of each step, rows of the last) after plain descent."""
    places = layout(devices, size)
    axis = places.norm_axis
    module = RMPE(Tiny(axis), TinyLocalization(axis), "affine", logits=False)
    parallel = ParallelSPPE(partial(Tiny().apply, train=False), "squared", 2.0)
    frozen = initialise(jax.random.key(5), Tiny(), MODEL)
    optimiser = optax.sgd(0.03)
    variables = initialise(jax.random.key(0), module, MODEL)
    # Away from the identity, where the gradient jumps: there rounding would decide it.
    bias = variables["params"]["localization"]["theta"]["dense"]["bias"]
    variables["params"]["localization"]["theta"]["dense"]["bias"] = bias + OFF
    state = places.place(start(jax.random.key(1), variables, optimiser, ema=0.9))
    lesson = pose_lesson(module, Config(model=MODEL), parallel, groups=places.norm_groups)
    step = partial(train_step, lesson=lesson, optimiser=optimiser, ema=0.9)
    update = places.compiled(step, state)
    state, frozen = places.to_step(state), places.place_fixed(frozen)
    figures, rows = [], {}
    for inputs in batches(steps, size):
        state, told, rows = update(state, places.place_batch(inputs), frozen)
        figures.append(fetched(told))
    return places.from_step(state), figures, fetched_rows(rows)


def assert_alike(got, wanted, tolerance=1e-5):
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(one_copy(got)),
        jax.tree.leaves(one_copy(wanted)),
        strict=True,
    ):
        np.testing.assert_allclose(
            one, other, atol=tolerance, rtol=tolerance, err_msg=jax.tree_util.keystr(path)
        )


@pytest.fixture(scope="module")
def one_device():
    return run(DevicesConfig(count=1, norm_groups=1))


@pytest.fixture(scope="module")
def by_groups():
    """Four groups of batch norm on one device."""
    return run(DevicesConfig(count=1, norm_groups=4))


@pytest.mark.parametrize("way", WAYS)
def test_four_devices_learn_what_one_learns(way, one_device):
    state, figures, rows = run(dataclasses.replace(WAYS[way], norm_groups=1))
    for got, wanted in zip(figures, one_device[1], strict=True):
        assert got == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert_alike(state.params, one_device[0].params)
    assert_alike(state.average, one_device[0].average)
    assert len(rows["suspects"]) == 8


@pytest.mark.parametrize("way", WAYS)
def test_statistics_of_each_device_are_those_of_groups(way, by_groups, one_device):
    state, figures, _ = run(WAYS[way])
    assert_alike(state.params, by_groups[0].params)
    assert_alike(state.batch_stats, by_groups[0].batch_stats)
    assert figures[0]["loss"] != pytest.approx(one_device[1][0]["loss"], rel=1e-3)


@pytest.mark.parametrize("way", ["jit", "pmap"])
def test_parts_one_after_the_other_are_groups_too(way):
    """Each sample is a group of its own: eight groups, or four devices with two parts."""
    groups, _, _ = run(DevicesConfig(count=1, norm_groups=8), steps=3)
    parts, _, _ = run(dataclasses.replace(WAYS[way], accumulate=2), steps=3)
    assert_alike(parts.params, groups.params)


def count_numbers(numbers):
    return numbers.sum()


def learn_numbers(params, batch_stats, numbers, fixed, total):
    """The share of a weighted mean: gradient and figure are 1 for the whole batch."""
    share = numbers.sum() / total
    return Learned(
        jax.tree.map(lambda w: jnp.full_like(w, share), params),
        jax.tree.map(lambda seen: seen + len(numbers), batch_stats),
        {"share": share},
        {"number": numbers},
    )


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_shares_add_up_and_samples_keep_their_order(way, parts):
    places = layout(dataclasses.replace(WAYS[way], accumulate=parts), 16)
    rule = optax.sgd(1.0)
    variables = {"params": {"w": jnp.zeros((8, 256))}, "batch_stats": {"seen": jnp.zeros(())}}
    state = places.place(start(jax.random.key(0), variables, rule, ema=0.0))
    step = partial(train_step, lesson=Lesson(count_numbers, learn_numbers), optimiser=rule)
    update = places.compiled(step, state)
    numbers = np.arange(16, dtype=np.float32)
    state, figures, rows = update(places.to_step(state), places.place_batch(numbers), None)
    assert fetched(figures)["share"] == pytest.approx(1.0)
    np.testing.assert_allclose(one_copy(places.from_step(state).params)["w"], -1.0, rtol=1e-6)
    np.testing.assert_array_equal(fetched_rows(rows)["number"], numbers)
    seen = 16 if way.startswith("jit") else 4  # of the batch, by one program
    assert float(one_copy(places.from_step(state).batch_stats)["seen"]) == seen


def test_in_pieces_each_device_has_its_share():
    places = layout(DevicesConfig(parameters="sharded"), 4)
    params = {"kernel": jnp.zeros((3, 3, 17, 64)), "odd": jnp.zeros((1025, 1)), "b": jnp.zeros(64)}
    state = places.place(
        start(jax.random.key(0), {"params": params, "batch_stats": {}}, optax.adam(1.0), ema=0.9)
    )
    for tree in (state.params, state.optimiser[0].mu, state.average["params"]):
        sizes = {name: leaf.addressable_data(0).shape for name, leaf in tree.items()}
        assert sizes == {"kernel": (3, 3, 17, 16), "odd": (1025, 1), "b": (64,)}
    assert one_copy(state.params)["kernel"].shape == (3, 3, 17, 64)


def test_eight_devices_store_an_eighth_each(tmp_path):
    root = Path(__file__).parents[2]
    script, config = root / "experiments/benchmarks/fsdp.py", root / "configs/synthetic.py"
    out = tmp_path / "fsdp.json"
    subprocess.run([sys.executable, script, config, "--out", out], check=True, timeout=120)
    stored = json.loads(out.read_text())["bytes"]["synthetic.py"]
    for part in ("parameters", "optimiser"):
        assert stored[part]["in_pieces"] <= stored[part]["whole"] / 7


@pytest.mark.parametrize(
    ("settings", "size", "message"),
    [
        ({"count": 9}, 8, "devices.count is 9, and there are 4 devices"),
        ({}, 6, r"4 devices.* multiple of 4: type --train.batch-size 8"),
        ({"accumulate": 3}, 16, "multiple of 12: type --train.batch-size 12"),
        ({"norm_groups": 3}, 4, "multiple of 12"),
        ({"parallel": "pmap", "norm_groups": 2}, 8, "where it is 1 or the number of devices, 4"),
        ({"parallel": "shard_map", "parameters": "sharded"}, 8, "need --devices.parallel jit"),
    ],
)
def test_what_cannot_be_cut_is_refused(settings, size, message):
    with pytest.raises(ValueError, match=message):
        layout(DevicesConfig(**settings), size)
