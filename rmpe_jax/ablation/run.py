"""A whole table of ablations: `rmpe ablate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from rmpe_jax.ablation import jobs, results
from rmpe_jax.ablation.plan import plan
from rmpe_jax.ablation.rows import Row
from rmpe_jax.config import Config, checked
from rmpe_jax.training.workdir import locked


def ablate(
    config: Config, rows: dict[str, Row], seeds: int, *, console: Console | None = None
) -> dict[str, Any]:
    """Do what the table still lacks, write it into `config.workdir`, and return it.

    What a killed call has done is not done again. A row that fails is told in the table, and the
    others go on.
    """
    console = console or Console()
    planned = plan(checked(config), rows, seeds)
    root = Path(config.workdir)
    wanted: Sequence[jobs.Job] = jobs.ordered([*planned.boxes.values(), *planned.scores.values()])
    with locked(root):
        waiting = [job for job in wanted if jobs.outcome(job, root) is None]
        console.print(f"{len(wanted)} jobs, {len(wanted) - len(waiting)} of them done before")
        failed = jobs.run(wanted, root, console)
        return results.write(planned, root, failed)


def files(config: Config) -> list[Path]:
    """Return the files of a table."""
    return [Path(config.workdir) / name for name in results.FILES]
