import json

import cv2
import numpy as np
import pytest

from rmpe_jax.config import DataConfig
from rmpe_jax.data import dataset
from rmpe_jax.evaluation import compare, report, run


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    config = DataConfig(prepared=str(tmp_path_factory.mktemp("prepared")), synthetic_train=12)
    return dataset.prepare(config, "train")


def poses(source, spread, seed=0):
    """Return the annotated poses with noise, as COCO results."""
    generator = np.random.default_rng(seed)
    made = []
    for entry in source.annotations():
        for row, joints in enumerate(entry.persons.joints_px):
            if (joints[:, 2] > 0).any():
                noisy = joints + [*generator.normal(0, spread, 2), 0]
                noisy[:, 2] = 0.9
                made.append(
                    {
                        "image_id": entry.image_id,
                        "category_id": 1,
                        "keypoints": noisy.reshape(-1).tolist(),
                        "score": 0.9 - 0.001 * len(made),
                        "person_id": int(entry.persons.person_id[row]),
                    }
                )
    return made


def scored(source, spread, **more):
    return run.score_records(source, poses(source, spread), resamples=200, **more)


def test_what_is_written_is_whole_and_can_be_read(source, tmp_path):
    evaluated = scored(source, 4.0)
    written = report.write(tmp_path / "out", evaluated, source)
    assert [path.name for path in written] == [
        "result.json",
        "records.json",
        "draws.npz",
        "result.md",
        "worst.png",
    ]
    result = json.loads(written[0].read_text())
    assert result["AP"] == evaluated.result["AP"] and result["data_set"] == "synthetic"
    assert result["data_fingerprint"] == source.fingerprint
    assert json.loads(written[1].read_text()) == evaluated.records
    assert set(np.load(written[2])) == {"COCO", "mAP@0.1box"}
    header, rule, row = written[3].read_text().splitlines()
    assert header.count("|") == rule.count("|") == row.count("|")
    assert source.fingerprint[:12] in row and f"{result['AP']:.3f} [" in row
    assert cv2.imread(str(written[4])).shape[1] > 400
    assert not list((tmp_path / "out").glob("*.new"))


def test_the_worst_are_shown_beside_what_was_annotated(source):
    evaluated = scored(source, 25.0)
    worst = [entry["AP"] for entry in evaluated.result["worst"]]
    assert len(worst) == 10 and worst == sorted(worst)
    assert report.worst_pictures(evaluated, source) is not None
    nothing = evaluated._replace(result=evaluated.result | {"worst": []})
    assert report.worst_pictures(nothing, source) is None


def test_a_photograph_on_which_nothing_was_found_can_be_shown(source):
    evaluated = run.score_records(source, [], resamples=0)
    assert evaluated.result["AP"] == 0.0
    assert report.worst_pictures(evaluated, source) is not None


def test_the_table_tells_figures_intervals_and_parts(source):
    result = scored(source, 4.0).result
    text = report.table(result)
    low, high = result["intervals"]["COCO"]["AP"]
    assert f"interval of AP (bootstrap over images): {low:.3f} to {high:.3f}" in text
    assert "| mAP@0.1box | Head |" in text and "AP by people (people): 1: " in text
    assert "boxes: not told" in text


def test_poses_of_other_images_are_an_error_or_told(source):
    strange = [*poses(source, 1.0), poses(source, 1.0)[0] | {"image_id": 4711}]
    with pytest.raises(ValueError, match="image_id 4711 is none of the 12 photographs"):
        run.score_records(source, strange, resamples=0)
    told = []
    result = run.score_records(source, strange, resamples=0, on_skip=told.append).result
    assert len(told) == result["poses_of_other_images"] == 1
    assert "; 1 poses of other images left out" in report.table(result)
    assert result["poses"] == len(strange) - 1


