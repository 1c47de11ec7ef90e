import json

import numpy as np
import pytest

from rmpe_jax.evaluation import metrics, score
from rmpe_jax.evaluation.found import from_records
from rmpe_jax.skeletons import COCO17, CROWDPOSE14, LSP14, MPII16
from tests.evaluation import cases


def case(skeleton=COCO17, count=12):
    generator = np.random.default_rng(0)
    entries = cases.photographs(generator, count, skeleton=skeleton)
    return entries, cases.found(generator, entries, spread=6.0)


def test_every_metric_of_the_set_has_figures_intervals_and_draws():
    entries, found = case()
    scores = score.score(entries, found, COCO17, "coco", resamples=40)
    assert list(scores.figures) == ["COCO", "mAP@0.1box"] and not scores.refused
    for name in scores.figures:
        leading = metrics.METRICS[name].leading
        low, high = scores.intervals[name][leading]
        assert low <= scores.figures[name][leading] <= high and low < high
        assert scores.draws[name].shape == (40, len(scores.figures[name]))


def test_without_resamples_there_are_no_intervals():
    scores = score.score(*case(), COCO17, "coco", resamples=0)
    assert scores.intervals == scores.draws == {}


def test_crowdpose_has_its_levels():
    scores = score.score(*case(CROWDPOSE14), CROWDPOSE14, "crowdpose", resamples=0)
    assert list(scores.figures) == ["COCO", "CrowdPose"]
    assert not scores.refused
    assert {"APeasy", "APmedium", "APhard"} < set(scores.figures["CrowdPose"])


def one_each(entries, skeleton):
    """Return for every person one pose, which is the annotation."""
    made = []
    for entry in entries:
        for row, person in enumerate(entry.persons.person_id):
            joints = entry.persons.joints_px[row].copy()
            joints[:, 2] = 1
            made.append(
                {
                    "image_id": entry.image_id,
                    "keypoints": joints.reshape(-1).tolist(),
                    "score": 1.0,
                    "person_id": int(person),
                }
            )
    return from_records(made, entries, skeleton)


def test_single_person_metrics_need_one_pose_for_each_person():
    entries, found = case(LSP14)
    own = one_each(entries, LSP14)
    scores = score.score(entries, own, LSP14, "lsp", resamples=0)
    assert scores.figures["PCK@0.2"]["Total"] == scores.figures["PCP"]["Total"] == 1.0
    nobodys = found._replace(person_id=np.full(len(found.score), -1))
    refused = score.score(entries, nobodys, LSP14, "lsp", resamples=0).refused
    assert set(refused) == {"PCK@0.2", "PCP"}
    assert "annotated boxes, or a person_id in each record" in refused["PCP"]


def test_where_everybody_is_alone_a_pose_is_that_persons():
    entries = [e for e in case(LSP14, 40)[0] if len(e.persons.area) == 1]
    own = one_each(entries, LSP14)
    nobodys = own._replace(person_id=np.full(len(own.score), -1))
    scores = score.score(entries, nobodys, LSP14, "lsp", resamples=0)
    assert scores.figures["PCP"]["Total"] == 1.0


def test_poses_beside_a_better_one_are_told():
    entries, _ = case(LSP14)
    own = one_each(entries, LSP14)
    twice = type(own)(*(np.concatenate([field, field[:3]]) for field in own))
    told = score.score(entries, twice, LSP14, "lsp", resamples=0).left_out["PCK@0.2"]
    assert told["poses beside a better one of the same person"] == 3


def test_mpii_has_all_its_figures():
    entries, _ = case(MPII16)
    for entry in entries:
        members = list(range(len(entry.persons.area)))
        entry.facts["groups"] = [{"members": members, "box_px": [-1e3, -1e3, 2e3, 2e3]}]
    scores = score.score(entries, one_each(entries, MPII16), MPII16, "mpii", resamples=5)
    assert set(scores.figures) == {"COCO", "MPII mAP", "PCKh@0.5"}
    assert scores.figures["PCKh@0.5"]["mean_hrnet_count_weighted"] == 1.0
    assert set(scores.draws) == set(scores.figures)


def test_what_is_left_out_is_told():
    entries, _ = case(MPII16)
    entries[0].persons.head_size_px[:] = np.nan
    scores = score.score(entries, one_each(entries, MPII16), MPII16, "mpii", resamples=0)
    persons = entries[0].persons
    judged = int((~persons.is_crowd & ~persons.is_ignored).sum())
    told = scores.left_out["PCKh@0.5"]
    assert judged > 0 and told == {"people without a unit of length": judged}
    assert "none of the 12 photographs says its groups" in scores.refused["MPII mAP"]


def test_the_flat_result_is_plain_json_without_nan():
    entries, found = case()
    result = score.flat(score.score(entries, found, COCO17, "coco", resamples=5))
    again = json.loads(json.dumps(result, allow_nan=False))
    assert again["AP"] == result["AP"] and again["mAP@0.1box"]["Total"] is not None
    assert set(again["intervals"]) == {"COCO", "mAP@0.1box"}


@pytest.mark.parametrize("name", ["synthetic", "coco", "halpe26", "ochuman"])
def test_sets_without_figures_of_their_own_have_cocos_and_ours(name):
    assert metrics.of_set(name) == ("COCO", "mAP@0.1box")


def test_every_leading_figure_is_one_of_its_table():
    entries, _ = case(MPII16, count=2)
    for entry in entries:
        entry.facts["groups"] = []
    for name in (metrics.MPII, metrics.PCKH, metrics.COCO, metrics.CROWDPOSE):
        metric = metrics.METRICS[name]
        judged = metric.judge(entries, one_each(entries, MPII16), MPII16)
        assert metric.leading in metric.table(judged, MPII16, None)
    for name in (metrics.PCK, metrics.PCP):
        metric = metrics.METRICS[name]
        lsp, _ = case(LSP14, count=2)
        judged = metric.judge(lsp, one_each(lsp, LSP14), LSP14)
        assert metric.leading in metric.table(judged, LSP14, None)


def test_draws_in_which_nobody_is_of_a_size_do_not_pull_its_interval_down():
    """One photograph of six has people of medium size: a third of the draws are without it."""
    entries, _ = case(count=6)
    for row, entry in enumerate(entries):
        entry.persons.area[:] = 2000.0 if row == 2 else 1e5
        entry.persons.is_ignored[:] = entry.persons.is_crowd[:] = False
    assert entries[2].persons.to_find.any()
    scores = score.score(entries, one_each(entries, COCO17), COCO17, "coco", resamples=60)
    column = list(scores.figures["COCO"]).index("APm")
    assert 5 < np.isnan(scores.draws["COCO"][:, column]).sum() < 40
    assert scores.intervals["COCO"]["APm"] == pytest.approx([1.0, 1.0])
