import json
from collections.abc import Callable
from dataclasses import replace

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.chain import person_score, poses_on_canvas, poses_on_canvases
from rmpe_jax.config import STNConfig
from rmpe_jax.frames import Frame
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise, started_from
from rmpe_jax.pose_nms import ALPHAPOSE_COCO, RMPE_MPII, NmsOptions, NmsSet, pose_nms
from rmpe_jax.predict import PoseModel, empty, to_records
from rmpe_jax.records import Detections
from rmpe_jax.skeletons import COCO17
from tests import small


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> PoseModel:
    """An untrained network: its poses are arbitrary, but must be the same arbitrary ones."""
    config = small.config(tmp_path_factory.mktemp("predict"))
    module = build(config.model, 17)
    variables = initialise(jax.random.key(0), module, config.model)
    return PoseModel(variables, module, config, COCO17, {})


def picture(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


BOXES = np.asarray([[10.0, 10, 70, 110], [60, 20, 150, 100], [-20, 40, 60, 140]])


# Three people, two of them found twice; five boxes, so that some rows only fill up.
CROWD = np.asarray([*BOXES, BOXES[0] + 0.05, BOXES[1]])
SURE = np.asarray([0.9, 0.5, 0.1, 0.8, 0.3])


def test_one_pose_a_box_in_their_order(model):
    poses = model(picture(), BOXES, [0.9, 0.5, 0.1])
    assert poses.joints_px.shape == (3, 17, 2)
    assert poses.valid.all()
    np.testing.assert_allclose(poses.boxes_px, BOXES)
    np.testing.assert_allclose(poses.box_score, [0.9, 0.5, 0.1], rtol=1e-6)
    assert ((poses.confidence >= 0) & (poses.confidence <= 1)).all()
    assert ((poses.score >= 0) & (poses.score <= poses.box_score)).all()


def test_padding_people_or_canvas_changes_nothing(model):
    image = picture()
    together = model(image, CROWD)
    for row, box in enumerate(BOXES):
        alone = model(image, box[None])
        np.testing.assert_allclose(alone.joints_px[0], together.joints_px[row], atol=2e-3)
    # The same content on a larger canvas: only the photograph's own black outside differs.
    larger = np.zeros((300, 500, 3), np.uint8)
    larger[:120, :160] = image
    np.testing.assert_allclose(model(larger, CROWD).joints_px, together.joints_px, atol=2e-3)


def test_moving_picture_and_box_moves_the_pose(model):
    image, moved = picture(), np.zeros((150, 200, 3), np.uint8)
    moved[13 : 13 + 120, 21 : 21 + 160] = image
    shift = np.asarray([21, 13])
    inside = BOXES[:1]
    first = model(image, inside)
    second = model(moved, inside + np.tile(shift, 2))
    np.testing.assert_allclose(second.joints_px, first.joints_px + shift, atol=2e-3)


def test_few_sizes_compile_few_programs(model):
    before = poses_on_canvas._cache_size()
    for height, width in ((200, 230), (220, 190), (256, 256), (180, 250)):
        for count in (5, 6):
            model(picture(height, width), np.tile(BOXES[:1], (count, 1)))
    assert poses_on_canvas._cache_size() - before <= 1


def test_no_boxes_give_no_poses(model):
    assert model(picture(), []).joints_px.shape == (0, 17, 2)
    assert to_records(model(picture(), np.zeros((0, 4))), 1) == []


def test_a_grey_picture_is_the_same_in_three_channels(model):
    grey = picture()[:, :, 0]
    np.testing.assert_array_equal(
        model(grey, BOXES).joints_px, model(np.stack([grey] * 3, 2), BOXES).joints_px
    )


@pytest.mark.parametrize(
    "box", [[10, 10, 5, 40], [10, 10, 10, 40], [np.nan, 0, 10, 10], [500, 500, 600, 600]]
)
def test_a_wrong_box_is_refused(model, box):
    with pytest.raises(ValueError, match="box"):
        model(picture(), [box])


def test_the_flip_test_makes_a_mirrored_picture_give_the_mirrored_pose(model):
    image = picture()
    width = image.shape[1]
    box = BOXES[:1]
    mirrored_box = np.stack([width - box[:, 2], box[:, 1], width - box[:, 0], box[:, 3]], axis=1)
    first = model(image, box)
    second = model(np.ascontiguousarray(image[:, ::-1]), mirrored_box)
    swapped = second.joints_px[:, list(COCO17.flip_order)]
    expected = np.stack([width - swapped[..., 0], swapped[..., 1]], axis=-1)
    np.testing.assert_allclose(first.joints_px, expected, atol=0.05)


def test_gradients_flow_from_joints_to_pixels_when_decoding_by_expectation(model):
    config = replace(
        model.config, evaluation=replace(model.config.evaluation, decode="expectation")
    )
    canvas = jnp.asarray(picture(64, 64), jnp.float32)
    detections = Detections(jnp.asarray([[5.0, 5, 60, 60]]), jnp.ones(1), jnp.ones(1, bool))

    def mean_x(canvas):
        poses = poses_on_canvas(
            model.variables,
            canvas,
            detections,
            module=model.module,
            config=config,
            flip_order=COCO17.flip_order,
        )
        return poses.joints_px[..., 0].mean()

    gradient = np.asarray(jax.grad(mean_x)(canvas))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[10:50, 10:50]).max() > 0


