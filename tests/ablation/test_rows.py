"""The rows, against the paper's table."""

from pathlib import Path

import numpy as np
import pytest

from rmpe_jax.ablation.rows import EXTENSIONS, FULL, PAPER, ROWS, chosen
from rmpe_jax.config import changed, checked, load
from rmpe_jax.models.build import build

CONFIGS = Path(__file__).parents[2] / "configs"
ROUNDING = 0.06  # of figures with one decimal, and of their mean


def test_the_ten_rows_of_table_3_are_there_in_its_order():
    assert list(PAPER) == [
        "full",
        "no_sstn",
        "no_parallel",
        "no_pgpg",
        "jitter",
        "no_nms",
        "matched_joints",
        "truncated_mean",
        "two_step",
        "oracle",
    ]
    totals = [row.paper[-1] for row in PAPER.values()]
    assert totals == [80.8, 78.2, 79.1, 73.0, 77.9, 75.7, 79.1, 79.9, 71.7, 84.2]


def test_totals_are_means_where_the_paper_has_them_so():
    off = {
        name
        for name, row in PAPER.items()
        if abs(np.mean(row.paper[:-1]) - row.paper[-1]) > ROUNDING
    }
    assert off == {"full", "matched_joints", "truncated_mean"}


def test_each_row_takes_away_what_it_says_and_nothing_else():
    full = PAPER[FULL]
    changes = {
        name: {
            field
            for field in ("proposals", "transformer", "parallel", "nms", "oracle", "change")
            if getattr(row, field) != getattr(full, field)
        }
        for name, row in PAPER.items()
    }
    assert changes == {
        "full": set(),
        "no_sstn": {"transformer", "parallel"},
        "no_parallel": {"parallel"},
        "no_pgpg": {"proposals"},
        "jitter": {"proposals"},
        "no_nms": {"nms"},
        "matched_joints": {"nms"},
        "truncated_mean": {"nms"},
        "two_step": {"proposals", "transformer", "parallel", "nms"},
        "oracle": {"oracle"},
    }


@pytest.mark.parametrize("table", ["synthetic", "coco_small", "tinypose", "mpii"])
@pytest.mark.parametrize("name", EXTENSIONS)
def test_an_extension_changes_settings_that_there_are(name, table, data_root):
    config = load(str(CONFIGS / f"ablation_{table}.py"))
    row = ROWS[name]
    assert row.paper is None
    made = checked(changed(config, {**row.change, "augment.proposals": "pgpg"}))
    assert (made != config) == (bool(row.change) or config.augment.proposals != "pgpg")
    if not row.change:
        assert row != PAPER[FULL]
    build(made.model, 17)  # which refuses sizes that a network cannot take
    if "model.family" in row.change:
        assert made.model.family == name
        assert (made.model.frozen_stages, made.optimiser.trunk_rate) == (0, 1.0)
        assert name != "hourglass" or made.model.stacks == 2


def test_rows_are_chosen_by_name_and_the_full_one_is_always_there():
    assert list(chosen(None)) == list(PAPER)
    assert list(chosen("all")) == [*PAPER, *EXTENSIONS]
    assert list(chosen("oracle, no_nms")) == ["full", "no_nms", "oracle"]
    with pytest.raises(ValueError, match="--rows names 'nms'; allowed are full, no_sstn"):
        chosen("full,nms")
