"""What some tests need of a machine: they are skipped without it, or fail if it must be there."""

import os
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("RMPE_REQUIRE", "").split(",")


def absent(kind: str, reason: str) -> NoReturn:
    """Skip the test for this reason; fail it if $RMPE_REQUIRE names the kind."""
    if kind in REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)
