"""Which jobs a table is made of: what is shared, what is fair, and what is refused."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rmpe_jax.ablation import jobs
from rmpe_jax.ablation.plan import Cell, plan
from rmpe_jax.ablation.rows import EXTENSIONS, FULL, PAPER, ROWS, Row
from rmpe_jax.config import (
    AblationConfig,
    BoxesConfig,
    DevicesConfig,
    EvaluationConfig,
    ModelConfig,
    STNConfig,
)
from tests.ablation import tables
from tests.models import test_graph


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tables.config(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def made(config):
    return plan(config, PAPER, 1)


def everything(made):
    return jobs.ordered([*made.boxes.values(), *made.scores.values()])


def whole(job):
    """Return the settings with which a job trains."""
    return job.work.keywords["config"]


def needs(job, kind):
    return [need for need in job.needs if need.kind == kind]


def names(found):
    return [job.name for job in found]


def test_stage_1_is_trained_once_for_each_kind_of_proposals(made):
    trained = [job for job in everything(made) if job.kind == "train"]
    first = [job for job in trained if not needs(job, "train")]
    assert Counter(whole(job).augment.proposals for job in first) == {
        "pgpg": 1,
        "jitter": 1,
        "none": 1,
    }
    assert all(whole(job).model.stn.form == "none" for job in first)
    # full, no_sstn, no_parallel, no_pgpg, jitter, two_step; the other four share the full one.
    assert len(trained) == 3 + 6


def test_rows_that_train_nothing_share_the_networks_of_the_full_system(made):
    of = {row: made.trainings[row, 0].name for row in PAPER}
    shared = {row for row in PAPER if of[row] == of[FULL]}
    assert shared == {FULL, "no_nms", "matched_joints", "truncated_mean", "oracle"}


def test_all_rows_see_as_many_crops_in_the_same_order(made, config):
    for row in PAPER:
        last = made.trainings[row, 0]
        (start, *judge) = needs(last, "train")
        assert whole(last).train.steps == config.stages[1].steps
        assert whole(start).train.steps == config.stages[0].steps
        for job in (last, start, *judge):
            assert whole(job).train.seed == config.train.seed
            assert whole(job).train.batch_size == config.train.batch_size
            assert whole(job).augment.jitter == 0
        assert whole(last).optimiser.learning_rate == config.stages[1].learning_rate


def test_the_parallel_sppe_has_seen_well_centred_people_only(made):
    for row in ("full", "no_pgpg", "jitter"):
        last = made.trainings[row, 0]
        start, judge = needs(last, "train")
        assert whole(judge).augment.proposals == "none"
        assert whole(start).augment.proposals == PAPER[row].proposals
        assert last.work.keywords["roles"][:2] == ("start", "parallel")
    for row in ("no_sstn", "no_parallel", "two_step"):
        assert "parallel" not in made.trainings[row, 0].work.keywords["roles"]


def test_a_parallel_sppe_can_be_given(config, tmp_path):
    (tmp_path / "maps.npy").write_bytes(b"")
    given = replace(config, train=replace(config.train, parallel=str(tmp_path)))
    planned = plan(given, PAPER, 1)
    with_it = {
        row for row in PAPER if whole(planned.trainings[row, 0]).train.parallel == str(tmp_path)
    }
    assert with_it == {row for row in PAPER if PAPER[row].parallel}
    for row in PAPER:
        (start,) = needs(planned.trainings[row, 0], "train")
        assert whole(start).train.parallel is None
    other = plan(given, {name: ROWS[name] for name in (FULL, "hourglass", "unfrozen")}, 1)
    for row in ("hourglass", "unfrozen"):
        assert whole(other.trainings[row, 0]).train.parallel is None, "it would not fit"
        assert "parallel" in other.trainings[row, 0].work.keywords["roles"]
    (tmp_path / "maps.npy").write_bytes(b"other")
    again = plan(given, PAPER, 1)
    changed = {r for r in PAPER if again.trainings[r, 0].name != planned.trainings[r, 0].name}
    assert changed == with_it, "what is in it counts"
    with pytest.raises(ValueError, match="train.parallel is 'nowhere'; there is no such"):
        plan(replace(config, train=replace(config.train, parallel="nowhere")), PAPER, 1)


def test_rows_without_a_transformer_go_on_without_one(made):
    forms = {row: whole(made.trainings[row, 0]).model.stn.form for row in PAPER}
    assert {row for row, form in forms.items() if form == "none"} == {"no_sstn", "two_step"}


def test_what_is_fitted_comes_from_the_training_side(made):
    for job in everything(made):
        if job.kind == "pgpg":
            assert [need.kind for need in job.needs] == ["boxes"]
        if job.kind == "nms":
            (poses,) = job.needs
            assert poses.request["part"] == "held-out"
        if job.kind == "score":
            assert job.needs[0].request["part"] == "validation"


def test_a_column_without_training_boxes_uses_what_was_learned_in_the_first(made):
    first, second = (made.scores[Cell(boxes, FULL, 0)] for boxes in ("files", "moved"))
    assert names(needs(first, "nms")) == names(needs(second, "nms"))
    assert names(needs(first, "poses")) != names(needs(second, "poses"))


def test_oracle_boxes_are_the_same_in_every_column(made):
    assert made.scores[Cell("files", "oracle", 0)].name == (
        made.scores[Cell("moved", "oracle", 0)].name
    )
    (poses,) = needs(made.scores[Cell("files", "oracle", 0)], "poses")
    assert [need.kind for need in poses.needs] == ["train"]


def test_another_seed_trains_anew_but_shares_boxes_and_proposals(made, config):
    two = plan(config, PAPER, 2)
    known = names(everything(made))
    added = Counter(job.kind for job in everything(two) if job.name not in known)
    assert added["train"] == 9 and added["boxes"] == added["pgpg"] == 0
    seeds = {whole(two.trainings[FULL, seed]).train.seed for seed in (0, 1)}
    assert seeds == {config.train.seed, config.train.seed + 1}


def test_where_files_lie_changes_nothing(made, config):
    moved = replace(
        config, workdir="elsewhere", data=replace(config.data, threads=1, root="nowhere")
    )
    again = {job.name for job in everything(plan(moved, PAPER, 1))}
    assert again == {job.name for job in everything(made)}


@pytest.mark.parametrize(
    ("group", "change", "matters"),
    [
        ("train", {"evaluate_every": 5, "log_every": 7, "keep": 3}, False),
        ("evaluation", {"boxes": "x.json"}, False),
        ("devices", {"stall_seconds": 7.0}, False),
        ("devices", {"accumulate": 2}, True),
        ("devices", {"norm_groups": 2}, True),
        ("augment", {"gain": 0.33}, True),
        ("optimiser", {"ema": 0.8}, True),
        ("data", {"weight": 2.0}, True),
    ],
)
def test_only_settings_that_matter_are_in_the_name(made, config, group, change, matters):
    other = replace(config, **{group: replace(getattr(config, group), **change)})
    again = plan(other, PAPER, 1)
    same = again.trainings[FULL, 0].name == made.trainings[FULL, 0].name
    assert same != matters


def test_the_flip_of_the_test_changes_no_training(made, config):
    other = plan(replace(config, evaluation=replace(config.evaluation, flip=True)), PAPER, 1)
    assert other.trainings[FULL, 0].name == made.trainings[FULL, 0].name
    cell = Cell("files", FULL, 0)
    assert other.scores[cell].name != made.scores[cell].name


def test_the_weights_of_a_graph_are_part_of_the_name(config, tmp_path):
    path = test_graph.written(tmp_path)
    model = ModelConfig(
        family="graph",
        graph=str(path),
        input_height=32,
        input_width=32,
        stn=STNConfig("affine", "pose"),
    )
    mine = replace(config, model=model)
    before = plan(mine, {FULL: PAPER[FULL]}, 1).trainings[FULL, 0].name
    assert plan(mine, {FULL: PAPER[FULL]}, 1).trainings[FULL, 0].name == before
    with np.load(path.with_suffix(".npz")) as file:
        arrays = dict(file)
    np.savez(path.with_suffix(".npz"), **arrays | {"a.bias": arrays["a.bias"] + 1})
    assert plan(mine, {FULL: PAPER[FULL]}, 1).trainings[FULL, 0].name != before


def test_a_detector_is_trained_for_boxes_once_for_all_thresholds(config, tmp_path):
    path = tmp_path / "detector.py"
    path.write_text(
        "from rmpe_jax.config import Config, ModelConfig\n"
        "config = Config(model=ModelConfig(family='detector', input_height=64, input_width=64))\n"
    )

    def made(threshold):
        boxes = (BoxesConfig("own", config=str(path), threshold=threshold),)
        mine = replace(config, ablation=replace(config.ablation, boxes=boxes))
        return plan(mine, {FULL: PAPER[FULL]}, 1).boxes["own"]

    low, high = made(0.1), made(0.5)
    assert low.name != high.name and names(low.needs) == names(high.needs)
    path.write_text(path.read_text() + "# a remark\n")
    assert names(made(0.1).needs) == names(low.needs)
    path.write_text(
        path.read_text().replace("64, input", "96, input").replace("width=64", "width=96")
    )
    assert names(made(0.1).needs) != names(low.needs)


def test_what_is_learned_depends_on_the_boxes(made, config, tmp_path):
    column = config.ablation.boxes[0]
    records = json.loads(Path(column.train).read_text())
    records[0]["score"] = 0.5
    other = tmp_path / "other.json"
    other.write_text(json.dumps(records))
    boxes = (replace(column, train=str(other)), *config.ablation.boxes[1:])
    changed = plan(replace(config, ablation=replace(config.ablation, boxes=boxes)), PAPER, 1)
    same = {r for r in PAPER if changed.trainings[r, 0].name == made.trainings[r, 0].name}
    # Without proposals nothing is fitted to boxes.
    assert same == {"no_pgpg", "two_step"}


def test_extensions_share_what_they_do_not_change(made, config):
    rows = {name: ROWS[name] for name in (FULL, *EXTENSIONS)}
    more = plan(config, rows, 1)
    known = {job.name for job in everything(made)}

    def start(name):
        return needs(more.trainings[name, 0], "train")[0].name

    for name in ("unmerged", "published"):
        assert more.trainings[name, 0].name == more.trainings[FULL, 0].name
    for name in ("scale_shift", "centred_main", "unfrozen"):
        assert start(name) in known and more.trainings[name, 0].name not in known
    for name in ("pgpg_global", "pgpg_atoms", "samples_4", "hourglass", "fastpose"):
        assert start(name) not in known
    main = more.trainings["centred_main", 0]
    assert "parallel" not in main.work.keywords["roles"]
    assert whole(main).train.centred == "main"
    assert "parallel" in more.trainings["unfrozen", 0].work.keywords["roles"]
    published = more.scores[Cell("files", "published", 0)]
    assert not needs(published, "nms")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ablation": AblationConfig()}, "one or more with names of their own"),
        (
            {"ablation": AblationConfig((BoxesConfig("a", jitter=1.0),))},
            "the first, 'a', has none on the training photographs",
        ),
        (
            {"ablation": AblationConfig((BoxesConfig("a", train="x", jitter=1.0, config="y"),))},
            "'a' wants one of validation",
        ),
        (
            {"ablation": AblationConfig((BoxesConfig("a", train="x", jitter=1.0),))},
            "'a' wants one of validation",
        ),
        ({"stages": ()}, "0 stages came; a table needs two"),
        ({"devices": DevicesConfig(distributed=True)}, "devices.distributed is set"),
        ({"evaluation": EvaluationConfig(resamples=0)}, "evaluation.resamples is 0"),
    ],
)
def test_settings_that_make_no_table_are_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        plan(replace(config, **change), PAPER, 1)


def test_other_settings_that_make_no_table(config):
    with pytest.raises(ValueError, match="--seeds is 0"):
        plan(config, PAPER, 0)
    with pytest.raises(ValueError, match="keeps a part of the training photographs"):
        plan(replace(config, data=replace(config.data, folds=1)), PAPER, 1)
    with pytest.raises(ValueError, match="form is 'none'; a table of ablations"):
        plan(replace(config, model=replace(config.model, stn=STNConfig())), PAPER, 1)
    missing = replace(config.ablation.boxes[0], train="nowhere.json")
    with pytest.raises(ValueError, match="nowhere.json: no such file"):
        plan(replace(config, ablation=AblationConfig((missing,))), PAPER, 1)
    row = {FULL: PAPER[FULL], "odd": Row("odd", change={"model.input_height": 33})}
    with pytest.raises(ValueError, match="row odd: model.input_height is 33"):
        plan(config, row, 1)
    row = {FULL: PAPER[FULL], "odd": Row("odd", change={"model.inputs": 33})}
    with pytest.raises(ValueError, match="row odd: there is no setting 'model.inputs'"):
        plan(config, row, 1)
