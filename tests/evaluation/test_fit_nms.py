import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from rmpe_jax import nms_sets
from rmpe_jax.chain import person_score
from rmpe_jax.evaluation import (
    coco,
    fast_oks,
    fit_nms,
    nms_comparison,
    nms_grid,
    nms_search,
    nms_trace,
    redundant_poses,
)
from rmpe_jax.pose_nms import ALPHAPOSE_COCO, RMPE_MPII, NmsParameters, pose_nms
from rmpe_jax.predict import to_records
from rmpe_jax.records import Poses
from rmpe_jax.skeletons import COCO17
from tests.evaluation.test_coco import photograph

QUICK = nms_search.Thoroughness(coarse=4, fine=3, refinements=1, options=("merge",))
QUIET = Console(quiet=True)
RESULTS = Path(__file__).parents[2] / "experiments" / "results"


def pycocotools(data: redundant_poses.Data, poses: Poses) -> float:
    records = [
        record
        for row, image_id in enumerate(data.ids)
        for record in to_records(Poses(*(np.asarray(f)[row] for f in poses)), image_id)
    ]
    return coco.average_precision(data.truth, records, COCO17)["AP"]


def in_double(arrays):
    return jax.tree.map(
        lambda a: a.astype(np.float64) if np.asarray(a).dtype.kind == "f" else a, arrays
    )


def fast(data: redundant_poses.Data, poses: Poses) -> float:
    _, truth = fast_oks.truth_arrays(data.truth)
    return float(fast_oks.average_precision(truth, poses, sigmas=COCO17.sigmas))


def rounded(poses: Poses) -> Poses:
    """As they stand in a file of records."""
    return poses._replace(joints_px=np.round(np.asarray(poses.joints_px, np.float64), 3))


@pytest.fixture(scope="module")
def validation(data_root):
    """Real redundant poses on the 338 photographs."""
    return redundant_poses.read_data(
        data_root / "redundant_poses" / "tinypose_on_nanodet_coco_val.npz",
        data_root / "coco_pose" / "annotations" / "person_keypoints_val.json",
        COCO17,
    )


def test_precision_is_that_of_pycocotools_on_real_poses(validation, float64):
    merged = jax.jit(jax.vmap(lambda one: pose_nms(one, *RMPE_MPII)))(validation.poses)
    for poses in (validation.poses, merged):
        poses = in_double(rounded(jax.tree.map(np.asarray, poses)))
        assert fast(validation, poses) == pytest.approx(pycocotools(validation, poses), abs=1e-6)


def test_what_was_learned_on_other_photographs_beats_all_else_on_these(validation):
    """experiments/fit_nms_redundant.py; the other figures are those of a plain loop, see LOG.md."""
    learned = nms_sets.read(RESULTS / "fit_nms_coco.json")
    compared = nms_comparison.schemes(learned, COCO17)
    wanted = {
        "none": 0.5954,
        "OKS 0.9": 0.5979,
        "RMPE_MPII, no merging": 0.5629,
        "ALPHAPOSE_COCO, no merging, by similarity only": 0.5741,
    }
    found = nms_comparison.compare(
        validation, {name: compared[name] for name in ("learned", *wanted)}, COCO17
    )
    for name, figure in wanted.items():
        assert found[name]["AP"] == pytest.approx(figure, abs=1e-4), name
        assert found["learned"]["AP"] > found[name]["AP"] + 0.002
    told = json.loads((RESULTS / "fit_nms_coco.json").read_text())["tested_on"]["learned"]
    assert found["learned"]["AP"] == pytest.approx(told["AP"], abs=1e-4)


def test_precision_in_single_precision_is_as_good_as_the_search_needs(validation):
    expected = pycocotools(validation, validation.poses)
    assert expected == pytest.approx(0.5954, abs=5e-5)  # a plain loop, before this was written
    assert fast(validation, validation.poses) == pytest.approx(expected, abs=2e-5)


