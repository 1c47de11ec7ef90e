import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax.models import weights
from rmpe_jax.models.simple_baseline import SimpleBaseline
from tests.models import golden


def test_equals_pytorchs_output_and_takes_every_weight(data_root):
    module = SimpleBaseline(17, depth=50, normalise="none")
    left_out = golden.check(
        module,
        weights.alphapose_name,
        data_root,
        "simplebaseline_r50_17",
        "alphapose_state_dict_keys.txt",
        "SimplePose",
    )
    assert not left_out


def test_has_the_papers_number_of_parameters():
    assert golden.parameters(SimpleBaseline(17, depth=50), 64, 64) == 33_999_697


def test_input_is_standardised_inside():
    images = jnp.full((1, 32, 32, 3), 0.5)
    plain = SimpleBaseline(2, depth=18, width=8, normalise="none")
    variables = golden.filled(plain, 32, 32)
    by_hand = (0.5 - jnp.asarray([0.485, 0.456, 0.406])) / jnp.asarray([0.229, 0.224, 0.225])
    by_hand = jnp.broadcast_to(by_hand[None, None, None], images.shape)
    run = jax.jit(lambda v, x: plain.apply(v, x, train=False))
    inside = plain.clone(normalise="imagenet")
    standardised = jax.jit(lambda v, x: inside.apply(v, x, train=False))(variables, images)
    np.testing.assert_allclose(standardised, run(variables, by_hand), rtol=1e-4, atol=1e-4)
    assert jnp.abs(standardised - run(variables, images)).max() > 0.01
