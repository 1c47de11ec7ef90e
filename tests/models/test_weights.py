import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from rmpe_jax.models import weights
from rmpe_jax.models.hourglass import StackedHourglass
from rmpe_jax.models.pyramid import PyramidPose
from rmpe_jax.models.simple_baseline import SimpleBaseline
from tests.models import golden


@pytest.fixture(scope="module")
def pyramid():
    return golden.zeros(PyramidPose(2, depth=18, stages=3, width=4), 32, 32)


def test_paths_become_pytorchs_keys():
    block = ("trunk", "layer1_0")
    assert weights.torchvision_name(("trunk", "conv1", "kernel")) == "conv1.weight"
    assert weights.torchvision_name((*block, "bn2", "var")) == "layer1.0.bn2.running_var"
    assert weights.torchvision_name((*block, "downsample_1", "scale")) == (
        "layer1.0.downsample.1.weight"
    )
    assert weights.torchvision_name(("lateral1", "kernel")) is None
    assert weights.alphapose_name((*block, "se", "fc_0", "bias")) == "preact.layer1.0.se.fc.0.bias"
    assert weights.alphapose_name(("deconv_layers_3", "deconv_kernel")) == "deconv_layers.3.weight"
    assert weights.hourglass_name(("pre_1", "skip_layer", "kernel")) == (
        "pre.1.skip_layer.conv.weight"
    )
    assert weights.hourglass_name(("merge_preds_0", "bias")) == "merge_preds.0.conv.conv.bias"


def test_imagenet_weights_fill_a_trunk_of_three_stages(data_root, pyramid):
    path = data_root / "weights/resnet18_imagenet_layers1to3.npz"
    loaded, report = weights.load_trunk(pyramid, path)
    trunk = len(jax.tree.leaves([pyramid[part]["trunk"] for part in pyramid]))
    assert len(report.loaded) == trunk and not report.missing
    stored = np.load(path)["conv1.weight"]
    kernel = loaded["params"]["trunk"]["conv1"]["kernel"]
    np.testing.assert_array_equal(kernel, stored.transpose(2, 3, 1, 0).astype(np.float32))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(loaded))
    assert loaded["batch_stats"]["trunk"]["bn1"]["var"].min() > 0
    assert not loaded["params"]["lateral1"]["kernel"].any()
    assert not pyramid["params"]["trunk"]["conv1"]["kernel"].any(), "the argument was changed"


def test_the_report_names_what_was_not_loaded_and_why(tmp_path, pyramid):
    stem = np.ones((64, 3, 7, 7), np.float16)
    path = tmp_path / "a.npz"
    named = {"conv1.weight": stem, "bn1.weight": np.ones(8, np.float32), "fc.bias": np.ones(3)}
    np.savez(path, **named, **{"bn1.num_batches_tracked": np.asarray(3)})
    loaded, report = weights.load_trunk(pyramid, path)
    assert report.loaded == ("conv1.weight",)
    assert report.left_out == {
        "bn1.weight": "its shape is (8,), the network's (64,)",
        "fc.bias": "the network has no such layer",
        "bn1.num_batches_tracked": "a counter, not a weight",
    }
    assert "bn1.weight" in report.missing and "layer1.0.conv1.weight" in report.missing
    text = str(report)
    assert "loaded 1 weights" in text
    assert "left out fc.bias: the network has no such layer" in text
    assert "not in the file, kept as it was: bn1.bias" in text
    assert loaded["params"]["trunk"]["conv1"]["kernel"].all()


def test_a_prefix_of_the_trunk_is_seen_through(tmp_path, pyramid):
    path = tmp_path / "a.safetensors"
    save_file({"module.preact.conv1.weight": np.ones((64, 3, 7, 7), np.float32)}, path)
    assert weights.load_trunk(pyramid, path)[1].loaded == ("conv1.weight",)


def test_a_file_of_another_network_is_refused(tmp_path, pyramid):
    path = tmp_path / "a.npz"
    np.savez(path, stem_kernel=np.ones((3, 3, 3, 8)))
    with pytest.raises(ValueError, match="it has stem_kernel, .* torchvision's names has conv1"):
        weights.load_trunk(pyramid, path)


def test_a_network_without_a_trunk_is_refused(tmp_path):
    variables = golden.zeros(StackedHourglass(2, 1, 4), 64, 64)
    with pytest.raises(ValueError, match="no ResNet trunk .* leave model.trunk_weights unset"):
        weights.load_trunk(variables, tmp_path / "a.npz")


def test_weights_go_to_pytorch_and_back():
    module = SimpleBaseline(2, depth=18, width=4)
    variables = golden.filled(module, 32, 32)
    named = weights.to_torch(variables, weights.alphapose_name)
    assert named["deconv_layers.0.weight"].shape == (512, 4, 4, 4)
    back, report = weights.from_torch(named, golden.zeros(module, 32, 32), weights.alphapose_name)
    assert not report.left_out and not report.missing
    jax.tree.map(np.testing.assert_array_equal, back, variables)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_floats_are_read_as_float32_and_counters_as_they_are(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    named = {"half": np.ones(2, np.float16), "double": np.ones(2), "count": np.arange(2)}
    if suffix == ".npz":
        np.savez(path, **named)
    else:
        save_file(named | {"brief": np.ones(2, ml_dtypes.bfloat16)}, path)
    types = {name: array.dtype for name, array in weights.read(path).items()}
    assert types.pop("count") == np.int64
    assert set(types.values()) == {np.dtype(np.float32)}


def test_unreadable_files_are_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="'.h5'; weights are read from .npz, .safetensors"):
        weights.read(tmp_path / "a.h5")
    with pytest.raises(ValueError, match="there is no file .*a.npz"):
        weights.read(tmp_path / "a.npz")
    np.savez(tmp_path / "objects.npz", w=np.asarray([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        weights.read(tmp_path / "objects.npz")
    (tmp_path / "a.safetensors").write_bytes(b"not one")
    with pytest.raises(ValueError, match="no safetensors file"):
        weights.read(tmp_path / "a.safetensors")