def drawn(seed: int, images: int = 6) -> redundant_poses.Data:
    """Noisy copies of annotated people, crowds and people without joints among them."""
    generator = np.random.default_rng(seed)
    photographs, rows, image = [], [], []
    for image_id in range(1, images + 1):
        shot = photograph(image_id, int(generator.integers(0, 5)), seed)
        persons = shot.persons
        unlabelled = generator.random(len(persons.area)) < 0.2
        joints = persons.joints_px * np.where(unlabelled, 0, 1)[:, None, None]
        persons = persons._replace(joints_px=joints, is_crowd=generator.random(len(joints)) < 0.2)
        photographs.append(shot._replace(persons=persons))
        for person in shot.persons.joints_px[:, :, :2]:
            for _ in range(8):  # more than 20 on some photographs
                noise_px = generator.normal(size=(17, 2)) * generator.uniform(0, 8)
                rows.append(person + noise_px)
                image.append(image_id)
    joints_px = np.array(rows)
    confidence = generator.uniform(0.1, 1, joints_px.shape[:2])
    score = np.round(generator.random(len(rows)), 1)  # with ties
    boxes_px = np.concatenate([joints_px.min(axis=1), joints_px.max(axis=1)], axis=1)
    valid = np.ones(len(rows), bool)
    flat = Poses(joints_px, confidence, confidence, boxes_px, score, score, valid)
    truth = coco.ground_truth(photographs, COCO17)
    ids, _ = fast_oks.truth_arrays(truth)
    return redundant_poses.Data(truth, ids, redundant_poses.by_image(np.array(image), flat, ids))


@pytest.mark.parametrize("seed", range(5))
def test_precision_is_that_of_pycocotools_with_crowds_ties_and_more_than_20_poses(seed, float64):
    data = drawn(seed)
    poses = rounded(data.poses)
    assert poses.valid.sum(axis=1).max() > 20
    expected = pycocotools(data, poses)
    assert 0.05 < expected < 0.95
    assert fast(data, poses) == pytest.approx(expected, abs=1e-6)


def test_precision_of_nobody_and_of_nothing_found():
    data = drawn(0)
    nothing = data.poses._replace(valid=np.zeros_like(data.poses.valid))
    assert fast(data, nothing) == 0
    no_rows = Poses(*(field[:, :0] for field in data.poses))
    assert fast(data, no_rows) == 0
    empty = coco.ground_truth([photograph(1, 0)], COCO17)
    assert (
        fast(redundant_poses.Data(empty, [1], data.poses), Poses(*(f[:1] for f in data.poses)))
        == -1
    )


class KeptNear(NamedTuple):
    """A measure of one's own: how near the number of kept poses is to a wanted one."""

    wanted: int

    def __call__(self, truth, poses):
        return -jnp.abs(jnp.sum(poses.valid) - self.wanted).astype(jnp.float32)


def task(data: redundant_poses.Data, trace: Path | None = None, **changed) -> nms_search.Task:
    _, truth = fast_oks.truth_arrays(data.truth)
    single = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a, data.poses)
    measure = changed.pop("measure", fit_nms.OksPrecision(COCO17.sigmas))
    return nms_search.Task(
        partial(nms_grid.figures, single, truth, measure=measure),
        nms_trace.Trace(trace, "these", QUIET),
        replace(QUICK, **changed),
    )


def searched(work: nms_search.Task):
    """Return (poses, truth, measure) of what a task searches."""
    return *work.figures.args, work.figures.keywords["measure"]


@pytest.mark.parametrize("axes", [("eta", "lambda_"), ("sigma1", "sigma2")])
@pytest.mark.parametrize("options", [RMPE_MPII.options, ALPHAPOSE_COCO.options])
def test_a_grid_is_pose_nms_at_each_of_its_points(axes, options):
    poses, truth, measure = searched(task(drawn(1)))
    values = {name: np.geomspace(*nms_search.RANGES[name], 3) for name in axes}
    grid = nms_grid.figures(
        *(poses, truth, RMPE_MPII.parameters, values),
        options=options,
        measure=measure,
    )
    assert len(np.unique(grid)) > 2
    x, y = axes
    for at in np.ndindex(grid.shape):
        point = {x: values[x][at[0]], y: values[y][at[1]]}
        parameters = RMPE_MPII.parameters._replace(**point)
        kept = jax.vmap(lambda one, p=parameters: pose_nms(one, p, options))(poses)
        alone = measure(truth, kept)
        assert grid[at] == pytest.approx(float(alone), abs=1e-6), point


def test_the_search_finds_better_parameters_for_average_precision():
    work = task(drawn(2), options=("carried",))
    poses, truth, measure = searched(work)
    found = nms_search.fit(work)
    published = nms_grid.figures(
        *(poses, truth, RMPE_MPII.parameters),
        {"eta": np.array([22.48]), "lambda_": np.array([2.08])},
        options=RMPE_MPII.options,
        measure=measure,
    )
    assert found.figure > published[0, 0] + 0.01
    kept = jax.vmap(lambda one: pose_nms(one, found.parameters, found.options))(poses)
    assert found.figure == pytest.approx(float(measure(truth, kept)), abs=1e-6)


PEAK = NmsParameters(sigma1=0.123, sigma2=0.77, lambda_=0.31, eta=7.77)


