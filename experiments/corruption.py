"""Damage a checkpoint in every way a disk can, and see what reading it says.

    python experiments/corruption.py

Trains a small network for a few steps, with two checkpoints. Each case damages one file or folder
of the newer one, in a copy of both, and reads it as a resumed run does (the state) and as
prediction does (the model). Every case must end as one of

- fell back: the damage was said, and the earlier step was read, bit for bit as it was saved;
- harmless: the newer step was read, bit for bit as it was saved (nothing needs what was damaged).

Then the same with one bit flipped at random places of random files. Writes
experiments/results/corruption.json.
"""

import argparse
import json
import logging
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rmpe_jax.checkpoint import Checkpoints, load_model
from rmpe_jax.config import Config, DataConfig, ModelConfig, OptimiserConfig, TrainConfig, from_dict
from rmpe_jax.evaluation.run import commit
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import shapes
from rmpe_jax.predict import skeleton_of
from rmpe_jax.training import optimiser as optimisers
from rmpe_jax.training.loop import train
from rmpe_jax.training.step import TrainState, start

RESULT = Path(__file__).parent / "results" / "corruption.json"


class Case(NamedTuple):
    """What is damaged (a file or folder of a step) and how."""

    kind: str
    what: str
    find: Callable[[Path], Path]
    damage: Callable[[Path], None]


class Reading(NamedTuple):
    """What one way of reading ended with: the step, all bits, the meta, and what was said."""

    step: int
    arrays: list[bytes]
    meta: dict[str, Any]
    said: list[str]


def settings(folder: Path) -> Config:
    """Return a run of two checkpoints, with all that a state can hold."""
    return Config(
        workdir=str(folder / "run"),
        data=DataConfig(prepared=str(folder / "prepared"), synthetic_train=8),
        model=ModelConfig(
            family="pyramid", trunk_stages=2, head_width=16, input_height=64, input_width=64
        ),
        optimiser=OptimiserConfig(warmup_steps=1, ema=0.9),
        train=TrainConfig(steps=4, batch_size=4, checkpoint_every=2),
    )


def largest(folder: str) -> Callable[[Path], Path]:
    """Return what finds the largest file below a folder of a step."""
    return lambda step: max(_files(step / folder), key=lambda file: file.stat().st_size)


def smallest(folder: str) -> Callable[[Path], Path]:
    """Return what finds the smallest file below a folder of a step."""
    return lambda step: min(_files(step / folder), key=lambda file: file.stat().st_size)


def named(name: str) -> Callable[[Path], Path]:
    """Return what finds a file or folder of a step by its name."""
    return lambda step: step / name


def flip(share: float, length: int = 1) -> Callable[[Path], None]:
    """Return what flips one bit in each of `length` bytes, at a share of the file's length."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        first = min(int(share * len(content)), len(content) - 1)
        for place in range(first, min(first + length, len(content))):
            content[place] ^= 0x10
        path.write_bytes(content)

    return damage


def cut(share: float) -> Callable[[Path], None]:
    """Return what keeps only the first share of a file."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return damage


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def another_position(path: Path) -> None:
    """Let the meta name another position in the data: still JSON, and a number that could be."""
    text = path.read_text()
    position = json.loads(text)["batches"]
    path.write_text(text.replace(f'"batches": {position}', f'"batches": {position + 1}', 1))


VALUES, NODES = "ocdbt.process_0/d", "d"
CASES = [
    *(
        Case(
            "values of the state",
            f"one bit at {share:.0%}",
            largest(f"state/{VALUES}"),
            flip(share),
        )
        for share in (0.0, 0.25, 0.5, 0.75, 0.999)
    ),
    Case(
        "values of the state",
        "a bit in each of 64 bytes",
        largest(f"state/{VALUES}"),
        flip(0.4, 64),
    ),
    Case("values of the model", "one bit at 30%", largest(f"model/{VALUES}"), flip(0.3)),
    Case("values of the model", "one bit at 90%", largest(f"model/{VALUES}"), flip(0.9)),
    Case("index of the values", "one bit at 50%", smallest(f"state/{VALUES}"), flip(0.5)),
    Case("index of the arrays", "one bit at 50%", largest(f"state/{NODES}"), flip(0.5)),
    Case("manifest", "one bit at 50%", named("state/manifest.ocdbt"), flip(0.5)),
    Case("names of the arrays", "one bit at 30%", named("state/_METADATA"), flip(0.3)),
    Case("meta", "one bit at 60%", named("meta/metadata"), flip(0.6)),
    Case("meta", "another position in the data", named("meta/metadata"), another_position),
    Case("values of the state", "cut to half", largest(f"state/{VALUES}"), cut(0.5)),
    Case("values of the model", "cut to nothing", largest(f"model/{VALUES}"), cut(0.0)),
    Case("manifest", "cut to half", named("model/manifest.ocdbt"), cut(0.5)),
    Case("meta", "cut to half", named("meta/metadata"), cut(0.5)),
    Case("values of the state", "removed", largest(f"state/{VALUES}"), remove),
    Case("index of the arrays", "removed", largest(f"state/{NODES}"), remove),
    Case("manifest", "removed", named("state/manifest.ocdbt"), remove),
    Case("names of the arrays", "removed", named("state/_METADATA"), remove),
    Case("the whole state", "removed", named("state"), remove),
    Case("the whole model", "removed", named("model"), remove),
    Case("the whole meta", "removed", named("meta"), remove),
    Case("parts of the checkpoint", "removed", named("_CHECKPOINT_METADATA"), remove),
    Case("parts of the checkpoint", "one bit at 10%", named("_CHECKPOINT_METADATA"), flip(0.1)),
    Case("parts of the checkpoint", "cut to nothing", named("_CHECKPOINT_METADATA"), cut(0.0)),
    Case("mark of completion", "removed", named("commit_success.txt"), remove),
    Case("shardings", "removed", named("state/_sharding"), remove),
    Case("chunks of the arrays", "removed", named("state/array_metadatas"), remove),
]


