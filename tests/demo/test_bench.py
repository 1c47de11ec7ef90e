import numpy as np
import pytest

from rmpe_jax.demo import bench, people
from rmpe_jax.geometry import affine
from rmpe_jax.inspection import motion
from rmpe_jax.inspection.branches import branch_gradients, cosine
from tests.demo import toys


@pytest.fixture(scope="module")
def drawn():
    return people.of_drawing(toys.networks().model, 0)


def on_bench(given, *, parallel=True):
    networks = toys.networks()
    row = int(people.rows(given.poses)[0])
    judge = networks.parallel if parallel else None
    return bench.bench(networks.inspected, judge, given, given.poses, row)


@pytest.fixture(scope="module")
def on(drawn):
    return on_bench(drawn)


def test_the_target_is_the_drawn_person_of_that_box(drawn, on):
    assert on.target == "the joints of the drawn person"
    # theta* leads from the moved box to the annotated one: near the identity, and not it.
    star = np.asarray(on.scene.person.theta_star)
    assert 1e-3 < np.abs(star - affine.identity()).max() < 0.6


def test_the_target_of_a_photograph_is_the_networks_own_pose(drawn):
    unknown = drawn._replace(joints_px=drawn.joints_px[:0], annotated_px=drawn.annotated_px[:0])
    assert "as no other is known" in on_bench(unknown).target


def test_the_crop_is_what_the_person_is_cut_out_of(on):
    height, width = on.scene.size
    assert on.scene.person.image.shape == (height, width, 3)
    np.testing.assert_array_equal(on.scene.person.theta_crop, affine.identity())


def test_gradients_are_those_of_the_report_summed_over_stacks(on):
    scene = on.scene
    found = bench.slopes(on, scene.start)
    full = branch_gradients(scene.model, scene.person, scene.parallel, theta=scene.start)
    size = np.abs(full.by_branch).max()
    np.testing.assert_allclose(found.by_branch, full.by_branch, atol=1e-5 * size)
    np.testing.assert_allclose(found.loss_main.sum(), full.loss_main.sum(), rtol=1e-6)
    np.testing.assert_allclose(found.loss_parallel.sum(), full.loss_parallel.sum(), rtol=1e-6)
    assert len(found.stn) == len(found.parallel) == 1 < len(full.stn)


def test_without_a_parallel_network_its_branch_is_empty(drawn):
    alone = on_bench(drawn, parallel=False)
    found = bench.slopes(alone, alone.scene.start)
    assert found.parallel.shape == (0, 2, 3) and found.loss_parallel.shape == (0,)
    seen = bench.shown(alone, alone.scene.start)
    assert "demo-loss-parallel" not in seen.pictures and "parallel loss" not in seen.pulls


@pytest.mark.parametrize("loss", ["total", "main", "parallel"])
def test_a_step_has_its_length_and_goes_down(on, loss):
    theta = on.scene.start
    found = bench.slopes(on, theta)
    after = bench.stepped(on, found, loss, 0.02)
    far = float(motion.distance_px(after - theta, *on.scene.size))
    assert far == pytest.approx(0.02, rel=1e-3)
    parts = dict(zip(("stn", "sdtn", "parallel"), found.by_branch, strict=True))
    ways = {"main": ("stn", "sdtn"), "parallel": ("parallel",)}.get(loss, tuple(parts))
    assert cosine(theta - after, sum(parts[way] for way in ways)) > 0.9999
    then = bench.slopes(on, after)
    now = {"main": found.loss_main, "parallel": found.loss_parallel}
    later = {"main": then.loss_main, "parallel": then.loss_parallel}
    chosen = list(now) if loss == "total" else [loss]
    assert sum(float(later[one].sum()) for one in chosen) < sum(
        float(now[one].sum()) for one in chosen
    )


def test_without_a_gradient_theta_stays(on):
    nothing = bench.slopes(on, on.scene.start)._replace(
        stn=np.zeros((1, 2, 3)), sdtn=np.zeros((1, 2, 3)), parallel=np.zeros((1, 2, 3))
    )
    after = bench.stepped(on, nothing, "total", 1.0)
    np.testing.assert_allclose(after, on.scene.start, atol=1e-7)


def test_every_picture_says_what_it_shows(on):
    seen = bench.shown(on, on.scene.start)
    for kind in ("<img", "<svg"):
        parts = (seen.pictures + seen.pulls).split(kind)[1:]
        told = 'alt="' if kind == "<img" else 'aria-label="'
        heads = [part.split(">")[0] for part in parts]
        assert heads and all(told in head or "aria-hidden" in head for head in heads)


def test_the_slopes_agree_with_differences_of_the_loss(on):
    # Away from kinks: the toy network is smooth, and its theta lies on no pixel centre.
    shown = bench.checked(on, on.scene.start)
    rows = shown.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    pairs = [[float(cell.split("</td>")[0]) for cell in row.split("<td>")[1:]] for row in rows]
    assert len(pairs) == 6
    by_gradient, by_difference = np.array(pairs).T
    assert np.abs(by_gradient).max() > 0
    np.testing.assert_allclose(by_difference, by_gradient, atol=0.05 * np.abs(by_gradient).max())
    assert "all agree" in shown


@pytest.mark.parametrize("theta", [np.zeros((2, 3)), np.full((2, 3), np.nan)])
def test_a_theta_without_an_inverse_is_shown(on, theta):
    seen = bench.shown(on, theta)
    assert "demo-determinant" in seen.pictures
    assert "all but singular" in bench.checked(on, theta)
    assert np.isfinite(bench.stepped(on, bench.slopes(on, np.zeros((2, 3))), "main", 1.0)).all()
