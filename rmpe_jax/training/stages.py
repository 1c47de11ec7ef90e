"""A run in stages: first the pose network alone, then the transformer about it, as in the paper.

Each stage is a run of its own, in a folder of the run's, that starts with the weights of the one
before. So each has its checkpoints, metrics and result, and a stopped run goes on where it was.
"""

from dataclasses import replace

from rmpe_jax.config import Config, STNConfig


def stage_configs(config: Config) -> list[Config]:
    """Return the settings of each stage's run; of a run without stages, its own."""
    if not config.stages:
        return [config]
    folders = [
        f"{config.workdir}/{number}_{stage.name}"
        for number, stage in enumerate(config.stages, start=1)
    ]
    configs = []
    for number, stage in enumerate(config.stages):
        if stage.transformer and config.model.stn.form == "none":
            raise ValueError(
                f"stage {stage.name!r} wants the transformer, and model.stn.form is 'none': set "
                f"--model.stn.form affine (or scale_shift), or --stages.{number}.transformer False"
            )
        parallel = None
        if stage.transformer and stage.parallel:
            parallel = config.train.parallel or folders[0]
            if parallel == folders[number]:
                raise ValueError(
                    f"the first stage, {stage.name!r}, wants a parallel SPPE, but nothing is "
                    "trained before it: set train.parallel to the work directory of a trained "
                    "pose network, or let a stage with transformer=False come first"
                )
        configs.append(
            replace(
                config,
                workdir=folders[number],
                stages=(),
                model=config.model if stage.transformer else replace(config.model, stn=STNConfig()),
                optimiser=replace(config.optimiser, learning_rate=stage.learning_rate),
                train=replace(
                    config.train,
                    steps=stage.steps,
                    parallel=parallel,
                    start_from=folders[number - 1] if number else config.train.start_from,
                ),
            )
        )
    return configs
