"""Networks under weights made by a rule, whose outputs in PyTorch are stored.

The rule and the names are in the SOURCE.txt beside the outputs; the keys with their shapes are
lists in the reference folder beside the data.
"""

import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax.models import weights


def rule(key, shape):
    generator = np.random.default_rng(zlib.crc32(key.encode()))
    normal = generator.standard_normal(shape)
    if key.endswith("running_var"):
        array = generator.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        array = 0.1 * normal
    elif len(shape) == 1:
        array = generator.uniform(0.4, 0.8, shape)
    else:
        array = normal * np.sqrt(1.6 / np.prod(shape[1:]))
    return array.astype(np.float32)


def listed_keys(path, heading):
    """Return key -> shape of the section of a list that starts with `heading`."""
    shapes, inside = {}, heading == ""
    for line in path.read_text().splitlines():
        if line.startswith("##"):
            inside = heading in line
        found = re.fullmatch(r"(\S+) \(([\d, ]*)\)", line.strip())
        if inside and found:
            shapes[found[1]] = tuple(int(n) for n in found[2].split(",") if n.strip())
    return shapes


def zeros(module, height, width):
    """Return variables of the right shapes without running an initialisation."""
    image = jnp.zeros((1, height, width, 3))
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def filled(module, height, width):
    """Return variables made by the rule; an initialisation would compile for seconds."""
    empty, names = zeros(module, height, width), weights.alphapose_name
    named = {key: rule(key, one.shape) for key, one in weights.to_torch(empty, names).items()}
    return weights.from_torch(named, empty, names)[0]


def parameters(module, height, width):
    """Return the number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(zeros(module, height, width)["params"]))


def check(module, names, data_root, name, key_list, heading):
    """Compare with the stored output; return the names that found no place, with the reason."""
    stored = np.load(data_root / f"golden/architectures/{name}.npz")["output"]
    height, width = 4 * stored.shape[-2], 4 * stored.shape[-1]
    keys = listed_keys(data_root.parent / "reference" / key_list, heading)
    named = {key: rule(key, shape) for key, shape in keys.items()}
    variables, report = weights.from_torch(named, zeros(module, height, width), names)
    assert not report.missing
    image = np.random.default_rng(0).random((1, height, width, 3)).astype(np.float32)
    output = jax.jit(lambda v, x: module.apply(v, x, train=False))(variables, image)
    assert output.dtype == jnp.float32
    output = np.asarray(output).transpose(1, 0, 4, 2, 3).reshape(stored.shape)
    assert np.abs(output - stored).max() <= 1e-4 * np.abs(stored).max()
    back = weights.to_torch(variables, names)
    assert back.keys() == set(report.loaded)
    assert all(np.array_equal(back[key], named[key]) for key in back)
    return {key: why for key, why in report.left_out.items() if not key.endswith(weights.COUNTER)}
