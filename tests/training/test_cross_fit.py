"""Two detectors on halves of drawn photographs, each boxing those it has not seen."""

from dataclasses import replace
from pathlib import Path

import pytest

from rmpe_jax.data.dataset import prepare
from rmpe_jax.evaluation import human_boxes
from rmpe_jax.training.cross_fit import cross_fit
from tests import small
from tests.training.test_detector_task import config


def test_each_half_is_boxed_by_the_detector_that_has_not_seen_it(tmp_path, monkeypatch):
    settings = config(tmp_path, steps=2)
    asked = []

    def evaluate(model, source, **kind):
        asked.append((model.config.data.left_out, sorted(entry.image_id for entry in source)))
        return {}, [
            {
                "image_id": entry.image_id,
                "category_id": 1,
                "bbox": [float(value) for value in (x0, y0, x1 - x0, y1 - y0)],
                "score": 0.9,
            }
            for entry in source.annotations()
            for x0, y0, x1, y1 in entry.persons.boxes_px
        ]

    trained = []
    monkeypatch.setattr("rmpe_jax.training.cross_fit.train", trained.append)
    monkeypatch.setattr("rmpe_jax.training.cross_fit.human_detector.load", lambda path: Held(path))
    monkeypatch.setattr(human_boxes, "evaluate", evaluate)

    class Held:
        def __init__(self, path):
            (self.config,) = [part for part in trained if Path(part.workdir) == path]

    result, found = cross_fit(settings, 2)
    assert [part.data.left_out for part in trained] == [0, 1]
    assert len({part.workdir for part in trained}) == 2
    for fold, numbers in asked:
        seen = {entry.image_id for entry in prepare(trained[fold].data, "train")}
        assert not seen & set(numbers)
    everybody = prepare(settings.data, "train")
    assert sorted(asked[0][1] + asked[1][1]) == [entry.image_id for entry in everybody]
    assert {entry["image_id"] for entry in found} == {entry.image_id for entry in everybody}
    # The boxes were the annotated ones, so all halves together are perfect.
    assert result["AP"] == pytest.approx(1.0) and result["boxes"] == len(found)


def test_settings_of_a_pose_network_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pyramid network; give the run"):
        cross_fit(small.config(tmp_path), 2)


def test_one_part_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--folds is 1"):
        cross_fit(config(tmp_path), 1)


def test_the_settings_of_a_packed_detector_have_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"CONFIG\.py instead of a packed file"):
        cross_fit(replace(config(tmp_path), workdir=""), 2)
