"""Schemes of pose NMS whose parameters are sought on the same poses."""

import json

import pytest

from rmpe_jax.ablation import elimination
from rmpe_jax.ablation.elimination import Judged
from rmpe_jax.data import coco as coco_files
from rmpe_jax.evaluation import box_map, redundant_poses
from rmpe_jax.evaluation.found import from_records
from rmpe_jax.evaluation.metrics import BOX
from rmpe_jax.pose_nms import RMPE_MPII
from rmpe_jax.skeletons import COCO17

PHOTOGRAPHS = 40


@pytest.fixture(scope="module")
def judged(data_root):
    """Real redundant poses of some photographs."""
    annotations = data_root / "coco_pose" / "annotations" / "person_keypoints_val.json"
    photographs = sorted(coco_files.index(annotations), key=lambda entry: entry.image_id)
    file = data_root / "redundant_poses" / "tinypose_on_nanodet_coco_val.npz"
    image, poses = redundant_poses.read(file, 17)
    photographs = photographs[:PHOTOGRAPHS]
    data = redundant_poses.of_photographs(photographs, image, poses, COCO17)
    return Judged(data, photographs, COCO17, BOX)


def reached(judged, records):
    """Return the figure of COCO results, by another way than `Judged.figure`."""
    found = from_records(records, judged.photographs, COCO17)
    return box_map.table(box_map.judge(judged.photographs, found, COCO17))["Total"]


@pytest.fixture(scope="module")
def found(judged, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nms")
    return {
        kind: elimination.learned(judged, kind, folder / f"{kind}.json")
        for kind in ("learned", "unmerged", "matched_joints", "truncated_mean")
    }


@pytest.mark.parametrize("kind", ["learned", "unmerged", "matched_joints", "truncated_mean"])
def test_what_is_learned_reaches_what_it_says_and_helps(kind, judged, found):
    chosen = json.loads(json.dumps(found[kind]))
    left = elimination.eliminated(judged.data, chosen)
    everything = elimination.eliminated(judged.data, None)
    assert 0 < len(left) < len(everything) == judged.data.poses.valid.sum()
    assert reached(judged, left) == pytest.approx(chosen["reached"], abs=2e-3)
    assert chosen["reached"] > reached(judged, everything) + 0.05


def test_no_parameters_of_a_grid_are_better(judged, found):
    for kind, grid in elimination.GRIDS.items():
        for tried in grid[:: len(grid) // 3]:
            other = {"scheme": kind, "parameters": tried._asdict()}
            left = elimination.eliminated(judged.data, other)
            assert reached(judged, left) <= found[kind]["reached"] + 2e-3


def test_poses_are_merged_unless_that_is_off(judged, found):
    def places(kind):
        return {
            (one["image_id"], tuple(one["keypoints"]))
            for one in elimination.eliminated(judged.data, found[kind])
        }

    given = {
        (one["image_id"], tuple(one["keypoints"]))
        for one in elimination.eliminated(judged.data, None)
    }
    assert places("unmerged") <= given
    assert not places("learned") <= given


def test_published_parameters_are_those_of_the_authors(judged):
    chosen = json.loads(json.dumps(elimination.published()))
    assert chosen["parameters"] == RMPE_MPII.parameters._asdict()
    assert 0 < len(elimination.eliminated(judged.data, chosen)) < judged.data.poses.valid.sum()


def test_an_interrupted_search_goes_on_from_its_trace(judged, tmp_path, monkeypatch):
    trace, calls = tmp_path / "trace.json", []
    figures = elimination._figures

    def counted(*given, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return figures(*given, **options)

    monkeypatch.setattr(elimination, "_figures", counted)
    with pytest.raises(KeyboardInterrupt):
        elimination.learned(judged, "learned", trace)
    before = len(json.loads(trace.read_text())["grids"])
    assert before == 2
    resumed = elimination.learned(judged, "learned", trace)
    after = len(json.loads(trace.read_text())["grids"])
    assert len(calls) == 3 + after - before
    assert 0 < resumed["reached"] < 1


def test_the_figure_is_that_of_the_paper_where_a_set_has_heads():
    assert elimination.limb_metric("mpii") == "MPII mAP"
    assert elimination.limb_metric("coco") == elimination.limb_metric("synthetic") == BOX
