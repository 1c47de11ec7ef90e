"""A trace of some steps of a run by JAX's profiler: what the host and each device did, and when."""

import re
from pathlib import Path

import jax
from rich.console import Console


class Profile:
    """Traces the steps after START up to and including STOP; without either, nothing."""

    def __init__(self, steps: str | None, folder: Path, console: Console) -> None:
        """Read "START:STOP". Raises ValueError if it is no range, or a trace would crash."""
        self.first, self.last = _range(steps) if steps else (-1, -1)
        if steps and jax.default_backend() != "tpu" and _loaded("libtpu.so"):
            raise ValueError(
                "train.profile: this process has loaded the TPU library, and there is no TPU; "
                "JAX's profiler crashes then. Type JAX_PLATFORMS=cpu (or cuda) before the command, "
                "or pip uninstall libtpu"
            )
        self.folder, self.console, self.running = folder, console, False

    def before(self, step: int) -> None:
        """Begin with the trace, if it is time."""
        # A run that goes on from within the range traces what is left of it.
        if self.first < step <= self.last and not self.running:
            jax.profiler.start_trace(str(self.folder), create_perfetto_trace=True)
            self.running = True

    def after(self, step: int, done: object) -> None:
        """End the trace, if it is time; `done` is waited for."""
        if self.running and step >= self.last:
            jax.block_until_ready(done)
            self.close()

    def close(self) -> None:
        """Write what has been traced."""
        if not self.running:
            return
        self.running = False
        jax.profiler.stop_trace()
        self.console.print(
            f"profile written below {self.folder}: open perfetto_trace.json.gz on ui.perfetto.dev, "
            f"or tensorboard --logdir {self.folder}",
            soft_wrap=True,
        )


def _loaded(library: str) -> bool:
    """Return whether a shared library is in this process' memory, where the system tells."""
    maps = Path("/proc/self/maps")
    return maps.exists() and library in maps.read_text()


def _range(steps: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+):(\d+)", steps)
    if found is None or int(found[1]) >= int(found[2]):
        raise ValueError(
            f"train.profile is {steps!r}; START:STOP is expected, the steps after START up to "
            "STOP, such as --profile 100:110"
        )
    return int(found[1]), int(found[2])
