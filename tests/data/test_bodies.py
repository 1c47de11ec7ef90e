import numpy as np

from rmpe_jax.data import bodies
from rmpe_jax.data.bodies import Body

SPREAD = np.array([[10.0, 20, 2], [30, 60, 1]])
NOTHING = np.zeros((2, 3))


def test_people_become_records_with_running_ids():
    people = [Body(SPREAD, head_size_px=7.0), Body(NOTHING, np.array([50.0, 70]), 0.5)]
    persons = bodies.persons(people, 5, 2)
    np.testing.assert_allclose(persons.boxes_px, [[8, 16, 32, 64], [0, 20, 100, 120]])
    np.testing.assert_allclose(persons.area, [0.53 * 24 * 48, 5300])
    np.testing.assert_array_equal(persons.joints_px, [SPREAD, NOTHING])
    assert persons.person_id.tolist() == [5, 6] and not persons.is_crowd.any()
    np.testing.assert_array_equal(persons.head_size_px, [7, np.nan])
    assert bodies.persons([], 1, 2).joints_px.shape == (0, 2, 3)


def test_another_box_serves_only_where_joints_and_centre_give_none():
    head = np.array([1.0, 2, 3, 4])
    assert Body(NOTHING, fallback_px=head).box_px.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(Body(SPREAD, fallback_px=head).box_px, [8, 16, 32, 64])
    assert Body(NOTHING).box_px is None


def test_a_group_reaches_around_all_centres_and_joints():
    placed = Body(SPREAD, np.array([100.0, 100]), 0.5)
    assert bodies.group_box([placed]) == [80, 80, 120, 120]
    assert bodies.group_box([placed, Body(SPREAD)]) == [10, 20, 120, 120]
    assert bodies.group_box([Body(NOTHING)]) is None


def test_files_called_by_numbers_have_these_as_ids():
    assert bodies.image_ids(["015601864.jpg", "7.jpg"]) == [15601864, 7]
    assert bodies.image_ids(["015601864.jpg", "im7.jpg"]) == [1, 2]
    assert bodies.image_ids(["a/07.jpg", "b/7.jpg"]) == [1, 2]
