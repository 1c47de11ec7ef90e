"""What every benchmark writes beside its figures, and where."""

import json
import os
import platform
from pathlib import Path
from typing import Any

from rmpe_jax.evaluation.run import commit

RESULTS = Path(__file__).parent.parent / "results"


def processor() -> str:
    """Return the processor's name and the number of cores."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"


def write(name: str, figures: dict[str, Any]) -> None:
    """Write `benchmark_NAME.json` and print it."""
    result = {"hardware": processor(), "commit": commit(), **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"benchmark_{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
