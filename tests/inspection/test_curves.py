import json

import numpy as np
import pytest

from rmpe_jax.inspection.curves import WRITTEN, Curves, curves

LINES = [
    {"step": 20, **{name: 0.5 * at for at, name in enumerate(WRITTEN)}},
    {"step": 40, "loss_main": 3.0, "theta_determinant": 0.9},
    {"step": 40, "AP": 0.7},
]


def write(file, lines, tail=""):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


def test_each_figure_comes_out_under_its_name(tmp_path):
    write(tmp_path / "metrics.jsonl", LINES, tail='{"step": 60, "loss_ma')
    found = curves(tmp_path / "metrics.jsonl")
    np.testing.assert_array_equal(found.step, [20, 40])
    for at, name in enumerate(Curves._fields[1:]):
        assert getattr(found, name)[0] == 0.5 * at
    np.testing.assert_array_equal(found.loss_main, [0, 3.0])
    assert found.determinant[1] == 0.9
    assert np.isnan(found.loss_parallel[1]) and np.isnan(found.cosine[1])


def test_of_a_run_in_stages_the_last_with_a_transformer(tmp_path):
    write(tmp_path / "1_sppe" / "metrics.jsonl", [{"step": 1, "loss": 2.0}])
    with pytest.raises(ValueError, match=r"trained no spatial transformer.*synthetic_rmpe"):
        curves(tmp_path)
    for stage in (2, 10):
        write(tmp_path / f"{stage}_sstn" / "metrics.jsonl", [{"step": stage, "loss_main": 1.0}])
    write(tmp_path / "11_more" / "metrics.jsonl", [{"step": 1, "loss": 2.0}])
    write(tmp_path / "old_copy" / "metrics.jsonl", [{"step": 99, "loss_main": 2.0}])
    assert curves(tmp_path).step.tolist() == [10]
    assert curves(tmp_path / "2_sstn").step.tolist() == [2]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no metrics\.jsonl.*workdir of `rmpe train`"):
        curves(tmp_path)