def hill(poses, truth, parameters, axes, *, options, measure):
    """A figure in place of those of a grid: 1 at PEAK, and a little more with some support."""
    first, second = axes
    found = np.empty((len(axes[first]), len(axes[second])))
    for at in np.ndindex(found.shape):
        point = parameters._replace(**{first: axes[first][at[0]], second: axes[second][at[1]]})
        off = sum(np.log(value / best) ** 2 for value, best in zip(point, PEAK, strict=True))
        found[at] = 1 - 0.01 * off + (0.001 if options.support == 0.1 else 0)
    return found


def test_a_search_is_never_worse_than_its_start(monkeypatch):
    monkeypatch.setattr(nms_grid, "figures", hill)
    work = task(drawn(6), coarse=3, fine=3, options=())
    found = nms_search.fit(work, RMPE_MPII._replace(parameters=PEAK))
    assert found == nms_search.Fit(PEAK, RMPE_MPII.options, 1.0)
    elsewhere = nms_search.fit(work).figure
    assert 0.9 < elsewhere < 1, "the grids do not meet the top"


def test_an_option_of_little_gain_is_found_beside_well_searched_parameters(monkeypatch):
    monkeypatch.setattr(nms_grid, "figures", hill)
    work = task(drawn(6), coarse=3, fine=3, options=("support", "merge"))
    found = nms_search.fit(work, RMPE_MPII._replace(parameters=PEAK))
    assert (found.options.support, found.options.merge) == (0.1, True)


def test_any_measure_can_be_searched():
    data = drawn(3)
    measure = KeptNear(int(data.poses.valid.sum()) // 2)
    work = task(data, measure=measure, options=())
    poses, _, _ = searched(work)
    published = jax.vmap(lambda one: pose_nms(one, *RMPE_MPII))(poses)
    found = nms_search.fit(work)
    kept = jax.vmap(lambda one: pose_nms(one, found.parameters, found.options))(poses)
    assert found.figure == measure(None, kept) > measure(None, published) / 2


def test_a_search_that_was_killed_goes_on_and_finds_the_same(tmp_path, monkeypatch):
    computed = []
    whole = nms_grid.figures

    def counted(*arguments, **options):
        computed.append(1)
        return whole(*arguments, **options)

    monkeypatch.setattr(nms_grid, "figures", counted)
    expected = nms_search.fit(task(drawn(4)))
    total = len(computed)

    def killed(*arguments, **options):
        if len(computed) == total + 3:
            raise KeyboardInterrupt
        return counted(*arguments, **options)

    monkeypatch.setattr(nms_grid, "figures", killed)
    with pytest.raises(KeyboardInterrupt):
        nms_search.fit(task(drawn(4), tmp_path / "trace.json"))
    monkeypatch.setattr(nms_grid, "figures", counted)
    assert nms_search.fit(task(drawn(4), tmp_path / "trace.json")) == expected
    assert len(computed) == 2 * total
    assert not list(tmp_path.glob("*.partial"))


def test_the_trace_of_other_poses_is_refused(tmp_path):
    nms_trace.Trace(tmp_path / "trace.json", "these").add({"axes": {}}, np.zeros((1, 1)))
    with pytest.raises(ValueError, match="other poses or annotations; delete it"):
        nms_trace.Trace(tmp_path / "trace.json", "others")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_file_that_is_no_trace_is_refused(tmp_path, content):
    (tmp_path / "trace.json").write_text(content)
    with pytest.raises(ValueError, match="trace.json is not the trace of a search .*delete it"):
        nms_trace.Trace(tmp_path / "trace.json", "these")


def write(folder: Path, data: redundant_poses.Data) -> tuple[Path, Path]:
    records = [
        record
        for row, image_id in enumerate(data.ids)
        for record in to_records(Poses(*(field[row] for field in data.poses)), image_id)
    ]
    (folder / "records.json").write_text(json.dumps(records))
    (folder / "people.json").write_text(json.dumps(data.truth))
    return folder / "records.json", folder / "people.json"


def test_from_files_to_what_was_learned(tmp_path):
    files = write(tmp_path, drawn(5))
    result = fit_nms.fit_nms(
        *files,
        tmp_path / "out",
        test_poses=files[0],
        test_annotations=files[1],
        thoroughness=QUICK,
        console=QUIET,
    )
    assert json.loads((tmp_path / "out" / "fit_nms.json").read_text()) == result
    assert (tmp_path / "out" / "pairs.png").stat().st_size > 5000
    for where in ("learned_on", "tested_on"):
        figures = result[where]
        assert figures["learned"]["AP"] >= max(figures["RMPE_MPII"]["AP"], figures["none"]["AP"])
        assert figures["none"]["poses"] == len(json.loads(files[0].read_text()))
    assert "learned: sigma1" in nms_comparison.table(result)


def test_records_and_archives_are_read_alike(tmp_path):
    records, _ = write(tmp_path, drawn(6))
    image, poses = redundant_poses.read(records, 17)
    expected = person_score(jnp.asarray(poses.box_score), jnp.asarray(poses.confidence))
    np.testing.assert_array_equal(poses.score, expected)
    np.savez(
        tmp_path / "poses.npz",
        image=image,
        joints_px=poses.joints_px,
        joint_scores=poses.confidence,
        boxes_px=poses.boxes_px,
        detector_scores=poses.box_score,
    )
    other_image, other = redundant_poses.read(tmp_path / "poses.npz", 17)
    np.testing.assert_array_equal(image, other_image)
    for one, same in zip(poses, other, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-6)


def archive(**changed):
    fields = {
        "image": np.array([1, 2]),
        "joints_px": np.zeros((2, 17, 2)),
        "joint_scores": np.zeros((2, 17)),
        "boxes_px": np.ones((2, 4)),
        "detector_scores": np.ones(2),
    }
    return {name: value for name, value in (fields | changed).items() if value is not None}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (archive(boxes_px=None), "no boxes_px; it has"),
        (
            archive(joints_px=np.zeros((2, 16, 2))),
            r"joints_px have shape \(2, 16, 2\); \(2, 17, 2\)",
        ),
        (archive(detector_scores=np.array([1, np.nan])), "box scores of pose 1 are not finite"),
    ],
)
def test_archives_that_cannot_be_used_are_refused(tmp_path, fields, message):
    np.savez(tmp_path / "poses.npz", **fields)
    with pytest.raises(ValueError, match=message):
        redundant_poses.read(tmp_path / "poses.npz", 17)


