import numpy as np
import pytest

from rmpe_jax.inspection import motion
from rmpe_jax.inspection.branches import branch_gradients
from rmpe_jax.inspection.landscape import descend, landscape
from tests.inspection import toy


@pytest.mark.parametrize("along", ["x", "y"])
def test_the_landscape_is_the_loss_at_the_moved_window(along):
    model, person, judge = toy.model(), toy.person(), toy.parallel()
    here = branch_gradients(model, person, judge)
    found = landscape(model, person, judge, shift=[-2, 0, 3], zoom=[0, 20], along=along)
    assert found.main.shape == found.parallel.shape == (2, 3)
    assert found.main[0, 1] == pytest.approx(float(here.loss_main.sum()), rel=1e-5)
    assert found.parallel[0, 1] == pytest.approx(float(here.loss_parallel.sum()), rel=1e-5)
    theta = np.asarray(here.theta, np.float64)
    moved = np.concatenate([theta[:, :2] * 1.2, theta[:, 2:]], axis=1)
    moved[0 if along == "x" else 1, 2] += 3 * 2 / toy.SIDE
    there = branch_gradients(model, person, judge, theta=moved)
    assert found.main[1, 2] == pytest.approx(float(there.loss_main.sum()), rel=1e-4)
    assert found.parallel[1, 2] == pytest.approx(float(there.loss_parallel.sum()), rel=1e-4)
    assert len(np.unique(found.main)) == 6
    star = motion.motion_of(theta, person.theta_star - theta, toy.SIDE, toy.SIDE)
    across = star.shift_x if along == "x" else star.shift_y
    np.testing.assert_allclose(found.star, [across, star.zoom], rtol=1e-4)


@pytest.mark.parametrize("loss", ["total", "main", "parallel"])
def test_descent_goes_down_from_step_to_step(loss):
    model, person, judge = toy.model(), toy.person(), toy.parallel()
    path = descend(model, person, judge, steps=5, first_step_px=0.1, loss=loss)
    assert path.thetas.shape == (6, 2, 3) and (np.diff(path.loss) < 0).all()
    here = branch_gradients(model, person, judge)
    np.testing.assert_allclose(path.thetas[0], here.theta, rtol=1e-5)
    first = path.thetas[1] - path.thetas[0]
    assert motion.distance_px(first, toy.SIDE, toy.SIDE) == pytest.approx(0.1)
    stn, sdtn, judged = here.by_branch
    gradient = {"total": here.total, "main": stn + sdtn, "parallel": judged}[loss]
    np.testing.assert_allclose(first / first[0, 0], gradient / gradient[0, 0], rtol=1e-3)
    moved = motion.motion_of(path.thetas[0], path.thetas - path.thetas[0], toy.SIDE, toy.SIDE)
    np.testing.assert_allclose(path.shift, moved.shift_x)
    np.testing.assert_allclose(path.zoom, moved.zoom)
    error = np.linalg.norm(path.thetas[-1] - np.asarray(person.theta_star))
    assert path.error[-1] == pytest.approx(error)


def test_without_a_gradient_theta_stays():
    path = descend(toy.model(), toy.unlabelled(), toy.parallel(), steps=2)
    assert (path.thetas == path.thetas[0]).all() and not path.loss.any()


def test_what_cannot_be_descended_is_refused():
    with pytest.raises(ValueError, match="without a parallel network: give"):
        descend(toy.model(), toy.person(), loss="parallel")
    with pytest.raises(ValueError, match="must be finite"):
        landscape(toy.model(), toy.person(), theta=np.full((2, 3), np.inf))
    with pytest.raises(ValueError, match="no spatial transformer"):
        landscape(toy.plain(), toy.person())
