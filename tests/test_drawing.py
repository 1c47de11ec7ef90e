import resource

import cv2
import numpy as np
import pytest

from rmpe_jax import drawing
from rmpe_jax.data import images
from rmpe_jax.geometry import affine
from rmpe_jax.skeletons import COCO17, MPII16

HEIGHT, WIDTH = 96, 128


def photograph(level=90):
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def person(skeleton=COCO17, seed=0):
    count = len(skeleton.joints)
    joints = np.random.default_rng(seed).uniform(20, 80, (1, count, 2))
    return joints, np.ones((1, count))


def drawn(before, after):
    return (before != after).any(axis=-1)


def every_drawing(image):
    joints, confidence = person()
    theta = affine.from_box(np.array([20.0, 20, 90, 80]), HEIGHT, WIDTH, turn=0.3)
    yield drawing.poses(image, joints, confidence, COCO17)
    yield drawing.boxes(image, np.array([[10, 20, 60, 70]], np.float32), ["0.93"])
    yield drawing.heatmap(image, np.ones((24, 32, 2)))
    yield drawing.grid(image, theta)
    yield drawing.arrows(image, np.array([[10.0, 10]]), np.array([[60.0, 70]]))
    yield drawing.contact_sheet([image, image], 2, ["one", "two"])


def test_a_drawing_is_a_new_image():
    image = photograph()
    for result in every_drawing(image):
        assert result.dtype == np.uint8 and result.shape[2] == 3
        assert result.shape != image.shape or drawn(image, result).any()
    np.testing.assert_array_equal(image, photograph())


@pytest.mark.parametrize("level", [0, 255])
def test_marks_are_seen_on_black_and_on_white(level):
    image = photograph(level).astype(np.int32)
    for result in list(every_drawing(photograph(level)))[:-1]:
        assert (np.abs(result.astype(np.int32) - image).max(axis=-1) > 80).sum() > 50


@pytest.mark.parametrize("skeleton", [COCO17, MPII16])
def test_every_joint_is_marked_where_it_is(skeleton):
    joints, confidence = person(skeleton)
    result = drawing.poses(photograph(), joints, confidence, skeleton)
    for x, y in joints[0]:
        assert drawn(photograph(), result)[int(y), int(x)]


def test_a_mark_has_its_middle_at_the_point():
    joints = np.full((1, 17, 2), np.nan)
    joints[0, 0] = 40.25, 50.75
    result = drawing.poses(photograph(0), joints, np.ones((1, 17)), COCO17).astype(float)
    weight = result.sum(axis=-1)
    x = (weight.sum(axis=0) * (np.arange(WIDTH) + 0.5)).sum() / weight.sum()
    y = (weight.sum(axis=1) * (np.arange(HEIGHT) + 0.5)).sum() / weight.sum()
    np.testing.assert_allclose([x, y], [40.25, 50.75], atol=0.1)


def test_unsure_joints_are_not_drawn():
    joints, confidence = person()
    result = drawing.poses(photograph(), joints, 0.19 * confidence, COCO17)
    np.testing.assert_array_equal(result, photograph())
    shown = drawing.poses(photograph(), joints, 0.19 * confidence, COCO17, threshold=0.1)
    assert drawn(photograph(), shown).any()


def test_left_right_and_centre_have_different_colours():
    limbs = {frozenset(limb): drawing._limb(COCO17, limb, (0, 0, 0)) for limb in COCO17.limbs}
    left, right, centre = (limbs[frozenset(pair)] for pair in ((5, 7), (6, 8), (5, 6)))
    assert len({left, right, centre}) == 3
    assert limbs[frozenset((13, 15))] == left and limbs[frozenset((14, 16))] == right


def test_people_have_different_colours():
    joints, confidence = person()
    two = np.concatenate([joints, joints]), np.concatenate([confidence, confidence])
    assert drawn(
        drawing.poses(photograph(), joints, confidence, COCO17),
        drawing.poses(photograph(), *two, COCO17),
    ).any()


def test_nobody_leaves_the_image_as_it_was():
    image = photograph()
    none = np.zeros((0, 2))
    for result in (
        drawing.poses(image, np.zeros((0, 17, 2)), np.zeros((0, 17)), COCO17),
        drawing.boxes(image, np.zeros((0, 4)), []),
        drawing.arrows(image, none, none),
    ):
        np.testing.assert_array_equal(result, image)
        assert result is not image


def test_what_lies_far_outside_does_no_harm():
    joints, confidence = person()
    drawing.poses(photograph(), joints * 1e12, confidence, COCO17)
    drawing.boxes(photograph(), np.array([[-1e9, -1e9, 1e9, 1e9]]), ["far"])
    drawing.arrows(photograph(), np.zeros((1, 2)), np.zeros((1, 2)))  # and no length at all


