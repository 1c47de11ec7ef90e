"""Settings of every test: four virtual CPU devices, no silent rank promotion, the real data."""

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


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real photographs; its tests are skipped where it is absent."""
    folder = example_data()
    if not folder.is_dir():
        reason = f"no real data at {folder}: set RMPE_DATA to the folder that holds coco_pose/"
        absent("data", reason)
    return folder.resolve()


@pytest.fixture
def float64():
    """Run one test in double precision."""
    with jax.enable_x64(True):
        yield
