"""Settings of every test: four virtual CPU devices, no silent rank promotion, the real data."""

import gc
import getpass
import os
import tempfile
from pathlib import Path

# Before JAX is imported anywhere: these are read once, when its backend starts.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

# One cache of compiled programs for all workers and all programs that tests start.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/rmpe_jax_tests_{getpass.getuser()}"
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax
import pytest

from rmpe_jax.config import example_data
from tests.browser import chromium as chromium
from tests.required import absent

jax.config.update("jax_numpy_rank_promotion", "raise")
MOST_MAPS = 20_000


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real photographs; its tests are skipped where it is absent."""
    folder = example_data()
    if not folder.is_dir():
        reason = f"no real data at {folder}: set RMPE_DATA to the folder that holds coco_pose/"
        absent("data", reason)
    return folder.resolve()


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Forget compiled programs before a worker has more of them in memory than Linux maps.

    Each takes some maps of the 65,530 that a process may have; beyond, XLA aborts.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def float64():
    """Run one test in double precision."""
    with jax.enable_x64(True):
        yield