def test_a_box_is_drawn_on_its_edges():
    result = drawing.boxes(photograph(), np.array([[20.0, 30, 100, 80]]))
    marked = drawn(photograph(), result)
    assert marked[30, 60] and marked[80, 60] and marked[50, 20] and marked[50, 100]
    assert not marked[50, 60] and not marked[10, 60]


def test_labels_stay_on_the_image():
    corners = np.array([[0.0, 0, 10, 10], [WIDTH - 5, HEIGHT - 5, WIDTH, HEIGHT]])
    plain = drawing.boxes(photograph(), corners)
    labelled = drawing.boxes(photograph(), corners, ["0.97", "0.95"])
    assert drawn(plain, labelled)[:20, :40].any() and drawn(plain, labelled)[-25:, -45:].any()


def test_a_heatmap_shows_where_it_is_high():
    maps = np.zeros((24, 32, 2))
    maps[5, 8, 1] = 1
    result = drawing.heatmap(photograph(), maps).astype(int).sum(axis=-1)
    y, x = np.unravel_index(result.argmax(), result.shape)
    assert abs(x + 0.5 - 8.5 * 4) <= 2 and abs(y + 0.5 - 5.5 * 4) <= 2
    assert result[-1, -1] < photograph().astype(int).sum(axis=-1)[-1, -1]


def test_a_heatmap_of_no_joints_is_clear():
    result = drawing.heatmap(photograph(100), np.zeros((24, 32, 0)))
    np.testing.assert_array_equal(result, photograph(60))


@pytest.mark.parametrize(("flip", "column"), [(False, 32), (True, 96)])
def test_the_grid_marks_the_upper_left_corner_of_the_crop(flip, column):
    # Edges on pixel centres: a thin line then has its full colour there.
    theta = affine.from_box(np.array([32.5, 24.5, 96.5, 72.5]), HEIGHT, WIDTH, flip=flip)
    result = drawing.grid(photograph(), theta, lines=4)
    np.testing.assert_array_equal(result[24, column], drawing.RIGHT)
    np.testing.assert_array_equal(result[25, column], drawing.RIGHT)  # the disc is wider
    np.testing.assert_allclose(result[24, 64], drawing.RIGHT, atol=25)
    np.testing.assert_allclose(result[72, 64], drawing.LEFT, atol=25)
    marked = drawn(photograph(), result)
    assert marked[36, 44] and marked[30, 48]  # lines between
    assert not marked[30, 40]  # the middle of a cell


def test_a_contact_sheet_holds_its_tiles_in_order():
    tiles = [np.full((10 + i, 20, 3), 40 * i, np.uint8) for i in range(1, 6)]
    sheet = drawing.contact_sheet(tiles, 2)
    for tile in tiles:
        assert (sheet == tile[0, 0]).all(axis=-1).sum() >= tile.shape[0] * tile.shape[1]
    middles = [np.argwhere((sheet == tile[0, 0]).all(axis=-1)).mean(axis=0) for tile in tiles]
    assert middles[0][1] < middles[1][1] and middles[0][0] < middles[2][0] < middles[4][0]
    assert sheet.shape[1] < 3 * 20 + 3 * 6


def test_a_contact_sheet_of_one_tile():
    sheet = drawing.contact_sheet([photograph()], 4, ["a title that is far too long for its tile"])
    assert sheet.shape[1] < WIDTH + 20


def test_a_contact_sheet_without_tiles_or_with_lost_titles_is_refused():
    with pytest.raises(ValueError, match="got 0 tiles"):
        drawing.contact_sheet([], 2)
    with pytest.raises(ValueError, match="1 tiles have 2 titles"):
        drawing.contact_sheet([photograph()], 2, ["one", "two"])


def test_real_people_are_drawn(data_root):
    folder = data_root / "coco_pose" / "images" / "val"
    image = cv2.imread(str(sorted(folder.iterdir())[0]))[..., ::-1]
    height, width, _ = image.shape
    joints = np.random.default_rng(0).uniform(0, min(height, width), (3, 17, 2))
    result = drawing.poses(np.ascontiguousarray(image), joints, np.ones((3, 17)), COCO17)
    assert result.shape == image.shape and drawn(image, result).any()


def test_a_surer_joint_is_larger():
    image, joints = photograph(), np.array([[[30.0, 30.0]]])
    alone = COCO17._replace(joints=("nose",), limbs=())
    sizes = [
        drawn(image, drawing.poses(image, joints, np.array([[sure]]), alone)).sum()
        for sure in (0.1, 0.3, 1.0, 1.5)
    ]
    assert 0 == sizes[0] < sizes[1] < sizes[2] == sizes[3]


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    """A limit on the size of files ends a write in the middle, as a full disk does."""
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    drawing.write(path, noise)
    np.testing.assert_array_equal(images.read(path), noise)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(OSError, match=r"a\.png: the picture could not be written.*disk full"):
            drawing.write(path, noise[::-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(images.read(path), noise)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="absent.*could not be written .No such file"):
        drawing.write(tmp_path / "absent" / "a.png", noise)
