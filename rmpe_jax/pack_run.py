"""From a run to one file that can be passed on: `rmpe pack RUN --out FILE`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rmpe_jax import packed
from rmpe_jax.checkpoint import load_model
from rmpe_jax.config import Config, DataConfig, from_dict, to_dict
from rmpe_jax.models.build import build, build_detector
from rmpe_jax.models.variables import shapes
from rmpe_jax.predict import last_stage, skeleton_of
from rmpe_jax.records import Variables

TOLD = ("step", "skeleton", "data_fingerprint", "commit")  # of a checkpoint's meta


def pack_run(run: Path, out: Path) -> int:
    """Write the network of a run, for poses or for boxes, and return its size in bytes.

    Its settings go along but for folders and files, whose names mean nothing elsewhere. Raises
    ValueError if `run` holds no network or `out` has another suffix.
    """
    if out.suffix != packed.SUFFIX:
        raise ValueError(f"--out is {out}; its name must end in {packed.SUFFIX}")
    variables, meta, _ = load_model(last_stage(run), _template)
    told = {name: meta[name] for name in TOLD if name in meta}
    config = to_dict(_anywhere(from_dict(Config, meta["config"])))
    packed.write(out, variables, {**told, "config": config})
    return out.stat().st_size


def _template(meta: dict[str, Any]) -> Variables:
    """Return the shapes of the variables of a pose network or detector."""
    config = from_dict(Config, meta["config"])
    if config.model.family == "detector":
        return shapes(build_detector(config.model), config.model)
    return shapes(build(config.model, len(skeleton_of(meta).joints)), config.model)


def _anywhere(config: Config) -> Config:
    """Return the settings without folders and files."""
    data = replace(config.data, root="", prepared=DataConfig.prepared, also=())
    return replace(
        config,
        workdir="",
        data=data,
        augment=replace(config.augment, pgpg=None, detections=None),
        model=replace(config.model, trunk_weights=None),
        train=replace(config.train, start_from=None, parallel=None, teacher=None),
        evaluation=replace(config.evaluation, boxes=None, nms="none"),
    )
