import json
from dataclasses import asdict, replace

import pytest

from rmpe_jax import nms_sets
from rmpe_jax.pose_nms import ALPHAPOSE_COCO, RMPE_MPII


def written(folder, named=RMPE_MPII, **changed):
    path = folder / "fit_nms.json"
    content = {
        "parameters": named.parameters._asdict() | changed.pop("parameters", {}),
        "options": asdict(named.options) | changed.pop("options", {}),
        **changed,
    }
    path.write_text(json.dumps(content))
    return path


def test_names_mean_the_published_sets_and_none_means_none():
    assert nms_sets.chosen("none") is None
    assert nms_sets.chosen("rmpe_mpii") == RMPE_MPII
    assert nms_sets.chosen("alphapose_coco") == ALPHAPOSE_COCO


def test_a_file_gives_back_what_was_written(tmp_path):
    named = ALPHAPOSE_COCO._replace(options=replace(ALPHAPOSE_COCO.options, support=0.3))
    assert nms_sets.chosen(str(written(tmp_path, named, learned_on={}))) == named


def test_a_name_that_nobody_knows_is_refused_with_the_names():
    with pytest.raises(ValueError, match="'alphapose' is no file; choose none, rmpe_mpii, alpha"):
        nms_sets.chosen("alphapose")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'parameters'"),
        ('{"parameters": {"sigma1": 1}, "options": {}}', "missing 3 required"),
        ('{"parameters": {}, "options": {"joy": 1}}', "joy|missing"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, message):
    path = tmp_path / "fit_nms.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"does not hold parameters of pose NMS .*{message}"):
        nms_sets.read(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parameters": {"eta": 0}}, "eta is 0; finite numbers above 0"),
        ({"parameters": {"sigma2": -1.0}}, "sigma2 is -1"),
        ({"options": {"region": "square"}}, "region is 'square'; allowed are 'circle', 'box'"),
        ({"options": {"merge": "no"}}, "merge is 'no'; allowed are true, false"),
        ({"options": {"matched_joints": "5"}}, "matched_joints is '5'; allowed are whole numbers"),
        ({"options": {"matched_joints": True}}, "matched_joints is True; allowed are whole"),
        ({"options": {"support": -1.0}}, "support is -1.0; allowed are numbers from 0"),
        ({"options": {"merge_radius_px": float("inf")}}, "merge_radius_px is inf; allowed are num"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        nms_sets.read(written(tmp_path, **changed))
