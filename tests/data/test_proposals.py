from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_jax.config import AugmentConfig
from rmpe_jax.data import densities, pgpg, proposals
from rmpe_jax.data.densities import Mixture
from rmpe_jax.data.jitter import jittered
from rmpe_jax.geometry import boxes
from rmpe_jax.skeletons import COCO17, MPII16
from tests.data.test_atoms import KINDS
from tests.data.test_densities import DETECTOR
from tests.data.test_fit_pgpg import write_detections
from tests.data.test_pairs import BOXES, photograph
from tests.data.test_pgpg import fitted

BOX = np.array((400.0, 300.0, 500.0, 600.0))
SIDES = np.array((100.0, 300.0, 100.0, 300.0))
PLAIN = np.zeros(4)
WILD = Mixture(DETECTOR.weights, DETECTOR.means * 5, DETECTOR.covariances * 100)
KINDS_OF_PROPOSALS = {
    "published": partial(jittered, amount=2.0),
    "pgpg": partial(proposals.drawn, ready=densities.sampler(WILD)),
    "jitter": partial(proposals.shaken, detected=np.array((-0.1, 0.1, 0.2, -0.1))),
}


def draws(propose, count=400, box=BOX, height=1000, width=1000):
    found = (propose(np.random.default_rng(seed), box, height, width) for seed in range(count))
    return np.array([one for one in found if one is not None])


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from([*KINDS_OF_PROPOSALS, "patch"]),
    seed=st.integers(0, 2**32),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    places=st.tuples(*[st.floats(-0.3, 1.3)] * 2, *[st.floats(0.01, 1.5)] * 2),
)
def test_boxes_are_never_empty_and_never_outside(name, seed, height, width, places):
    """Also where the annotated box reaches over the edge, and in an image of one pixel."""
    x, y, wide, high = places
    box = np.array((x * width, y * height, (x + wide) * width, (y + high) * height))
    propose = KINDS_OF_PROPOSALS.get(name, proposals.patch)
    found = propose(np.random.default_rng(seed), box, height, width)
    if found is not None:
        x_min, y_min, x_max, y_max = found
        assert 0 <= x_min and x_max <= width and x_max - x_min >= min(5, width) - 1e-9
        assert 0 <= y_min and y_max <= height and y_max - y_min >= min(5, height) - 1e-9


def test_offsets_drawn_are_those_of_the_density():
    narrow = Mixture(DETECTOR.weights, DETECTOR.means * 0.2, DETECTOR.covariances * 0.1)
    propose = partial(proposals.drawn, ready=densities.sampler(narrow))
    offsets = (draws(propose, 4000) - BOX) / SIDES
    mean = narrow.weights @ narrow.means
    away = narrow.means - mean
    variance = np.einsum("c,cii->i", narrow.weights, narrow.covariances)
    variance = variance + narrow.weights @ away**2
    assert (np.abs(offsets.mean(axis=0) - mean) < 4 * np.sqrt(variance / 4000)).all()
    np.testing.assert_allclose(offsets.var(axis=0), variance, rtol=0.08)


def test_jittered_boxes_overlap_and_differ_in_place_and_shape():
    found = draws(KINDS_OF_PROPOSALS["jitter"])
    assert (boxes.iou(found, BOX[None]) > 0.5).all()
    shape = np.divide(*boxes.size(found).T)
    assert shape.max() / shape.min() > 1.5
    assert (boxes.centre(found).std(axis=0) > (8, 20)).all()


def test_jitter_starts_from_the_detected_box():
    detected = np.array((0.1, 0.0, 0.1, 0.0))
    moved = draws(partial(proposals.shaken, detected=detected), 1500)
    plain = draws(partial(proposals.shaken, detected=PLAIN), 1500)
    by = (boxes.centre(moved) - boxes.centre(plain)).mean(axis=0)
    assert 3 < by[0] < 8 and abs(by[1]) < 4  # not 10: the far ones are thrown away


def test_most_draws_of_the_jitter_are_kept(monkeypatch):
    """The share that the comment on its constants states."""
    monkeypatch.setattr(proposals, "TRIES", 1)
    found = draws(partial(proposals.shaken, detected=PLAIN), 2000)
    assert 1 - (found == BOX).all(axis=1).mean() == pytest.approx(0.86, abs=0.03)


def test_a_jitter_that_finds_nothing_gives_the_annotated_box():
    far = partial(proposals.shaken, detected=np.array((5.0, 5.0, 5.0, 5.0)))
    np.testing.assert_array_equal(draws(far, 3), np.stack([BOX] * 3))


