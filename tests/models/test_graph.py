"""Networks from a graph file: the layers against plain forms, the file, training on."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rmpe_jax.config import ModelConfig, STNConfig
from rmpe_jax.models import graph
from rmpe_jax.models.build import build
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.models.variables import initialise, shapes
from rmpe_jax.predict import load
from rmpe_jax.training.loop import train
from tests import small

# Heat-maps of a quarter of the size, with every kind of layer and a shuffle of channels.
GRAPH = """7767517
15 16
Input input 0 1 image
Convolution a 1 1 image a 0=8 1=3 3=2 4=1 5=1 9=1
Split s 1 2 a a1 a2
ConvolutionDepthWise b 1 1 a1 b 0=8 1=3 3=2 4=1 5=1 7=8
Slice h 1 2 b b1 b2 -23300=2,-233,-233
Concat c 2 1 b2 b1 c
Reshape r 1 1 c r 0={pixels} 1=4 2=2
Permute p 1 1 r p 0=2
Reshape q 1 1 p q 0={width} 1={height} 2=8
Interp u 1 1 q u 0=2 3={height2} 4={width2} 6=1
BinaryOp plus 2 1 u a2 plus 0=0
ReLU relu 1 1 plus relu
ConvolutionDepthWise d 1 1 relu d 0=8 1=3 3=2 4=1 5=1 7=8
Interp same 1 1 d same 0=1 1=1
Convolution last 1 1 same last 0={joints} 1=1 5=1
"""
SIDE = 32


def written(folder: Path, *, joints: int = 17, side: int = SIDE) -> Path:
    """Write a graph with random weights."""
    small_side, middle = side // 4, side // 2
    text = GRAPH.format(
        pixels=small_side**2,
        height=small_side,
        width=small_side,
        height2=middle,
        width2=middle,
        joints=joints,
    )
    path = folder / "net.param"
    path.write_text(text)
    generator = np.random.default_rng(0)
    shaped = {"a": (8, 3, 3, 3), "b": (8, 1, 3, 3), "d": (8, 1, 3, 3), "last": (joints, 8, 1, 1)}
    arrays = {}
    for name, shape in shaped.items():
        arrays[f"{name}.weight"] = generator.normal(size=shape).astype(np.float16) / 4
        arrays[f"{name}.bias"] = generator.normal(size=shape[0]).astype(np.float16) / 4
    np.savez(path.with_suffix(".npz"), **arrays)
    return path


def reference(path: Path, images: np.ndarray) -> np.ndarray:
    """The same network by hand, in PyTorch's layout."""
    with np.load(path.with_suffix(".npz")) as file:
        of = {name: file[name].astype(np.float32) for name in file.files}

    def convolve(x, name, stride, padding, groups=1):
        made = lax.conv_general_dilated(
            x,
            of[f"{name}.weight"],
            (stride, stride),
            [(padding, padding)] * 2,
            feature_group_count=groups,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )
        return made + of[f"{name}.bias"][None, :, None, None]

    x = images.transpose(0, 3, 1, 2)
    a = jax.nn.relu(convolve(x, "a", 2, 1))
    b = convolve(a, "b", 2, 1, 8)
    swapped = jnp.concatenate([b[:, 4:], b[:, :4]], 1)
    shuffled = swapped[:, jnp.array([0, 4, 1, 5, 2, 6, 3, 7])]
    old, new = b.shape[2], a.shape[2]
    places = np.linspace(0, old - 1, new)
    shares = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old))).astype(np.float32)
    enlarged = jnp.einsum("oh,nchw,pw->ncop", shares, shuffled, shares)
    d = convolve(jax.nn.relu(enlarged + a), "d", 2, 1, 8)
    return np.asarray(convolve(d, "last", 1, 0)).transpose(0, 2, 3, 1)


def test_a_graph_is_what_its_layers_say(tmp_path):
    path = written(tmp_path)
    read = graph.read(path)
    assert read.joints == 17 and hash(read) == hash(graph.read(path))
    images = np.random.default_rng(1).uniform(size=(2, SIDE, SIDE, 3))
    images = jnp.asarray(images, jnp.float32)
    found = graph.heatmaps(graph.parameters(path), images, graph=read, normalise="none")
    np.testing.assert_allclose(found, reference(path, images), atol=1e-5)


def test_its_weights_lie_in_the_module(tmp_path):
    path = written(tmp_path)
    model = ModelConfig(family="graph", graph=str(path), input_height=SIDE, input_width=SIDE)
    module = build(model, 17)
    first = initialise(jax.random.key(0), module, model)
    given = {"params": graph.parameters(path), "batch_stats": {}}
    expected = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), given)
    assert jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), first) == expected
    assert jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), shapes(module, model)) == (
        expected
    )
    images = jnp.full((1, SIDE, SIDE, 3), 0.5)
    maps = module.apply(given, images, train=False)
    assert maps.shape == (1, 1, SIDE // 4, SIDE // 4, 17)


def test_it_learns_with_a_transformer_and_is_loaded_again(tmp_path):
    path = written(tmp_path)
    plain = small.config(tmp_path)
    model = ModelConfig(
        family="graph",
        graph=str(path),
        input_height=SIDE,
        input_width=SIDE,
        stn=STNConfig("affine", "pose"),
    )
    config = replace(plain, model=model, train=replace(plain.train, steps=2))
    result = train(config)
    model = load(config.workdir)
    assert isinstance(model.module, RMPE) and result["images"] == 3
    learned, given = model.variables["params"]["sppe"], graph.parameters(path)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), learned, given)
    assert 0 < max(jax.tree.leaves(moved)) < 0.1, "it began with the weights of the file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("7767517", "1"), "does not begin with 7767517"),
        (("ReLU relu", "Softmax relu"), "layers of the kind Softmax; known are Input, Conv"),
        (("Split s 1 2 a a1 a2", "Split s"), "a line that is no layer"),
        (("plus 0=0", "plus 0=2"), "BinaryOp plus has 0=2, which is not understood; allowed are 0"),
        (("5=1 9=1", "5=1 9=2"), "Convolution a has 9=2, .* allowed are 0, 1"),
        (("3=2 4=1 5=1 9=1", "3=2 4=1 5=1 9=1 14=0"), "has 14=0, which is not understood"),
        (("-23300=2,-233,-233", "-23300=2,3,5"), "Slice h has -23300=2,3,5"),
        (("ReLU relu 1 1 plus relu\n", ""), "has 14 layers and tells '15 16': it is not whole"),
        (("ReLU relu 1 1 plus", "ReLU relu 1 1 minus"), "relu takes minus, which nothing puts out"),
        (("Convolution last", "Convolution lost"), "has no weight or bias of lost"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(tmp_path, change, message):
    path = written(tmp_path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ValueError, match=message):
        graph.read(path)


def test_wrong_settings_say_what_to_type(tmp_path):
    path = written(tmp_path, joints=5)
    model = ModelConfig(family="graph", graph=str(path), input_height=SIDE, input_width=SIDE)
    with pytest.raises(ValueError, match="finds 5 joints, and 17 are to be found"):
        build(model, 17)
    with pytest.raises(ValueError, match=r"model.graph is 'net.txt'; a .param file"):
        build(replace(model, graph="net.txt"), 17)
    with pytest.raises(ValueError, match="arithmetic is float32"):
        build(replace(model, dtype="bfloat16"), 5)
    with pytest.raises(ValueError, match="wants 64 pixels and 16 x 16 came: the graph is for one"):
        initialise(
            jax.random.key(0),
            build(replace(model, input_height=64, input_width=64), 5),
            replace(model, input_height=64, input_width=64),
        )
