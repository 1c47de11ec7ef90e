import cv2
import numpy as np
import pytest

from rmpe_jax import hog
from rmpe_jax.data import images
from rmpe_jax.geometry import boxes

WALKER_PX = [261.0, 139.5, 318.0, 297.1]


def test_scores_rise_with_the_margin_within_their_range():
    score = hog.score_of(np.array([0.0, 0.1, 1.0, 3.0]))
    assert score == pytest.approx([0, 0.0951626, 0.6321206, 0.9502129])
    assert hog.score_of(np.array([30.0]))[0] <= 1


def test_someone_who_stands_upright_is_found(data_root):
    """The walker at the right of the street, as annotated; HOG finds few people."""
    image = images.read(data_root / "coco_pose/images/val/000000252219.jpg")
    found = hog.find(image)
    assert boxes.iou(np.array([WALKER_PX]), found.boxes_px[:1])[0, 0] > 0.6
    assert (np.diff(found.score) <= 0).all() and (found.score <= 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (127, 64), (30, 400), (400, 30), (128, 64)])
def test_small_pictures_hold_nobody_and_crash_nothing(shape):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    assert len(hog.find(image).score) == 0


def test_an_opencv_without_it_says_what_to_type(monkeypatch):
    monkeypatch.delattr(cv2, "HOGDescriptor")
    with pytest.raises(ValueError, match="has no HOG detector; type pip install"):
        hog.find(np.zeros((200, 100, 3), np.uint8))