@pytest.mark.parametrize("content", [b"", b"PK nothing"])
def test_files_that_are_no_archives_are_refused(tmp_path, content):
    (tmp_path / "poses.npz").write_bytes(content)
    with pytest.raises(ValueError, match="poses.npz: not a NumPy archive of arrays"):
        redundant_poses.read(tmp_path / "poses.npz", 17)


def test_one_array_alone_is_no_archive(tmp_path):
    with (tmp_path / "poses.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="one array, not several"):
        redundant_poses.read(tmp_path / "poses.npz", 17)


def record(**changed):
    """Records of one pose, as JSON."""
    one = {"image_id": 1, "keypoints": [1, 2, 3] * 17, "bbox": [1, 2, 3, 4], "box_score": 1}
    return json.dumps([one | changed])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "not valid JSON"),
        ("[]", "one a pose, is expected"),
        ('[{"image_id": 1, "keypoints": [1, 2, 3]}]', "pose 0: no bbox, box_score; it has"),
        ("[1, 2]", "pose 0 is 1; a COCO result"),
        (record(keypoints=None), "pose 0: keypoints is None; a list of numbers"),
        (record(keypoints=[1, 2, 3, 4]), r"keypoints is \[1, 2, 3, 4\]; .* 3 a joint"),
        (record(bbox=[1, 2, "3", 4]), "bbox is .* 4 for the box"),
    ],
)
def test_records_that_cannot_be_used_are_refused(tmp_path, content, message):
    (tmp_path / "records.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        redundant_poses.read(tmp_path / "records.json", 17)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file; `rmpe eval` writes"):
        redundant_poses.read(tmp_path / "absent.json", 17)
    records, people = write(tmp_path, drawn(7))
    moved = [{**record, "image_id": 99} for record in json.loads(records.read_text())]
    records.write_text(json.dumps(moved))
    with pytest.raises(ValueError, match="none of the 1 images with poses is among the 6"):
        redundant_poses.read_data(records, people, COCO17)


def test_of_many_photographs_some_are_chosen_always_the_same(tmp_path):
    records, people = write(tmp_path, drawn(8))
    whole = redundant_poses.read_data(records, people, COCO17)
    some, again = (redundant_poses.read_data(records, people, COCO17, most=2) for _ in range(2))
    assert len(some.ids) == 2 and set(some.ids) < set(whole.ids)
    assert some.ids == again.ids
    assert len(some.truth["images"]) == 2


def test_photographs_without_poses_can_be_left_out(tmp_path):
    records, people = write(tmp_path, drawn(8))
    some = [record for record in json.loads(records.read_text()) if record["image_id"] != 1]
    records.write_text(json.dumps(some))
    everybody = redundant_poses.read_data(records, people, COCO17)
    fewer = redundant_poses.read_data(records, people, COCO17, only_with_poses=True)
    assert 1 in everybody.ids and 1 not in fewer.ids
    assert set(fewer.ids) == {record["image_id"] for record in some}