def test_wrong_scores_are_refused(model):
    with pytest.raises(ValueError, match=r"a score is 37.0; scores are in \[0, 1\]"):
        model(picture(), BOXES, [0.5, 37, 0.1])


def test_the_score_is_box_score_times_mean_of_the_sure_joints():
    confidence = jnp.asarray([[0.8, 0.6, 0.1, 0.2], [0.1, 0.0, 0.2, 0.1]])
    score = person_score(jnp.asarray([0.5, 1.0]), confidence)
    np.testing.assert_allclose(score, [0.5 * 0.7, 0.0], rtol=1e-6)


def test_records_are_coco_results(model):
    records = to_records(model(picture(), BOXES, [0.9, 0.5, 0.1]), 42)
    assert len(json.loads(json.dumps(records))) == 3
    assert set(records[0]) == {"image_id", "category_id", "keypoints", "score", "bbox", "box_score"}
    assert len(records[0]["keypoints"]) == 51
    np.testing.assert_allclose(records[0]["bbox"], [10, 10, 60, 100])


def test_rows_that_are_not_valid_leave_no_record():
    poses = jax.tree.map(lambda array: np.zeros((2, *array.shape[1:]), array.dtype), empty(17))
    assert len(to_records(poses._replace(valid=np.asarray([True, False])), 1)) == 1


NMS = {
    "rmpe_mpii": RMPE_MPII,
    "support": NmsSet(
        ALPHAPOSE_COCO.parameters, NmsOptions(support=0.5, carried="weighted", matched_joints=9)
    ),
}


@pytest.fixture(scope="module")
def confident(model) -> PoseModel:
    """The same network with higher peaks, so that persons have scores above 0."""
    variables = jax.tree.map(jnp.copy, model.variables)
    variables["params"]["final_layer"]["kernel"] *= 20
    return replace(model, variables=variables)


@pytest.mark.parametrize("name", NMS)
def test_pose_nms_in_the_call_is_that_after_it(confident, name):
    """Rows that fill up must neither be kept nor merged, nor add to a score."""
    before = confident(picture(), CROWD, SURE)
    expected = pose_nms(before, *NMS[name])
    kept = np.asarray(expected.valid)
    assert 0 < kept.sum() < 5 and (expected.score > 0.01).all()
    assert np.abs(np.asarray(expected.joints_px) - before.joints_px)[kept].max() > 0.01  # merged
    found = replace(confident, nms=NMS[name])(picture(), CROWD, SURE)
    assert found.valid.all() and len(found.valid) == kept.sum()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, np.asarray(other)[kept], rtol=1e-5)


def test_other_parameters_of_pose_nms_compile_nothing_new(confident):
    assert len(replace(confident, nms=RMPE_MPII)(picture(), CROWD, SURE).valid) < 5
    before = poses_on_canvas._cache_size()
    none_alike = RMPE_MPII._replace(parameters=RMPE_MPII.parameters._replace(eta=1e6))
    assert len(replace(confident, nms=none_alike)(picture(), CROWD, SURE).valid) == 5
    assert poses_on_canvas._cache_size() == before


def test_wrong_parameters_of_pose_nms_are_refused(model):
    wrong = RMPE_MPII._replace(parameters=RMPE_MPII.parameters._replace(sigma1=0.0))
    with pytest.raises(ValueError, match="sigma1 is 0; finite numbers above 0"):
        replace(model, nms=wrong)(picture(), CROWD, SURE)


