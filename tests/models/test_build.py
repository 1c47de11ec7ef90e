import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from rmpe_jax.config import ModelConfig
from rmpe_jax.models.build import build, input_multiple
from tests.models import golden

SMALL = ModelConfig(depth=18, stacks=2, features=8, head_width=8, trunk_stages=4)
FAMILIES = ["hourglass", "simple_baseline", "fastpose", "pyramid"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_networks_are_called_alike(family, dtype):
    model = replace(SMALL, family=family, dtype=dtype)
    module = build(model, 5)
    side = input_multiple(model)
    variables = golden.zeros(module, side, 2 * side)
    images = jnp.zeros((3, side, 2 * side, 3))
    out = jax.eval_shape(lambda v, x: module.apply(v, x, train=False), variables, images)
    stacks = 2 if family == "hourglass" else 1
    assert out.shape == (stacks, 3, side // 4, side // 2, 5)
    assert out.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_reach_the_network(family):
    model = replace(SMALL, family=family, normalise="none", dtype="bfloat16")
    model = model if family == "hourglass" else replace(model, frozen_stages=2, depth=34)
    module = build(model, 3)
    assert module.joints == 3 and module.normalise == "none" and module.dtype == jnp.bfloat16
    if family == "hourglass":
        assert (module.stacks, module.features) == (2, 8)
    else:
        assert (module.depth, module.frozen_stages) == (34, 2)
    if family == "pyramid":
        assert (module.width, module.stages) == (8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "vit"}, "'vit'; choose one of hourglass, simple_baseline"),
        ({"depth": 20}, "depth is 20; choose one of 10, 18, 34, 50"),
        ({"normalise": "caffe"}, "'caffe'; choose none or imagenet"),
        ({"dtype": "float16"}, "'float16'; choose float32 or bfloat16"),
        ({"trunk_stages": 1}, "trunk_stages is 1; choose 2, 3 or 4"),
        ({"family": "fastpose", "trunk_stages": 3}, "trunk_stages is 3; fastpose needs all 4"),
        ({"trunk_stages": 3, "frozen_stages": 4}, "frozen_stages is 4; choose 0 .* to 3"),
        ({"family": "hourglass", "frozen_stages": 1}, "frozen_stages is 1, but .* use 0"),
        ({"family": "fastpose", "stored_statistics": True}, "only the pyramid has it, not fastp"),
        ({"family": "hourglass", "stacks": 0}, "stacks is 0; .* at least 1"),
        ({"family": "hourglass", "features": 7}, "features is 7; use an even number"),
        ({"family": "hourglass", "input_height": 96}, "96; .* multiple of 64, such as 64 or 128"),
        ({"input_width": 100}, "input_width is 100; .* multiple of 32, such as 96 or 128"),
        ({"trunk_stages": 3, "input_width": 40}, "multiple of 16, such as 32 or 48"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    model = copy.copy(SMALL)
    for name, value in change.items():
        # Past the type checks of the tests, which users do not have.
        object.__setattr__(model, name, value)
    with pytest.raises(ValueError, match=message):
        build(model, 17)


def test_no_joints_are_refused():
    with pytest.raises(ValueError, match="joints is 0"):
        build(SMALL, 0)
