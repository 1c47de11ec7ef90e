from dataclasses import replace

import cv2
import numpy as np
import pytest

from rmpe_jax.data.images import ImageError
from rmpe_jax.demo import people
from rmpe_jax.geometry import boxes
from rmpe_jax.pose_nms import RMPE_MPII, NmsParameters, NmsSet
from rmpe_jax.records import Poses
from tests.demo import toys

ALL_ARE_ONE = NmsSet(NmsParameters(1.0, 100.0, 10.0, 1e-6), RMPE_MPII.options)


@pytest.fixture(scope="module")
def drawn():
    return people.of_drawing(toys.networks().model, 0)


def written(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def test_drawn_people_have_several_proposals_each_and_known_joints(drawn):
    count = len(drawn.annotated_px)
    assert count and int(drawn.poses.valid.sum()) == people.COPIES * count
    assert drawn.joints_px.shape == (count, 17, 3)
    sure = np.asarray(drawn.poses.valid)
    overlap = boxes.iou(drawn.annotated_px, np.asarray(drawn.poses.boxes_px)[sure])
    assert (overlap.max(axis=0) > 0.4).all()
    again = people.of_drawing(toys.networks().model, 0)
    np.testing.assert_array_equal(again.poses.joints_px, drawn.poses.joints_px)


def test_a_photograph_has_the_poses_of_its_proposals(tmp_path):
    given, rng = toys.networks(), np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 130, 3), dtype=np.uint8)
    found = people.of_file(given.model, given.detect, written(tmp_path / "two.png", image))
    assert found.name == "two.png" and len(found.annotated_px) == 0
    sure = np.asarray(found.poses.valid)
    np.testing.assert_array_equal(np.asarray(found.poses.boxes_px)[sure], toys.TWO_BOXES)
    alone = replace(given.model, nms=None)(image[..., ::-1], boxes=toys.TWO_BOXES)
    np.testing.assert_allclose(found.poses.joints_px[sure], alone.joints_px, atol=1e-4)


def test_rows_that_fill_up_are_nobodys(drawn):
    """Five proposals are computed as six."""
    five = [np.asarray(part)[:5] for part in drawn.poses]
    padded = people._padded(Poses(*five)._replace(valid=np.ones(5, bool)))
    assert padded.valid.tolist() == [True] * 5 + [False]
    assert len(people.rows(people.proposed(drawn._replace(poses=padded), 0.0))) == 5


def test_a_photograph_without_people_has_no_poses(tmp_path):
    given = toys.networks()
    black = np.zeros((120, 130, 3), np.uint8)
    found = people.of_file(given.model, given.detect, written(tmp_path / "black.png", black))
    poses = people.kept(people.proposed(found, 0.0), RMPE_MPII)
    assert not len(people.rows(poses))
    shown = people.picture(found, poses, given.model.skeleton, numbered=True)
    assert shown.startswith("data:image/webp;base64,")


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    given = toys.networks()
    path = written(tmp_path / "large.png", np.zeros((300, 400, 3), np.uint8))
    with pytest.raises(ImageError, match="pixels"):
        people.of_file(given.model, given.detect, path, max_pixels=100_000)


def test_weak_proposals_are_left_out(drawn):
    least = float(np.sort(drawn.poses.box_score[drawn.poses.valid])[2])
    assert int(people.proposed(drawn, least).valid.sum()) == int(drawn.poses.valid.sum()) - 2
    assert int(people.proposed(drawn, 2.0).valid.sum()) == 0


def test_pose_nms_is_the_one_that_was_chosen(drawn):
    before = people.proposed(drawn, 0.0)
    assert people.kept(before, None) is before
    assert len(people.rows(people.kept(before, ALL_ARE_ONE))) == 1
    nobody_is_like = ALL_ARE_ONE._replace(parameters=NmsParameters(1.0, 1e-3, 1e-3, 1e6))
    assert len(people.rows(people.kept(before, nobody_is_like))) == int(before.valid.sum())


def test_people_are_counted_by_falling_score(drawn):
    order = people.rows(people.proposed(drawn, 0.0))
    scores = np.asarray(drawn.poses.score)[order]
    assert (np.diff(scores) <= 0).all() and len(order) == int(drawn.poses.valid.sum())


def test_a_large_picture_is_shown_smaller(drawn):
    large = drawn._replace(image=drawn.image.repeat(4, axis=0).repeat(4, axis=1))
    sizes = [
        len(people.picture(one, one.poses, toys.networks().model.skeleton, numbered=False))
        for one in (drawn, large)
    ]
    assert sizes[1] < 4 * sizes[0]
