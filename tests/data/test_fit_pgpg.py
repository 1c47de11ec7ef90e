import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from rmpe_jax.data import coco, densities, detection_files, fit_densities, fit_pgpg, pairs, pgpg
from rmpe_jax.data.fit_pgpg import FitSettings
from rmpe_jax.skeletons import COCO17
from tests.data.test_atoms import people
from tests.data.test_densities import DETECTOR, drawn
from tests.data.test_pairs import photograph

QUIET = Console(quiet=True)
SETTINGS = FitSettings(atoms=3, least_pairs=60)
OF_KIND = np.array([(0.1, 0, 0, 0), (0, -0.1, 0, 0), (0, 0, 0, 0.1)])


def write_detections(folder, boxes_of, score=0.9):
    """Write boxes (corners) by image as COCO results."""
    rows = [
        {
            "image_id": image_id,
            "category_id": 1,
            "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
            "score": score,
        }
        for image_id, boxes_px in boxes_of.items()
        for x_min, y_min, x_max, y_max in np.asarray(boxes_px, float).tolist()
    ]
    (folder / "detections.json").write_text(json.dumps(rows))
    return folder / "detections.json"


def write_annotations(folder, poses, boxes_px):
    """Write one person a photograph."""
    annotations = [
        {
            "id": row,
            "image_id": row,
            "category_id": 1,
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "area": 1.0,
            "iscrowd": 0,
            "keypoints": pose.ravel().tolist(),
        }
        for row, (pose, box) in enumerate(zip(poses, boxes_px, strict=True))
    ]
    images = [
        {"id": row, "file_name": f"{row}.jpg", "height": 2000, "width": 2000}
        for row in range(len(poses))
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder / "annotations.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """People of three kinds whose detections err each kind in a way of its own."""
    folder = tmp_path_factory.mktemp("fit")
    kind, poses = people(0, 600)
    low, high = poses[..., :2].min(axis=1), poses[..., :2].max(axis=1)
    boxes_px = np.concatenate([low, high], axis=1)
    error = drawn(DETECTOR, 600, seed=4) * 0.2 + OF_KIND[kind]
    detected = boxes_px + error * np.tile(high - low, 2)
    found = {row: detected[[row]] for row in range(600) if row % 50}
    return write_annotations(folder, poses, boxes_px), write_detections(folder, found), kind, error


def run(files, out, **changed):
    settings = replace(SETTINGS, **changed)
    return fit_pgpg.fit_pgpg(out, files[0], files[1], settings=settings, console=QUIET)


@pytest.fixture(scope="module")
def result(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "fitted.json"
    return run(files, out), out


def test_each_atom_has_the_offsets_of_its_people(files, result):
    annotations, _, kind, error = files
    fitted = pgpg.read(result[1], COCO17)
    assert fitted.poses.sum() == 600 and fitted.pairs.sum() == 588
    joints = np.stack([one.persons.joints_px[0] for one in coco.index(annotations)])
    row = fitted.assign(joints)
    found = np.arange(600) % 50 > 0
    for atom in range(3):
        here = (row == atom) & found
        assert len(set(kind[row == atom])) == 1
        assert fitted.pairs[atom] == here.sum()
        gaussian = fitted.density(atom, "gaussian")
        np.testing.assert_allclose(gaussian.means[0], error[here].mean(axis=0), atol=1e-6)
    everybody = fitted.everybody.gaussian
    np.testing.assert_allclose(everybody.means[0], error[found].mean(axis=0), atol=1e-6)
    assert fitted.own[3] is None, "nobody lacks a torso"


def test_densities_by_atom_tell_more_where_atoms_matter(result):
    told = result[0]["held_out"]
    assert told["global"]["gain"] == 0
    for better, worse in (("gaussian", "global"), ("mixture", "global mixture")):
        gain = told[better]["log_likelihood"] - told[worse]["log_likelihood"]
        assert gain > 0.2
    assert told["mixture"]["gain"] > 5 * told["mixture"]["standard_error"] > 0
    own = told["mixture over global mixture"]
    gain = told["mixture"]["log_likelihood"] - told["global mixture"]["log_likelihood"]
    assert own["gain"] == pytest.approx(gain)
    assert result[0]["bic"]["mixture"] < result[0]["bic"]["gaussian"] < result[0]["bic"]["global"]


def test_held_out_people_are_not_fitted_to(monkeypatch):
    """Each fold's densities come from photographs that are not measured by them."""
    seen = []

    def remembered(generator, offsets, assigned, enough, prior):
        seen.append(offsets[:, 0])
        one = densities.from_deviation(np.zeros(4), np.full(4, 100.0))
        return pgpg.Density(one, one), (None,) * len(enough)

    monkeypatch.setattr(fit_densities, "fit_densities", remembered)
    offset = np.zeros((40, 4))
    offset[:, 0] = np.arange(40)
    image = np.repeat(np.arange(20), 2) * 7
    matched = fit_densities.Matched(image, np.zeros((40, 17, 3)), offset)
    measured = []
    whole = densities.log_density

    def measure(one, offsets):
        measured.append(offsets[:, 0])
        return whole(one, offsets)

    monkeypatch.setattr(densities, "log_density", measure)
    rows = np.zeros(40, np.int64)
    enough = np.array([True, False])
    fit_densities.held_out(np.random.default_rng(0), matched, rows, enough, 0.0)
    assert len(seen) == fit_densities.FOLDS
    for learnt in seen:
        left = np.setdiff1d(np.arange(40), learnt)
        assert len(left) == 8
        assert set(left // 2 * 2) == set(left[left % 2 == 0]), "photographs stay whole"
        assert any(np.array_equal(np.sort(one), left) for one in measured)


def test_an_atom_that_a_fold_leaves_too_few_people_is_measured_by_everybodys_density():
    offset = drawn(DETECTOR, 216)
    rows = np.repeat([0, 1], [200, 16])
    matched = fit_densities.Matched(np.arange(216) // 2, np.zeros((216, 17, 3)), offset)
    enough = np.array([True, True])
    told = fit_densities.held_out(np.random.default_rng(0), matched, rows, enough, 0.0)
    assert np.isfinite(told["mixture"]["log_likelihood"])


def test_standard_errors_take_people_of_one_photograph_together():
    values = np.array([1.0, 1.0, -1.0, -1.0])
    alone = fit_densities._standard_error(values, np.arange(4))
    together = fit_densities._standard_error(values, np.array([0, 0, 1, 1]))
    assert alone == pytest.approx(0.5) and together == pytest.approx(0.5 * 2**0.5)


def test_the_same_files_give_the_same_file(files, result, tmp_path):
    run(files, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == result[1].read_bytes()


def test_pictures_and_provenance_lie_in_the_file_and_beside_it(files, result):
    told, out = result
    for name in ("fitted_atoms.png", "fitted_offsets.png"):
        assert (out.parent / name).stat().st_size > 5000
    provenance = json.loads(out.read_text())["provenance"]
    assert provenance["detections"]["file"] == "detections.json"
    assert len(provenance["annotations"]["sha256"]) == 64
    assert str(out.parent) not in out.read_text() and str(files[0].parent) not in out.read_text()
    assert "588 matched people; 3 rows have a density of their own" in fit_pgpg.table(told)


def test_atoms_of_few_people_are_merged_into_everybody(files, tmp_path):
    counts = pgpg.read(_fit(files, tmp_path), COCO17).pairs[:3]
    between = int(np.sort(counts)[1:].mean())
    told = run(files, tmp_path / "x.json", least_pairs=between)
    fitted = pgpg.read(tmp_path / "x.json", COCO17)
    merged = [own is None for own in fitted.own]
    assert merged == [count < between for count in (*counts, 0)] and sum(merged) >= 2
    assert [count is None for count in told["components"]] == merged


def _fit(files, folder):
    run(files, folder / "first.json")
    return folder / "first.json"


def test_without_a_prior_each_atom_has_its_own_number_of_components(files, tmp_path):
    generator = np.random.default_rng(0)
    offsets = np.concatenate([drawn(DETECTOR, 900), generator.normal(size=(300, 4)) * 0.05])
    assigned = np.repeat([0, 1], [900, 300])
    enough = np.array([True, True, False])
    _, own = fit_densities.fit_densities(generator, offsets, assigned, enough, 0.0)
    assert [len(one.mixture.weights) for one in own[:2]] == [3, 1] and own[2] is None
    everybody, own = fit_densities.fit_densities(generator, offsets, assigned, enough, 1e9)
    np.testing.assert_allclose(own[1].mixture.means, everybody.mixture.means, atol=1e-5)


def test_poses_alone_give_atoms_and_the_published_gaussian(tmp_path):
    _, poses = people(1, 60, missing=0.2)
    np.savez(tmp_path / "poses.npz", keypoints=poses.astype(np.int16))
    told = fit_pgpg.fit_pgpg(
        tmp_path / "x.json", poses=tmp_path / "poses.npz", settings=SETTINGS, console=QUIET
    )
    fitted = pgpg.read(tmp_path / "x.json", COCO17)
    assert fitted.own == (None,) * 4 and fitted.pairs.tolist() == [0] * 4
    np.testing.assert_allclose(
        fitted.density(0, "mixture").means[0], (-0.0142, 0.0043, 0.0154, -0.0013)
    )
    assert "the published Gaussian stands for all people" in fit_pgpg.table(told)
    assert not (tmp_path / "x_offsets.png").exists()


def test_the_number_of_atoms_is_chosen_if_none_is_given(tmp_path):
    np.savez(tmp_path / "poses.npz", keypoints=people(1, 300)[1])
    told = fit_pgpg.fit_pgpg(tmp_path / "x.json", poses=tmp_path / "poses.npz", console=QUIET)
    assert str(told["atoms"]) in told["distortion"]


def refused(files, tmp_path, match, **changed):
    given = {"annotations": files[0], "detections": files[1]} | changed
    with pytest.raises(ValueError, match=match):
        fit_pgpg.fit_pgpg(tmp_path / "x.json", **({"settings": SETTINGS, "console": QUIET} | given))
    assert not (tmp_path / "x.json").exists()


def test_files_that_do_not_belong_together_are_refused(files, tmp_path):
    other = write_detections(tmp_path, {9999: [(0, 0, 5, 5)]})
    refused(files, tmp_path, "none of the 600 photographs has detections", detections=other)
    away = write_detections(tmp_path, {row: [(5000, 0, 5005, 5)] for row in range(600)})
    refused(files, tmp_path, "detections.json: no detection has IoU above 0.5", detections=away)
    refused(files, tmp_path, "detections .* came without annotations", annotations=None)
    refused(files, tmp_path, "no poses came: give COCO", annotations=None, detections=None)
    settings = replace(SETTINGS, least_pairs=589)
    refused(files, tmp_path, "588 people matched, and a density needs 589", settings=settings)
    refused(files, tmp_path, "least_pairs is 5", settings=replace(SETTINGS, least_pairs=5))
    refused(files, tmp_path, "prior is nan", settings=replace(SETTINGS, prior=float("nan")))
    refused(files, tmp_path, "700 atoms from 600 poses", settings=replace(SETTINGS, atoms=700))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("[NaN, 1, 2, 3]", "row 0: bbox: value 0 is nan, finite numbers are allowed"),
        ("[1, 1, -2, 3]", r"row 0: bbox \[1, 1, -2, 3\] is empty or inverted"),
    ],
)
def test_detections_with_impossible_boxes_are_refused(files, tmp_path, box, message):
    path = tmp_path / "bad.json"
    path.write_text(f'[{{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": {box}}}]')
    refused(files, tmp_path, message, detections=path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"joints": np.zeros((2, 17, 3))}, r"no keypoints; it has \['joints'\]"),
        (
            {"keypoints": np.zeros((2, 16, 3))},
            r"shape \(2, 16, 3\); poses .* of COCO17, \[n 17 3\]",
        ),
        ({"keypoints": np.full((2, 17, 3), np.inf)}, "pose 0 has numbers that are not finite"),
    ],
)
def test_archives_of_something_else_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "poses.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        fit_pgpg.read_poses(tmp_path / "poses.npz", COCO17)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "poses.npz").write_text("{}")
    with pytest.raises(ValueError, match="not a NumPy archive"):
        fit_pgpg.read_poses(tmp_path / "poses.npz", COCO17)
    with pytest.raises(ValueError, match="no such file; a NumPy archive with keypoints"):
        fit_pgpg.read_poses(tmp_path / "absent.npz", COCO17)


def test_real_detections_lie_about_people_as_published(data_root):
    """Centred, with the spread of a good detector: somewhat below what the authors' had."""
    photographs = coco.index(data_root / "coco_pose" / "annotations" / "person_keypoints_val.json")
    found = detection_files.read(data_root / "detections" / "nanodet_plus_m15x_coco_val.json")
    offset = pairs.of_photographs(photographs, found).offset
    assert len(offset) > 500
    np.testing.assert_allclose(offset.mean(axis=0), 0, atol=0.02)
    assert (offset.std(axis=0) > 0.04).all() and (offset.std(axis=0) < 0.12).all()


def test_training_waits_for_nothing_that_only_fitting_needs():
    code = (
        "import sys, rmpe_jax.data.loader, rmpe_jax.data.fit_pgpg\n"
        "assert 'sklearn' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_crowds_and_people_without_joints_are_no_poses():
    entry = photograph(crowd=[0], unlabelled=[1])
    np.testing.assert_array_equal(fit_pgpg._labelled(entry), entry.persons.joints_px[[2]])
