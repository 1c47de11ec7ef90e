import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from rmpe_jax.evaluation import ranking
from rmpe_jax.evaluation.ranking import Ranking


def one(image, true, needed, false=None) -> Ranking:
    true = np.array([true], bool).reshape(1, -1)
    false = ~true if false is None else np.array([false], bool).reshape(1, -1)
    needed = np.array(needed).reshape(1, -1)
    return Ranking(np.array(image, np.int64), true, false, needed)


def random(seed: int, n: int = 200, photographs: int = 30, judges: int = 4, ties: bool = False):
    """Return (image, score, true, false, needed): ties are within a photograph only."""
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, photographs, n))
    score = rng.permutation(n) / n
    if ties:
        score = image / photographs + rng.integers(0, 3, n) / (10 * photographs)
    true = rng.random((judges, n)) < 0.5
    false = ~true & (rng.random((judges, n)) < 0.7)
    needed = np.stack([np.bincount(image[t], minlength=photographs) for t in true])
    return image, score, true, false, needed + rng.integers(0, 3, needed.shape)


def coco(true, false, score, needed) -> tuple[float, float]:
    """Return (AP, AR) of one judge from pycocotools' own accumulate."""
    scorer = COCOeval(iouType="keypoints")
    scorer.params.iouThrs = np.array([0.5])
    scorer.params.imgIds, scorer.params.catIds = [1], [1]
    scorer.params.areaRng, scorer.params.maxDets = [[0, 1e10]], [len(score) + 1]
    scorer._paramsEval = scorer.params
    scorer.evalImgs = [
        {
            "dtScores": score,
            "dtMatches": true[None].astype(float),
            "dtIgnore": (~true & ~false)[None],
            "gtIgnore": np.zeros(needed),
        }
    ]
    scorer.accumulate()
    return float(np.mean(scorer.eval["precision"])), float(scorer.eval["recall"].item())


def voc(true, false, needed) -> float:
    """Return the area under the envelope, in plain loops."""
    recall, precision, hits, misses = [0.0], [0.0], 0, 0
    for is_true, is_false in zip(true, false, strict=True):
        hits, misses = hits + bool(is_true), misses + bool(is_false)
        if is_true or is_false:
            recall.append(hits / needed)
            precision.append(hits / (hits + misses))
    recall, precision = [*recall, 1.0], [*precision, 0.0]
    for at in range(len(precision) - 2, -1, -1):
        precision[at] = max(precision[at], precision[at + 1])
    return sum((recall[a] - recall[a - 1]) * precision[a] for a in range(1, len(recall)))


@pytest.mark.parametrize("seed", range(8))
def test_precision_and_recall_are_pycocotools_to_the_last_bit(seed):
    image, score, true, false, needed = random(seed)
    score = np.round(score, 1)  # many ties, on and across photographs
    ranked = ranking.by_score(image, score, true, false, needed)
    expected = [
        coco(t, f, score, int(n)) for t, f, n in zip(true, false, needed.sum(1), strict=True)
    ]
    found = zip(
        ranking.interpolated_precision(ranked).tolist(),
        ranking.highest_recall(ranked).tolist(),
        strict=True,
    )
    assert list(found) == expected


def test_a_single_true_detection_has_the_last_bit_missing_as_in_pycocotools():
    score, true = np.array([0.5]), np.array([True])
    expected, _ = coco(true, ~true, score, 1)
    found = ranking.interpolated_precision(one([0], [1], [1])).item()
    assert found == expected < 1


@pytest.mark.parametrize("seed", range(8))
def test_the_area_is_that_of_plain_loops(seed):
    image, score, true, false, needed = random(seed)
    ranked = ranking.by_score(image, score, true, false, needed)
    expected = [
        voc(t, f, n) for t, f, n in zip(ranked.true, ranked.false, needed.sum(1), strict=True)
    ]
    np.testing.assert_allclose(ranking.area_under_precision(ranked), expected, rtol=1e-13)


FIGURES = (
    ranking.interpolated_precision,
    ranking.area_under_precision,
    ranking.highest_recall,
)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_photographs_repeated(figure, seed):
    image, score, true, false, needed = random(seed)
    weights = np.random.default_rng(seed).integers(0, 4, needed.shape[1])
    photographs = np.repeat(np.arange(len(weights)), weights)
    rows = [np.flatnonzero(image == photograph) for photograph in photographs]
    new = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    rows = np.concatenate(rows)
    repeated = ranking.by_score(
        new, score[rows], true[:, rows], false[:, rows], needed[:, photographs]
    )
    ranked = ranking.by_score(image, score, true, false, needed)
    np.testing.assert_allclose(figure(ranked, weights), figure(repeated), rtol=1e-13)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_detections_repeated_in_their_place_where_scores_are_equal(figure, seed):
    image, score, true, false, needed = random(seed, ties=True)
    weights = np.random.default_rng(seed).integers(0, 4, needed.shape[1])
    rows = np.repeat(np.arange(len(image)), weights[image])
    repeated = ranking.by_score(
        image[rows], score[rows], true[:, rows], false[:, rows], needed * weights
    )
    ranked = ranking.by_score(image, score, true, false, needed)
    np.testing.assert_allclose(figure(ranked, weights), figure(repeated), rtol=1e-13)