def test_a_result_is_told_apart_from_a_much_worse_one_and_not_from_its_like(source, tmp_path):
    for name, spread in (("good", 2.0), ("bad", 9.0)):
        report.write(tmp_path / name, scored(source, spread), source)
    rows = compare.compare(tmp_path / "bad", tmp_path / "good" / "result.json")
    by_name = {(row.metric, row.figure): row for row in rows}
    ap = by_name["COCO", "AP"]
    results = [
        json.loads((tmp_path / n / "result.json").read_text())["AP"] for n in ("bad", "good")
    ]
    assert [ap.a, ap.b] == results and ap.difference == pytest.approx(results[1] - results[0])
    assert ap.told_apart and ap.low > 0 and ap.better == 1.0
    worse = compare.compare(tmp_path / "good", tmp_path / "bad")[0]
    assert worse.told_apart and worse.high < 0 and worse.better == 0.0
    same = compare.compare(tmp_path / "bad", tmp_path / "bad")
    assert not any(row.told_apart for row in same)
    assert {row.better for row in same if row.better == row.better} == {0.5}
    text = compare.table(rows)
    assert "told apart" in text and "100 % of draws" in text and "| mAP@0.1box | Total |" in text


def test_results_on_other_photographs_are_not_compared(source, tmp_path):
    report.write(tmp_path / "one", scored(source, 2.0), source)
    folder = tmp_path / "other"
    report.write(folder, scored(source, 2.0), source)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"data_fingerprint": "x"}))
    with pytest.raises(ValueError, match="measured on other photographs .*same set and split"):
        compare.compare(tmp_path / "one", folder)
    (folder / "result.json").write_text(json.dumps(result | {"skeleton": "MPII16"}))
    with pytest.raises(ValueError, match="measured on other joints"):
        compare.compare(tmp_path / "one", folder)


def test_a_folder_without_draws_says_what_to_give(source, tmp_path):
    report.write(tmp_path / "one", scored(source, 2.0), source)
    (tmp_path / "one/draws.npz").unlink()
    with pytest.raises(ValueError, match="one has no draws.npz; give two folders that `rmpe eval"):
        compare.compare(tmp_path / "one", tmp_path / "one")


def test_other_numbers_of_draws_are_refused(source, tmp_path):
    report.write(tmp_path / "one", scored(source, 2.0), source)
    fewer = run.score_records(source, poses(source, 2.0), resamples=10)
    report.write(tmp_path / "two", fewer, source)
    with pytest.raises(ValueError, match=r"\(200, 10\) draws .* COCO, .*\(10, 10\): .*--resam"):
        compare.compare(tmp_path / "one", tmp_path / "two")


def test_results_without_intervals_have_nothing_to_compare(source, tmp_path):
    report.write(tmp_path / "one", run.score_records(source, [], resamples=0), source)
    with pytest.raises(ValueError, match="no metric with draws in common: .*--resamples above 0"):
        compare.compare(tmp_path / "one", tmp_path / "one")


def test_every_row_is_a_persons_whatever_its_category(source):
    """COCO's figures come from two programs: they must judge the same rows."""
    strange = [r | {"category_id": 7} for r in poses(source, 3.0)]
    for record in strange[::2]:
        del record["category_id"]
    result = run.score_records(source, strange, resamples=100).result
    assert result["AP"] == run.score_records(source, poses(source, 3.0), resamples=0).result["AP"]
    low, high = result["intervals"]["COCO"]["AP"]
    assert 0 < low <= result["AP"] <= high


def test_figures_that_cannot_be_taken_are_dashes_and_not_compared(source, tmp_path):
    evaluated = scored(source, 2.0)
    result = evaluated.result | {"APm": -1.0}
    result["mAP@0.1box"] = result["mAP@0.1box"] | {"Ank": None}
    report.write(tmp_path / "one", evaluated._replace(result=result), source)
    assert " | - | " in report.table(result)
    figures = {row.figure for row in compare.compare(tmp_path / "one", tmp_path / "one")}
    assert {"AP", "Total"} < figures and not {"APm", "Ank"} & figures


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("result.json", "{}", "result.json: no data_fingerprint, skeleton; it has"),
        ("result.json", "{", "result.json: not valid JSON"),
        ("draws.npz", "junk", "draws.npz is damaged .*evaluate again"),
    ],
)
def test_damaged_results_are_named(source, tmp_path, name, content, message):
    report.write(tmp_path / "one", scored(source, 2.0), source)
    (tmp_path / "one" / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        compare.compare(tmp_path / "one", tmp_path / "one")


def test_an_earlier_picture_does_not_stay(source, tmp_path):
    evaluated = scored(source, 2.0)
    report.write(tmp_path, evaluated, source)
    report.write(tmp_path, evaluated._replace(result=evaluated.result | {"worst": []}), source)
    assert not (tmp_path / "worst.png").exists()