def finder(*wanted) -> Callable[[Frame], Detections]:
    """Return a detector that finds each picture's own people, the first with a surer box."""

    def detect(frame: Frame) -> Detections:
        boxes = np.asarray(wanted[frame.number % len(wanted)], float).reshape(-1, 4)
        score = np.linspace(0.9, 0.5, len(boxes))
        return Detections(boxes, score, np.arange(len(boxes)) != 2)

    return detect


def test_a_model_with_a_detector_needs_no_boxes(model):
    found = replace(model, detect=finder(CROWD))(picture())
    rows = [0, 1, 3, 4]  # the third is none
    expected = model(picture(), boxes=CROWD[rows], scores=np.linspace(0.9, 0.5, 5)[rows])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    nobody = replace(model, detect=finder([]))(picture())
    assert nobody.joints_px.shape == (0, 17, 2)


def test_a_model_without_a_detector_says_what_to_type(model):
    with pytest.raises(ValueError, match=r"no boxes came.*boxes=\[\[x_min.*detect=\.\.\."):
        model(picture())
    with pytest.raises(ValueError, match="scores came without boxes"):
        model(picture(), scores=[0.5])


def assert_same(found, expected):
    """Assert poses equal to 1e-5 of the picture's side."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.joints_px, other.joints_px, atol=1e-5 * 160)
        for name in ("confidence", "peak", "boxes_px", "box_score", "score"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5)


SIZES = [(120, 160), (100, 90), (120, 300), (256, 256), (80, 160)]
PEOPLE = [CROWD, BOXES[:1], CROWD, [], CROWD / 2]


def test_a_list_of_images_gives_what_each_gives_alone(confident):
    through = replace(confident, nms=RMPE_MPII)
    images = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    scores = [np.linspace(1, 0.5, len(wanted)) for wanted in PEOPLE]
    alone = [through(*given) for given in zip(images, PEOPLE, scores, strict=True)]
    assert [len(poses.valid) for poses in alone] != [len(wanted) for wanted in PEOPLE]
    assert_same(through(images, boxes=PEOPLE, scores=scores), alone)


def test_an_array_of_images_is_a_list_of_them_and_the_detector_finds_their_people(model):
    images = np.stack([picture(seed=seed) for seed in range(3)])
    wanted = [BOXES[:2], [], BOXES[1:]]
    through = replace(model, detect=finder(*wanted))
    alone = [model(images[row], wanted[row], [0.9, 0.5][: len(wanted[row])]) for row in range(3)]
    assert_same(through(images), alone)
    assert_same(through(jnp.asarray(images)), alone)
    assert model([]) == []


def test_images_of_one_shape_are_one_call(model):
    """17 of one canvas and one count of people: three calls of one program."""
    images = [picture(120 + seed, 160, seed) for seed in range(17)]
    before = poses_on_canvases._cache_size()
    found = model(images, [BOXES[:1]] * 17)
    assert poses_on_canvases._cache_size() - before == 1
    assert_same(found[15:], [model(image, BOXES[:1]) for image in images[15:]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"boxes": BOXES}, "boxes has 3 entries for 2 images; a list of images wants a list"),
        ({"boxes": [BOXES, BOXES], "scores": [1.0]}, "scores has 1 entries for 2 images"),
        ({"boxes": [BOXES, [[5, 5, 5, 9]]]}, r"image 1: boxes\[0\] = .*no area"),
        ({"boxes": [BOXES, BOXES[0]]}, r"image 1: boxes is one box; .*type \[box\]"),
        ({}, "image 0: no boxes came"),
    ],
)
def test_of_many_images_the_wrong_one_is_named(model, given, message):
    with pytest.raises(ValueError, match=message):
        model([picture(), picture()], **given)


@pytest.fixture(scope="module", params=["small", "pose"])
def transformed(request, model) -> PoseModel:
    """The same pose network between STN and SDTN; the localisation network knows a little."""
    settings = replace(model.config.model, stn=STNConfig("affine", request.param))
    config = replace(
        model.config,
        model=settings,
        evaluation=replace(model.config.evaluation, decode="expectation"),
    )
    module = build(settings, 17)
    first = initialise(jax.random.key(1), module, settings)
    variables = started_from(first, model.variables, where="model")
    theta = variables["params"]["localization"]["theta"]["dense"]
    knowledge = {"small": 0.005, "pose": 0.04}[request.param]
    theta["kernel"] = knowledge * jax.random.normal(jax.random.key(2), theta["kernel"].shape)
    return PoseModel(variables, module, config, COCO17, {})


def test_an_identity_transformer_changes_no_pose(model, transformed):
    variables = jax.tree.map(jnp.copy, transformed.variables)
    theta = variables["params"]["localization"]["theta"]["dense"]
    theta["kernel"] = jnp.zeros_like(theta["kernel"])
    through = replace(transformed, variables=variables)
    config = replace(model.config, evaluation=through.config.evaluation)
    plain = replace(model, config=config)
    expected = plain(picture(), BOXES).joints_px
    np.testing.assert_allclose(through(picture(), BOXES).joints_px, expected, atol=0.02)


def test_a_transformer_that_moves_the_crop_is_another_box(model, transformed):
    """theta of scale 0.8 and a shift shows what a smaller box beside it would; joints go back."""
    config = replace(model.config, evaluation=transformed.config.evaluation)
    smooth = cv2.GaussianBlur(picture(96, 96).astype(np.float32), (0, 0), 3.0)
    canvas = jnp.asarray((smooth - smooth.mean()) * 4 + 128)

    def joints(of, box, shift, config):
        detections = Detections(jnp.asarray([box]), jnp.ones(1), jnp.ones(1, bool))
        settings = {"module": of.module, "config": config, "flip_order": COCO17.flip_order}
        return poses_on_canvas(of.variables, canvas, detections, shift, **settings).joints_px

    variables = jax.tree.map(jnp.copy, transformed.variables)
    theta = variables["params"]["localization"]["theta"]["dense"]
    theta["kernel"] = jnp.zeros_like(theta["kernel"])
    still = replace(transformed, variables=variables)
    # The box of 40 pixels is extended to 50: half of that is the crop's unit.
    shift = jnp.asarray([[[-0.2, 0, 0.16], [0, -0.2, -0.08]]])
    moved = joints(still, [28.0, 28, 68, 68], shift, transformed.config)
    expected = joints(model, [36.0, 30, 68, 62], 0.0, config)
    np.testing.assert_allclose(moved, expected, atol=0.3)
    unmoved = joints(still, [28.0, 28, 68, 68], 0.0, transformed.config)
    assert np.abs(unmoved - expected).max() > 2


WRIST = COCO17.joints.index("left_wrist")


@pytest.mark.parametrize("flip", [False, True])
def test_one_wrists_gradients_to_image_and_theta_are_finite_differences(transformed, flip):
    """Through crop, STN, network and the way back, in one compiled function.

    The picture is smooth, and crop and straight image lie inside of it: a finite difference that
    steps over a kink of the interpolation is no derivative.
    """
    settings = replace(transformed.config.evaluation, flip=flip)
    config = replace(transformed.config, evaluation=settings)
    detections = Detections(jnp.asarray([[14.0, 14, 50, 50]]), jnp.ones(1), jnp.ones(1, bool))
    smooth = cv2.GaussianBlur(picture(64, 64).astype(np.float32), (0, 0), 5.0)
    canvas = jnp.asarray((smooth - smooth.mean()) * 8 + 128)
    noise = np.random.default_rng(0).normal(size=(1, 2, 3)) * 0.03
    shift = jnp.asarray(noise - 0.2 * np.eye(2, 3), jnp.float32)

    @jax.jit
    def wrist(canvas, shift):
        poses = poses_on_canvas(
            transformed.variables,
            canvas,
            detections,
            shift,
            module=transformed.module,
            config=config,
            flip_order=COCO17.flip_order,
        )
        return poses.joints_px[0, WRIST].sum()

    d_canvas, d_shift = jax.jit(jax.grad(wrist, argnums=(0, 1)))(canvas, shift)
    assert jnp.abs(d_shift).max() > 5
    for row, column in np.ndindex(2, 3):
        step = jnp.zeros_like(shift).at[0, row, column].set(1e-3)
        difference = (wrist(canvas, shift + step) - wrist(canvas, shift - step)) / 2e-3
        assert d_shift[0, row, column] == pytest.approx(float(difference), rel=0.02, abs=0.1)
    step = 0.1 * jnp.sign(d_canvas)  # a tenth of a grey level, where the most is to be seen
    difference = (wrist(canvas + step, shift) - wrist(canvas - step, shift)) / 0.2
    assert jnp.abs(d_canvas).sum() == pytest.approx(float(difference), rel=0.05)