@pytest.mark.parametrize("name", [*KINDS_OF_PROPOSALS])
def test_as_many_numbers_are_drawn_whatever_comes_of_them(name):
    after = []
    for box in (BOX, BOX * 0.1):
        generator = np.random.default_rng(3)
        KINDS_OF_PROPOSALS[name](generator, box, 700, 700)
        after.append(generator.random())
    assert after[0] == after[1]


def test_three_boxes_in_ten_are_a_patch_of_the_same_shape():
    found = draws(proposals.patch, 3000)
    assert len(found) / 3000 == pytest.approx(0.3, abs=0.03)
    share = boxes.size(found) / (100, 300)
    np.testing.assert_allclose(share[:, 0], share[:, 1])
    assert 0.7 < share.min() < 0.71 and 0.99 < share.max() < 1


def test_patches_lie_anywhere_in_the_extended_box():
    found = (draws(proposals.patch, 3000) - BOX) / SIDES
    for low, high in (found[:, [0, 2]].T, found[:, [1, 3]].T):
        assert -0.15 <= low.min() < -0.13 and 0.13 < high.max() <= 0.15
    np.testing.assert_allclose(found.mean(axis=0)[:2], -found.mean(axis=0)[2:], atol=0.02)


def people():
    """Three photographs of one person, of a known kind each; the third has no hips."""
    entries = [photograph(number, BOXES[:1] * 10) for number in range(3)]
    for kind, entry in enumerate(entries):
        entry.persons.joints_px[0, :, :2] = KINDS[kind] * 30 + 100
    entries[2].persons.joints_px[0, [11, 12], 2] = 0
    return entries, np.array([[0, 0], [1, 0], [2, 0]])


@pytest.mark.parametrize("kind", ["global", "gaussian", "mixture"])
def test_each_person_is_drawn_by_the_density_of_the_file(tmp_path, kind):
    path = tmp_path / "fitted.json"
    pgpg.write(fitted(), path)
    config = AugmentConfig(proposals="pgpg", pgpg=str(path), pgpg_density=kind)
    propose = proposals.of_people(config, *people(), COCO17)
    one = fitted()
    for index, row in enumerate((0, 1, 3)):
        expected = one.density(row, kind)
        offsets = (draws(propose(index), 400) - BOX) / SIDES
        mean = expected.weights @ expected.means
        np.testing.assert_allclose(offsets.mean(axis=0), mean, atol=0.01)


def test_without_a_file_the_published_gaussian_is_drawn():
    entries, index = people()
    for config, amount in (
        (AugmentConfig(), 0.0),
        (AugmentConfig(jitter=1.5), 1.5),
        (AugmentConfig(proposals="pgpg"), 1.0),
        (AugmentConfig(proposals="pgpg", jitter=0.5), 0.5),
    ):
        propose = proposals.of_people(config, entries, index, COCO17)(0)
        expected = draws(partial(jittered, amount=amount), 5)
        np.testing.assert_array_equal(draws(propose, 5), expected)


def test_the_jitter_knows_each_persons_detection(tmp_path):
    entries = [photograph(0), photograph(1)]
    path = write_detections(tmp_path, {1: BOXES[[1]] + (2, 0, 2, 0)})
    config = AugmentConfig(proposals="jitter", detections=str(path))
    index = np.array([[0, 1], [1, 0], [1, 1]])
    propose = proposals.of_people(config, entries, index, COCO17)
    told = [propose(row).keywords["detected"] for row in range(3)]
    np.testing.assert_allclose(told, [PLAIN, PLAIN, (0.1, 0, 0.1, 0)])


def test_detections_of_other_photographs_are_refused_by_their_files_name(tmp_path):
    path = write_detections(tmp_path, {9999: BOXES})
    config = AugmentConfig(proposals="jitter", detections=str(path))
    with pytest.raises(ValueError, match=r"detections.json: none of the 1 photographs has"):
        proposals.of_people(config, [photograph(0)], np.array([[0, 1]]), COCO17)


def test_a_file_of_another_skeleton_is_refused_when_the_loader_starts(tmp_path):
    pgpg.write(fitted(), tmp_path / "fitted.json")
    config = AugmentConfig(proposals="pgpg", pgpg=str(tmp_path / "fitted.json"))
    with pytest.raises(ValueError, match="fitted for skeleton 'COCO17' .* MPII16"):
        proposals.of_people(config, *people(), MPII16)
