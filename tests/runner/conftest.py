"""Runs that many tests look at, each made once per session."""

import os
from pathlib import Path

import pytest

from tests.runner.night import Night, once, real_night, waiting_run


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def night(shared: Path) -> Night:
    """A real run: landed, needs-human, gave-up, skipped, no-change. Do not change it; `copy` it."""
    return once(shared / "night", real_night)


@pytest.fixture(scope="session")
def waiting(shared: Path) -> Night:
    """A real run whose two changes wait for the user's word. Do not change it; `copy` it."""
    return once(shared / "waiting", waiting_run)