def read_state(checkpoints: Path) -> Reading:
    """Read as a run that is resumed."""
    opened = Checkpoints(checkpoints, keep=2, keep_best=1)
    try:
        state, meta, damages = opened.newest("state", state_template)
    finally:
        opened.close()
    return Reading(meta["step"], _bits(state), meta, list(map(str, damages)))


def read_model(checkpoints: Path) -> Reading:
    """Read as prediction does."""
    model, meta, damages = load_model(checkpoints, lambda meta: state_template(meta).evaluated)
    return Reading(meta["step"], _bits(model), meta, list(map(str, damages)))


READINGS = {"state": read_state, "model": read_model}


def state_template(meta: dict[str, Any]) -> TrainState:
    """Return the shapes of the state that a checkpoint's configuration makes."""
    config = from_dict(Config, meta["config"])
    module = build(config.model, len(skeleton_of(meta).joints))
    optimiser = optimisers.build(config)
    return jax.eval_shape(
        lambda variables: start(jax.random.key(0), variables, optimiser, ema=config.optimiser.ema),
        shapes(module, config.model),
    )


def outcome(case: Case, checkpoints: Path, saved: dict[str, list[Reading]]) -> dict[str, Any]:
    """Return what a case ended with, for each way of reading.

    `saved` has what is read of undamaged checkpoints: the earlier step, the newer step.
    """
    ends, said = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for way, read in READINGS.items():
            copy = Path(folder) / way
            shutil.copytree(checkpoints, copy)
            damaged = case.find(copy / str(saved[way][1].step))
            case.damage(damaged)
            try:
                reading = read(copy)
            except Exception as error:  # whatever it is, it is no way to read a checkpoint
                ends[way], said[way] = "not read", f"{type(error).__name__}: {error}"
                continue
            ends[way] = _end(reading, *saved[way])
            said[way] = "; ".join(reading.said)
        # A name may be cut short where a message is.
        machine = rf"{re.escape(folder)}|{re.escape(tempfile.gettempdir())}\S*"
        said = {way: re.sub(machine, "", text) for way, text in said.items()}
    return {"kind": case.kind, "what": case.what, "ends": ends, "said": said}


def passed(result: dict[str, Any]) -> bool:
    """Whether nothing was read that had not been saved, and something was read."""
    return set(result["ends"].values()) <= {"fell back", "harmless"}


def undamaged(checkpoints: Path) -> dict[str, list[Reading]]:
    """Return what is read of each of two steps before any damage: earlier, newer."""
    readings: dict[str, list[Reading]] = {way: [] for way in READINGS}
    with tempfile.TemporaryDirectory() as folder:
        for way, read in READINGS.items():
            for newest in sorted(int(step.name) for step in checkpoints.iterdir()):
                alone = Path(folder) / way / str(newest)
                shutil.copytree(checkpoints / str(newest), alone / str(newest))
                readings[way].append(read(alone))
    return readings


def random_case(checkpoints: Path, step: int, generator: random.Random) -> Case:
    """Return one bit flipped somewhere, where files are as likely as they are long."""
    files = _files(checkpoints / str(step))
    file = generator.choices(files, [path.stat().st_size for path in files])[0]
    name = str(file.relative_to(checkpoints / str(step)))
    share = generator.random()
    return Case(name, f"one bit at {share:.3f}", named(name), flip(share))


def _end(reading: Reading, earlier: Reading, newer: Reading) -> str:
    for name, expected in (("fell back", earlier), ("harmless", newer)):
        if reading[:3] == expected[:3]:
            return name if (name == "fell back") == bool(reading.said) else f"{name}, wrongly said"
    return "SILENT"


def _bits(tree: Any) -> list[bytes]:
    def host(leaf: Any) -> np.ndarray:
        key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if key else leaf)

    return [host(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if path.stat().st_size]


def main() -> None:
    """Damage, read, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=200, help="bits that are flipped anywhere")
    arguments = parser.parse_args()
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # what Orbax raises is looked at here
    with tempfile.TemporaryDirectory() as folder:
        config = settings(Path(folder))
        train(replace(config, evaluation=replace(config.evaluation, resamples=0)))
        checkpoints = Path(config.workdir) / "checkpoints"
        saved = undamaged(checkpoints)
        results = [outcome(case, checkpoints, saved) for case in CASES]
        generator = random.Random(0)
        newer = saved["state"][1].step
        cases = [random_case(checkpoints, newer, generator) for _ in range(arguments.random)]
        anywhere = [outcome(case, checkpoints, saved) for case in cases]
    for result in results:
        print(f"{result['kind']}, {result['what']}: {result['ends']}")
    ends = Counter(f"{way}: {end}" for result in anywhere for way, end in result["ends"].items())
    written = {
        "commit": commit(),
        "cases": len(results),
        "passed": sum(map(passed, results)),
        "one bit anywhere": {
            "cases": len(anywhere),
            "passed": sum(map(passed, anywhere)),
            "ends": dict(sorted(ends.items())),
            "not passed": [result for result in anywhere if not passed(result)],
        },
        "each": results,
    }
    RESULT.write_text(json.dumps(written, indent=2) + "\n")
    print(json.dumps({name: value for name, value in written.items() if name != "each"}, indent=2))


if __name__ == "__main__":
    main()