def test_equal_scores_on_a_photograph_count_side_by_side_when_it_counts_twice():
    ranked = one([0, 0], [1, 0], [1])
    np.testing.assert_allclose(ranking.area_under_precision(ranked, np.array([2])), [1.0])
    in_turn = one([0, 0, 1, 1], [1, 0, 1, 0], [1, 1])  # what two photographs would give
    np.testing.assert_allclose(ranking.area_under_precision(in_turn), [(1 + 2 / 3) / 2])


@pytest.mark.parametrize("figure", FIGURES)
def test_weights_of_one_and_of_fractions_change_nothing(figure):
    ranked = ranking.by_score(*random(0))
    ones = np.ones(ranked.needed.shape[1], int)
    np.testing.assert_array_equal(figure(ranked, ones), figure(ranked))
    np.testing.assert_allclose(figure(ranked, ones * 0.25), figure(ranked), rtol=1e-12)


@pytest.mark.parametrize("figure", FIGURES)
def test_photographs_of_weight_zero_are_not_there(figure):
    ranked = one([1, 0, 1, 0], [0, 1, 0, 1], [2, 7])
    alone = one([0, 0], [1, 1], [2])
    np.testing.assert_array_equal(figure(ranked, np.array([1, 0])), figure(alone))


@pytest.mark.parametrize("weights", [None, np.ones(2, int)])
def test_nothing_needed_is_told_apart_from_nothing_found(weights):
    empty = one([], [], [0, 0])
    assert ranking.interpolated_precision(empty, weights).tolist() == [-1]
    assert ranking.highest_recall(empty, weights).tolist() == [-1]
    assert np.isnan(ranking.area_under_precision(empty, weights)).tolist() == [True]
    missed = one([], [], [1, 2])
    assert [figure(missed, weights).tolist() for figure in FIGURES] == [[0], [0], [0]]
    only_false = one([0], [0], [1, 2])
    assert [figure(only_false, weights).tolist() for figure in FIGURES] == [[0], [0], [0]]


def test_a_weight_for_each_photograph_may_leave_nothing_needed():
    ranked = one([0, 1], [1, 0], [1, 0])
    assert ranking.interpolated_precision(ranked, np.array([0, 3])).tolist() == [-1]
    assert np.isnan(ranking.area_under_precision(ranked, np.array([0, 3])))


def test_by_hand():
    ranked = one([0, 0, 0, 0], [1, 0, 1, 0], [4])
    np.testing.assert_allclose(ranking.area_under_precision(ranked), [(1 + 2 / 3) / 4])
    expected = (26 * 1 + 25 * 2 / 3) / 101  # recalls 0 to .25, .26 to .50
    np.testing.assert_allclose(ranking.interpolated_precision(ranked), [expected])
    np.testing.assert_allclose(ranking.highest_recall(ranked), [0.5])


def test_what_is_neither_true_nor_false_is_ignored():
    ranked = one([0, 0, 0], [1, 0, 1], [2], false=[0, 0, 0])
    np.testing.assert_allclose(ranking.area_under_precision(ranked), [1.0])


def test_equal_scores_keep_their_order():
    image = np.arange(40) % 3
    same = np.zeros((1, 40), bool)
    ranked = ranking.by_score(image, np.full(40, 0.5), same, ~same, np.ones((1, 3), int))
    np.testing.assert_array_equal(ranked.image, image)


def test_the_highest_score_comes_first():
    true = np.array([[False, True]])
    score = np.array([0.1, 0.9])
    ranked = ranking.by_score(np.array([0, 1]), score, true, ~true, np.ones((1, 2), int))
    assert ranked.image.tolist() == [1, 0]
    assert ranked.true.tolist() == [[True, False]]
    assert ranked.false.tolist() == [[False, True]]


def test_units_are_joined():
    ranked = one([0, 1, 2], [1, 1, 0], [1, 2, 4])
    joined = ranking.regroup(ranked, np.array([1, 0, 1]), 3)
    assert joined.image.tolist() == [1, 0, 1]
    assert joined.needed.tolist() == [[2, 5, 0]]


@pytest.mark.parametrize("weights", [np.ones(3, int), np.array([1, -1]), np.zeros(0, int)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="each of the 2 photographs"):
        ranking.area_under_precision(one([0], [1], [1, 1]), weights)
