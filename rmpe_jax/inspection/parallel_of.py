"""The frozen network that judged a run's straight images, found again after the run."""

from pathlib import Path

from rmpe_jax.inspection.branches import Parallel
from rmpe_jax.predict import PoseModel, last_stage
from rmpe_jax.training.parallel import load_parallel


def parallel_of(
    model: PoseModel, checkpoint: Path, given: Path | None = None
) -> tuple[Parallel | None, str]:
    """Return the parallel network and "", or None and in words why there is none.

    `given` goes first; else it is looked for where the run had it, and then beside the run's last
    stage, where it is if the whole run was moved. Raises ValueError if `given` does not fit.
    """
    named = model.config.train.parallel
    places = [place for place in _places(named, checkpoint) if place.exists()]
    place = given if given is not None else next(iter(places), None)
    if place is not None:
        settings = model.config.model
        size = (settings.input_height, settings.input_width)
        return load_parallel(str(place), model.skeleton, *size), ""
    if named is None:
        return None, (
            "No parallel network is named in the checkpoint: either none was used in training, or "
            "the file was packed, which forgets folders. Give one with --parallel DIR."
        )
    return None, (
        f"The run's parallel network is not where it was ({named}). Give it with --parallel DIR."
    )


def _places(named: str | None, checkpoint: Path) -> list[Path]:
    """Return where the network that a run names may lie."""
    if named is None:
        return []
    return [Path(named).expanduser(), last_stage(checkpoint).parent / Path(named).name]
