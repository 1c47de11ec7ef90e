import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax import records


def poses(people=2, joints=3):
    return records.Poses(
        joints_px=jnp.ones((people, joints, 2)),
        confidence=jnp.ones((people, joints)),
        peak=jnp.ones((people, joints)),
        boxes_px=jnp.ones((people, 4)),
        box_score=jnp.ones(people),
        score=jnp.ones(people),
        valid=jnp.ones(people, bool),
    )


def test_records_pass_through_transformations():
    doubled = jax.jit(jax.vmap(lambda pose: pose._replace(score=2 * pose.score)))(poses())
    assert isinstance(doubled, records.Poses)
    np.testing.assert_array_equal(doubled.score, [2, 2])


def test_records_map_to_anything():
    shapes = jax.tree.map(jnp.shape, poses())
    assert shapes.joints_px == (2, 3, 2) and shapes.valid == (2,)
    assert jax.tree.map(lambda leaf: None, poses()).score is None


@pytest.mark.parametrize("array", [np.zeros(3), jnp.zeros(3)])
def test_an_array_is_the_hosts_or_the_devices(array):
    assert isinstance(array, records.Array)


def test_every_frame_is_in_a_name():
    for record in (records.Persons, records.Batch, records.Detections, records.Poses):
        for field in record._fields:
            if field.startswith(("joints", "boxes")):
                assert field.endswith(("_px", "_crop"))
