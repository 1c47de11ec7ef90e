"""The symmetric transformer: what STN and SDTN must do to images, heat-maps and points."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import ModelConfig, STNConfig
from rmpe_jax.data import coco, images
from rmpe_jax.data.augment import crop_theta, joints_in_crop
from rmpe_jax.data.crop import Cropper
from rmpe_jax.geometry import affine, heatmaps
from rmpe_jax.models import graph, rmpe
from rmpe_jax.models.build import build, build_sppe
from rmpe_jax.models.variables import initialise, started_from
from rmpe_jax.skeletons import COCO17

HEIGHT, WIDTH, SIGMA = 64, 48, 2.0
IDENTITY = jnp.eye(2, 3)[None]
TOY = ModelConfig(
    family="pyramid", depth=10, trunk_stages=2, head_width=8, input_height=32, input_width=32
)

pull_back = jax.jit(rmpe.pull_back, static_argnames=("logits", "axis_aligned"))


def random_theta(seed, turn=0.4, count=6):
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(-turn, turn, count), rng.uniform(0.75, 1.2, (2, count))
    shear = turn * rng.uniform(-0.3, 0.3, count)
    rows = [
        [
            scale[0] * np.cos(angle),
            -scale[1] * np.sin(angle) + shear,
            rng.uniform(-0.2, 0.2, count),
        ],
        [scale[0] * np.sin(angle), scale[1] * np.cos(angle), rng.uniform(-0.2, 0.2, count)],
    ]
    return jnp.asarray(np.moveaxis(np.array(rows), -1, 0), jnp.float32)


def peaks(joints):
    """Heat-maps [1 b h w k] with a Gaussian at each of the joints [b k 2]."""
    return jax.vmap(lambda one: heatmaps.encode(one, HEIGHT, WIDTH, SIGMA))(joints)[None]


def joints(seed, count=6, reach=0.6):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-reach, reach, (count, 5, 2)), jnp.float32)


def distance_px(a, b):
    return np.linalg.norm((np.asarray(a) - np.asarray(b)) * (WIDTH / 2, HEIGHT / 2), axis=-1)


def to_crop(theta, joints_straight):
    return jax.vmap(affine.apply)(theta, joints_straight)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_heatmaps_and_points_go_back_to_the_same_place(seed, logits):
    """A peak at p of the straight frame appears at theta(p) of the crop, by either way."""
    theta, straight = random_theta(seed), joints(seed)
    maps = jnp.log(peaks(straight) + 1e-9) if logits else peaks(straight)
    back = pull_back(maps, jax.vmap(affine.gamma)(theta), logits=logits)[0]
    if logits:
        back = jax.vmap(partial(heatmaps.from_logits, sigma=SIGMA))(back)
    decoded, _ = jax.vmap(heatmaps.decode_taylor)(back)
    wanted = to_crop(theta, straight)
    inside = (np.abs(wanted) < 0.9).all(-1)
    assert inside.sum() > 20
    assert distance_px(decoded, wanted)[inside].max() < 0.2
    by_points = to_crop(theta, jax.vmap(heatmaps.decode_taylor)(peaks(straight)[0])[0])
    assert distance_px(decoded, by_points)[inside].max() < 0.2


def test_there_and_back_is_the_identity_on_smooth_blobs():
    theta, places = random_theta(4), joints(4, reach=0.25)[:, :3]
    seen = jax.vmap(lambda one: heatmaps.encode(one, HEIGHT, WIDTH, 3.0))(places)
    straight = rmpe.straighten(seen, theta)
    back = pull_back(straight[None], jax.vmap(affine.gamma)(theta))[0]
    assert np.abs(back - seen).max() < 0.12, "the blur of two bilinear reads, and no shift"
    assert np.abs(straight - seen).max() > 0.5


def test_one_gamma_serves_all_stacks():
    theta = random_theta(5)
    gamma = jax.vmap(affine.gamma)(theta)
    stacks = jnp.concatenate([peaks(joints(seed)) for seed in range(3)])
    together = pull_back(stacks, gamma)
    for stack in range(3):
        alone = pull_back(stacks[stack][None], gamma)[0]
        np.testing.assert_allclose(together[stack], alone, atol=1e-6)


def test_logits_stay_a_distribution_with_little_outside():
    maps = jnp.log(peaks(joints(0)) + 1e-7) + 5  # a constant means nothing to logits
    count = maps.shape[1]
    same = pull_back(maps, jnp.tile(IDENTITY, (count, 1, 1)), logits=True)
    probability = jax.nn.softmax(maps, axis=(2, 3))
    np.testing.assert_allclose(jax.nn.softmax(same, axis=(2, 3)), probability, atol=1e-6)
    half = jnp.tile(IDENTITY / 2, (count, 1, 1))  # straight fills a quarter of the crop
    share = jax.nn.softmax(pull_back(maps, jax.vmap(affine.gamma)(half), logits=True), axis=(2, 3))
    inside = share[:, :, HEIGHT // 4 : -HEIGHT // 4, WIDTH // 4 : -WIDTH // 4].sum((2, 3))
    assert (np.asarray(inside) > 0.99).all()


def test_a_crop_that_theta_leaves_is_black_and_has_a_finite_gradient():
    crops = jnp.ones((1, 16, 16, 3))
    away = jnp.asarray([[[1.0, 0, 9], [0, 1, 0]]])
    assert (rmpe.straighten(crops, away) == 0).all()

    def loss(theta):
        taps = rmpe.symmetric(crops, theta, lambda straight: straight[None, ::, ::4, ::4])
        return jnp.sum(taps.heatmaps_crop**2) + jnp.sum(taps.straight)

    assert np.isfinite(jax.grad(loss)(away)).all()
    singular = jnp.asarray([[[0.0, 0, 0], [0, 0, 0]]])
    assert np.isfinite(jax.grad(loss)(singular)).all(), "gamma clamps the determinant"


@pytest.fixture(scope="module", params=["small", "pose"])
def network(request):
    model = ModelConfig(**{**vars(TOY), "stn": STNConfig("affine", request.param)})
    module = build(model, 17)
    return module, initialise(jax.random.key(0), module, model)


def test_an_untrained_transformer_changes_nothing(network):
    module, variables = network
    crops = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))
    inside = {kind: part["sppe"] for kind, part in variables.items()}
    alone = jax.jit(lambda v: build_sppe(TOY, 17).apply(v, crops, train=False))(inside)
    through = jax.jit(lambda v: module.apply(v, crops, train=False))(variables)
    np.testing.assert_allclose(through, alone, atol=1e-5)


def test_taps_are_what_they_are_called(network):
    module, variables = network
    crops = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))
    shift = random_theta(0, count=2) - IDENTITY
    taps = jax.jit(lambda v: module.apply(v, crops, shift, train=False, method="taps"))(variables)
    np.testing.assert_allclose(taps.theta, shift + IDENTITY, atol=1e-6)
    for theta, gamma in zip(taps.theta, taps.gamma, strict=True):
        np.testing.assert_allclose(affine.compose(theta, gamma), np.eye(2, 3), atol=1e-5)
    np.testing.assert_allclose(taps.straight, rmpe.straighten(crops, taps.theta), atol=1e-5)
    again = jax.jit(lambda v: module.apply(v, taps.straight, train=False, method="heatmaps"))
    np.testing.assert_allclose(taps.heatmaps_straight, again(variables), atol=1e-4)
    np.testing.assert_allclose(
        taps.heatmaps_crop, pull_back(taps.heatmaps_straight, taps.gamma), atol=1e-4
    )


def test_the_pose_network_learns_nothing_from_a_first_look():
    model = ModelConfig(**{**vars(TOY), "stn": STNConfig("affine", "pose")})
    module = build(model, 17)
    variables = initialise(jax.random.key(0), module, model)
    kernel = variables["params"]["localization"]["theta"]["dense"]["kernel"]
    variables["params"]["localization"]["theta"]["dense"]["kernel"] = kernel + 0.01
    crops = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))

    def first_number(params):
        found, updated = module.apply(
            {**variables, "params": params},
            crops,
            train=True,
            mutable=["batch_stats"],
            method="theta",
        )
        return jnp.sum(found[:, 0, 0]), updated["batch_stats"]

    gradient, statistics = jax.jit(jax.grad(first_number, has_aux=True))(variables["params"])
    largest = {
        name: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(part))
        for name, part in gradient.items()
    }
    assert largest["sppe"] == 0 and largest["localization"] > 1e-3
    before = variables["batch_stats"]["sppe"]
    jax.tree.map(np.testing.assert_array_equal, statistics["sppe"], before)


def test_weights_of_a_network_alone_go_into_one_with_a_transformer_and_back(network):
    _, variables = network
    alone = initialise(jax.random.key(7), build_sppe(TOY, 17), TOY)
    started = started_from(variables, alone, where="old")
    jax.tree.map(np.testing.assert_array_equal, started["params"]["sppe"], alone["params"])
    jax.tree.map(
        np.testing.assert_array_equal,
        started["params"]["localization"],
        variables["params"]["localization"],
    )
    jax.tree.map(np.testing.assert_array_equal, started_from(alone, started, where="x"), alone)
    other = ModelConfig(**{**vars(TOY), "head_width": 4})
    narrow = initialise(jax.random.key(7), build_sppe(other, 17), other)
    with pytest.raises(ValueError, match=r"old: \w+: sppe/\S+ has shape .* and .* here"):
        started_from(variables, narrow, where="old")


def one_person(data_root: Path, height: int, width: int) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """Return (crops, joints_crop, weight) of one large person of the validation photographs."""
    root = data_root / "coco_pose"
    for entry in coco.index(root / "annotations/person_keypoints_val.json"):
        persons = entry.persons
        labelled = (persons.joints_px[:, :, 2] == 2).sum(axis=1)
        if len(persons.area) != 1 or labelled[0] < 15:
            continue
        image = images.read(root / "images/val" / entry.file_name)
        size = image.shape[:2]
        theta = crop_theta(persons.boxes_px[0], *size, height=height, width=width, extend=0.25)
        joints, weight = joints_in_crop(persons.joints_px[0], theta, *size, COCO17, flip=False)
        crop = Cropper(height, width)(image, theta)
        as_floats = jnp.asarray(crop[None], jnp.float32) / 255
        return as_floats, jnp.asarray(joints[None], jnp.float32), weight[None]
    raise LookupError("no photograph of one person with 15 visible joints")


def test_any_pure_function_can_be_the_network(data_root):
    """A network that this project has not built: PP-TinyPose, straightened by hand."""
    file = data_root / "weights" / "tinypose_256x192.param"
    parameters, tinypose = graph.parameters(file), graph.read(file)

    def network(images):
        return graph.heatmaps(parameters, images, graph=tinypose)[None]

    crops, joints_crop, weight = one_person(data_root, 256, 192)
    theta = jnp.asarray([[[1.1, -0.12, 0.1], [0.1, 1.05, -0.08]]])
    taps = jax.jit(lambda crops: rmpe.symmetric(crops, theta, network))(crops)
    assert taps.heatmaps_crop.shape == (1, 1, 64, 48, 17)
    decoded, peak = jax.vmap(heatmaps.decode_taylor)(taps.heatmaps_crop[0])
    error = distance_px(decoded, joints_crop)[0][np.asarray(weight[0]) > 0]
    assert np.median(error) < 1.5, "the pose is found in the crop through a turned straight image"
    unturned = jax.vmap(heatmaps.decode_taylor)(taps.heatmaps_straight[0])[0]
    assert np.median(distance_px(unturned, joints_crop)[0][np.asarray(weight[0]) > 0]) > 3
    gradient = jax.jit(
        jax.grad(lambda theta: jnp.sum(rmpe.symmetric(crops, theta, network).heatmaps_crop ** 2))
    )(theta)
    assert np.isfinite(gradient).all() and np.abs(gradient).min() > 0
