import sys

import numpy as np
import pytest

from rmpe_jax.data import images, synthetic, synthetic_body, synthetic_figure, synthetic_scene
from rmpe_jax.data.synthetic_body import PARTS
from rmpe_jax.data.synthetic_figure import Pose
from rmpe_jax.data.synthetic_look import draw_look
from rmpe_jax.data.synthetic_paint import NOBODY, Canvas
from rmpe_jax.data.synthetic_scene import FINE
from rmpe_jax.skeletons import COCO17

HEIGHT, WIDTH, COUNT = 120, 160, 30


@pytest.fixture(scope="module")
def scenes():
    generators = (np.random.default_rng([5, index]) for index in range(COUNT))
    return [synthetic_scene.draw(generator, HEIGHT, WIDTH) for generator in generators]


def people(scenes):
    for scene in scenes:
        for row, number in enumerate(scene.numbers):
            owner = scene.owner
            mask = (owner >= number * len(PARTS)) & (owner < (number + 1) * len(PARTS))
            yield scene, mask, scene.joints_px[row], scene.boxes_px[row], scene.area[row]


def standing(**change) -> Pose:
    zero = np.zeros(2)
    still = Pose(0.0, 0.0, *([zero] * 7), *([0.0] * 5))
    return still._replace(**change)


def figure(**change):
    return synthetic_figure.pose_figure(standing(**change)).points


