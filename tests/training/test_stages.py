import dataclasses

import pytest

from rmpe_jax.config import Config, ModelConfig, StageConfig, STNConfig, TrainConfig
from rmpe_jax.training.stages import stage_configs

ALONE = StageConfig("sppe", steps=7, learning_rate=0.1, transformer=False)
WITHOUT = StageConfig("stn", steps=5, learning_rate=0.02, parallel=False)
FULL = StageConfig("rmpe", steps=3, learning_rate=0.01)


def config(*stages, **train) -> Config:
    return Config(
        workdir="runs/x",
        model=ModelConfig(stn=STNConfig(form="affine")),
        train=TrainConfig(**train),
        stages=stages,
    )


def test_a_run_without_stages_is_itself():
    assert stage_configs(config()) == [config()]


def test_each_stage_starts_from_the_one_before():
    first, second, third = stage_configs(config(ALONE, WITHOUT, FULL, start_from="old"))
    folders = ["runs/x/1_sppe", "runs/x/2_stn", "runs/x/3_rmpe"]
    assert [stage.workdir for stage in (first, second, third)] == folders
    assert [stage.train.start_from for stage in (first, second, third)] == ["old", *folders[:2]]
    assert [stage.train.steps for stage in (first, second, third)] == [7, 5, 3]
    assert [stage.optimiser.learning_rate for stage in (first, second, third)] == [0.1, 0.02, 0.01]
    assert [stage.model.stn.form for stage in (first, second, third)] == [
        "none",
        "affine",
        "affine",
    ]
    assert all(stage.stages == () for stage in (first, second, third))


def test_the_parallel_network_is_the_first_stages_unless_one_is_named():
    named = [stage.train.parallel for stage in stage_configs(config(ALONE, WITHOUT, FULL))]
    assert named == [None, None, "runs/x/1_sppe"]
    other = [s.train.parallel for s in stage_configs(config(ALONE, FULL, parallel="runs/y"))]
    assert other == [None, "runs/y"]


def test_a_first_stage_with_a_parallel_network_must_be_told_which():
    with pytest.raises(ValueError, match=r"'rmpe', wants a parallel SPPE.*transformer=False"):
        stage_configs(config(FULL))
    assert stage_configs(config(FULL, parallel="runs/y"))[0].train.parallel == "runs/y"


def test_a_stage_with_a_transformer_that_does_not_exist_is_refused_at_once():
    alone = dataclasses.replace(config(ALONE, FULL), model=ModelConfig())
    with pytest.raises(ValueError, match=r"'rmpe' wants .* --stages.1.transformer False"):
        stage_configs(alone)
    assert len(stage_configs(dataclasses.replace(alone, stages=(ALONE, ALONE)))) == 2


def test_all_else_is_the_runs():
    whole = dataclasses.replace(
        config(ALONE, FULL), evaluation=dataclasses.replace(Config().evaluation, jitter=1.0)
    )
    assert all(stage.evaluation.jitter == 1.0 for stage in stage_configs(whole))
