from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.geometry import affine, heatmaps
from rmpe_jax.inspection import branches
from rmpe_jax.inspection.example import example
from rmpe_jax.inspection.stand_in import with_identity
from rmpe_jax.inspection.views import view
from rmpe_jax.losses import heatmap_loss
from tests.inspection import toy


def plainly(model):
    """The model without its mirrored look, and with a decoder that no rounding error moves."""
    evaluation = replace(model.config.evaluation, flip=False, decode="expectation")
    return replace(model, config=replace(model.config, evaluation=evaluation))


@pytest.mark.parametrize("model", [toy.model(), toy.plain()], ids=["transformer", "none"])
def test_the_pose_is_that_of_prediction(model):
    model = plainly(model)
    chosen = toy.subject()
    poses = model(chosen.image, boxes=[chosen.box_px])
    looked = model if model.config.model.stn.form == "affine" else with_identity(model)
    person = example(looked, chosen.image, chosen.box_px)
    theta = branches.runner(looked, person, None).theta()
    seen = view(looked, person, theta=theta)
    joints_px = affine.to_pixels(np.asarray(seen.joints_image), *chosen.image.shape[:2])
    np.testing.assert_allclose(joints_px, poses.joints_px[0], atol=0.02)
    np.testing.assert_allclose(seen.confidence, poses.confidence[0], atol=1e-4)


def test_the_heatmaps_are_those_that_the_losses_compare():
    person, theta = toy.person(), jnp.asarray(toy.THETA, jnp.float32)
    seen = view(toy.model(), person, toy.parallel(), theta=theta)
    main, parallel = branches.runner(toy.model(), person, toy.parallel()).losses(theta)
    straight = affine.apply(affine.invert(person.theta_star), person.joints_crop)
    inside = (jnp.abs(straight) <= 1).all(axis=-1)
    cases = (
        (seen.heatmaps_crop, person.joints_crop, person.weight, main[-1]),
        (seen.heatmaps_parallel, straight, person.weight * inside, parallel[-1] / 0.7),
    )
    for maps, joints, weight, loss in cases:
        targets = heatmaps.encode(joints, *maps.shape[:2], 2.0)
        shown = heatmap_loss(maps[None, None], targets[None], weight[None])
        assert float(shown) == pytest.approx(float(loss), rel=1e-5)


def test_under_the_identity_nothing_is_moved():
    seen = view(toy.model(), toy.person(), theta=jnp.eye(2, 3))
    np.testing.assert_allclose(seen.straight, seen.crop, atol=1e-6)
    np.testing.assert_allclose(seen.heatmaps_crop, seen.heatmaps_straight, atol=1e-6)
    assert seen.heatmaps_parallel is None
