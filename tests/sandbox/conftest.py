"""The engine, the base image, and a directory that overlay mounts work on: asked for once per test process."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.base import Limits, Mount, SandboxSpec
from sandbox.debian import ensure_debian
from sandbox.docker import Engine, connect
from sandbox.workspace import probe
from tests.sandbox.room import GID, UID, Room

CHECKOUT = Path(__file__).parent.parent.parent
SMALL = Limits(cpus=2, memory=256 * 1024**2, pids=128, output=64 * 1024)

MakeSpec = Callable[..., SandboxSpec]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with connect() as found:
        yield found


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The image of `relay image debian`, made if it is not there."""
    return ensure_debian(engine, print)


@pytest.fixture(scope="session")
def spec(image: str) -> MakeSpec:
    """A small spec for a sandbox that works in /tmp."""

    def make(*mounts: Mount, limits: Limits = SMALL, **more: object) -> SandboxSpec:
        workdir = "/work" if mounts else "/tmp"
        labels = {"relay.run": "test", "relay.kind": "turn"}
        return SandboxSpec(image, f"{UID}:{GID}", mounts, labels, limits=limits, workdir=workdir, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def place(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory where the overlay works. Without one the half of these tests would be worth nothing: that fails."""
    tried = []
    for parent in (tmp_path_factory.mktemp("overlay"), CHECKOUT / ".work", Path.home() / ".cache"):
        folder = parent / f"tests-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        if probe(engine, image, folder, UID, GID) == "overlay":
            yield folder
            shutil.rmtree(folder)
            return
        shutil.rmtree(folder)
        tried.append(str(parent))
    pytest.fail(f"no directory for overlay mounts among {tried}: give pytest one with --basetemp")


@pytest.fixture
def room(engine: Engine, place: Path, image: str) -> Iterator[Room]:
    """Directories for one test, with layers that belong to the sandbox's user; nothing is left of it."""
    made = Room(engine, place / uuid.uuid4().hex[:12], image)
    yield made
    made.clear()
    assert os.listdir(place) == []  # noqa: PTH208