def test_the_same_numbers_give_the_same_photograph():
    first, again = (synthetic.photograph(3, 8, HEIGHT, WIDTH) for _ in range(2))
    assert first.jpeg == again.jpeg and first.file_name == again.file_name
    for one, other in zip(first.persons, again.persons, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("numbers", [(3, 9), (4, 8)])
def test_other_numbers_give_another_photograph(numbers):
    first = synthetic.photograph(3, 8, HEIGHT, WIDTH)
    other = synthetic.photograph(*numbers, HEIGHT, WIDTH)
    assert first.jpeg != other.jpeg
    pixels = [images.decode(p.jpeg, "x", size=(HEIGHT, WIDTH)).astype(int) for p in (first, other)]
    assert np.abs(pixels[0] - pixels[1]).mean() > 5


def test_a_photograph_is_annotated_in_full():
    photograph = synthetic.photograph(0, 4, HEIGHT, WIDTH)
    assert photograph.image_id == 5 and (photograph.height, photograph.width) == (HEIGHT, WIDTH)
    count = len(photograph.persons.area)
    assert photograph.persons.joints_px.shape == (count, 17, 3)
    assert len(set(photograph.persons.person_id.tolist())) == count
    assert not photograph.persons.is_crowd.any()


def test_there_are_one_to_four_people_a_picture(scenes):
    counts = {len(scene.numbers) for scene in scenes}
    assert counts == {1, 2, 3, 4}


def test_visible_joints_lie_inside_the_silhouette(scenes):
    seen = 0
    for _, mask, joints, _, _ in people(scenes):
        for x, y, visibility in joints:
            if visibility == 2:
                assert mask[int(y * FINE), int(x * FINE)]
                seen += 1
    assert seen > 300


def test_unlabelled_joints_are_zero_and_labelled_ones_in_the_picture(scenes):
    outside = 0
    for _, _, joints, _, _ in people(scenes):
        labelled = joints[:, 2] > 0
        assert (joints[~labelled] == 0).all()
        assert (joints[labelled, :2] >= 0).all()
        assert (joints[labelled, :2] < (WIDTH, HEIGHT)).all()
        outside += (~labelled).sum()
    assert outside > 10


def test_boxes_are_tight_and_areas_are_those_of_the_silhouette(scenes):
    for _, mask, _, box, area in people(scenes):
        x_min, y_min, x_max, y_max = (box * FINE).astype(int)
        assert mask[y_min:y_max, x_min:x_max].sum() == mask.sum() == area * FINE**2
        edges = mask[y_min], mask[y_max - 1], mask[:, x_min], mask[:, x_max - 1]
        assert all(edge.any() for edge in edges)


def test_every_part_of_a_scene_shows_in_its_picture(scenes):
    """The owner map and the picture are the same scene: silhouettes differ from what is beside."""
    contrast = []
    for scene, mask, _, _, _ in people(scenes):
        small = mask[::FINE, ::FINE]
        inside, outside = scene.picture[small].mean(0), scene.picture[~small].mean(0)
        contrast.append(np.abs(inside - outside).max())
    assert np.median(contrast) > 15


def test_the_parts_a_joint_needs_exist():
    for kind in synthetic_body.CARRIERS.values():
        assert all(f"left_{part}" in PARTS for part in kind.split())
    assert set(figure()) >= set(COCO17.joints)


def paint(pose: Pose, count: int = 1):
    """Paint one or two equal people, the second a little to the side; return owner and joints."""
    canvas = Canvas(np.zeros((200, 200, 3), np.uint8), np.full((200, 200), NOBODY, np.int16))
    posed = synthetic_figure.pose_figure(pose)
    look = draw_look(np.random.default_rng(0))
    centres = [np.array((100.0, 100.0)), np.array((112.0, 100.0))][:count]
    for person, centre in enumerate(centres):
        synthetic_body.paint_person(
            canvas, person, posed, look, centre=centre, scale=150.0, light=np.zeros(2)
        )

    def visible(person: int, name: str) -> bool:
        point = centres[person] + 150.0 * posed.points[name][:2]
        return synthetic_body.seen(canvas.owner, person, posed, name, point)

    return visible


def test_a_joint_behind_another_person_is_hidden():
    alone, covered = paint(standing()), paint(standing(), count=2)
    assert alone(0, "left_hip") and not covered(0, "left_hip")
    assert covered(0, "right_shoulder"), "what sticks out stays visible"
    assert covered(1, "left_hip"), "who stands in front is not hidden"


def test_everything_of_a_frontal_person_is_visible_and_no_eye_of_a_back():
    front = paint(standing(shoulder_abduction=np.array((0.5, 0.5))))
    assert all(front(0, name) for name in COCO17.joints)
    back = paint(standing(yaw=np.pi, shoulder_abduction=np.array((0.5, 0.5))))
    hidden = {name for name in COCO17.joints if not back(0, name)}
    assert hidden == {"nose", "left_eye", "right_eye"}


def test_the_far_side_of_a_sideways_person_is_hidden():
    # It faces right, so its right side is near; its hands are away from its hips.
    right = paint(standing(yaw=np.pi / 2, shoulder_flexion=np.array((0.7, 0.7))))
    for joint in ("eye", "ear", "shoulder", "hip", "elbow", "knee"):
        assert right(0, f"right_{joint}") and not right(0, f"left_{joint}"), joint


def test_near_parts_cover_far_ones():
    left = paint(standing(yaw=-np.pi / 2))  # faces left, its arms hang down in line
    assert left(0, "left_elbow") and left(0, "left_wrist")
    assert not left(0, "right_elbow") and not left(0, "right_wrist")


def test_a_shoulder_on_the_far_side_of_the_torso_is_hidden():
    forwards = np.array((1.2, 1.2))
    assert paint(standing(yaw=0.3, shoulder_flexion=-forwards))(0, "left_shoulder")
    assert not paint(standing(yaw=1.1, shoulder_flexion=-forwards))(0, "left_shoulder")
    assert paint(standing(yaw=1.1, shoulder_flexion=-forwards))(0, "right_shoulder")


def test_a_joint_is_seen_only_on_the_parts_that_carry_it():
    posed = synthetic_figure.pose_figure(standing())

    def shown(part: str) -> set[str]:
        owner = np.full((3, 3), len(PARTS) + PARTS.index(part), np.int16)
        point = np.array((1.5, 1.5))
        return {n for n in COCO17.joints if synthetic_body.seen(owner, 1, posed, n, point)}

    assert shown("left_forearm") == {"left_elbow", "left_wrist"}
    assert shown("right_thigh") == {"right_hip", "right_knee"}
    assert shown("torso") == {"left_shoulder", "right_shoulder", "left_hip", "right_hip"}
    assert shown("head") == {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
    assert shown("neck") == set()


def test_left_and_right_follow_the_view():
    front, back = figure(), figure(yaw=np.pi)
    for joint in ("eye", "shoulder", "wrist", "hip", "ankle"):
        assert front[f"left_{joint}"][0] > front[f"right_{joint}"][0]
        assert back[f"left_{joint}"][0] < back[f"right_{joint}"][0]
    assert figure(yaw=np.pi / 2)["nose"][0] > figure(yaw=np.pi / 2)["skull"][0]


def test_limbs_bend_the_way_they_can():
    bent = {"knee": np.array((1.0, 0.0)), "elbow": np.array((1.0, 0.0))}
    posed, straight = figure(**bent), figure()
    assert posed["left_ankle"][2] < straight["left_ankle"][2] - 0.1, "shins bend backwards"
    assert posed["left_wrist"][2] > straight["left_wrist"][2] + 0.1, "forearms bend forwards"
    raised = figure(shoulder_abduction=np.array((3.0, 0.0)))
    assert raised["left_wrist"][1] < raised["nose"][1] < raised["right_wrist"][1]


def test_bones_keep_their_lengths():
    for index in range(50):
        pose = synthetic_figure.draw_pose(np.random.default_rng(index))
        points = synthetic_figure.pose_figure(pose).points
        shin = np.linalg.norm(points["left_knee"] - points["left_ankle"])
        arm = np.linalg.norm(points["right_shoulder"] - points["right_elbow"])
        np.testing.assert_allclose([shin, arm], [synthetic_figure.SHIN, synthetic_figure.UPPER_ARM])


def test_nothing_heavy_is_imported():
    assert "tensorflow" not in sys.modules
