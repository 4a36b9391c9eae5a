"""What the benchmarks stand on: relay's own engine with its base image, a folder of their own, and the peers found."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from runner.opened import sandbox_ids
from sandbox import debian
from sandbox.base import SandboxSpec
from sandbox.docker import Engine, connect
from sandbox.reap import owner_labels, reap
from sandbox.workspace import Backend, probe

LABELS = {**owner_labels(), "relay.kind": "benchmark"}


@dataclass(frozen=True)
class Ground:
    """`folder` is on the disk that relay's cache would be on. `docker_py` is None where it is not installed."""

    engine: Engine
    image: str
    folder: Path
    backend: Backend
    uid: int
    gid: int
    docker_cli: str | None
    docker_py: ModuleType | None

    @property
    def user(self) -> str:
        return f"{self.uid}:{self.gid}"

    @property
    def bare(self) -> tuple[str, ...]:
        """What a peer's `docker run` gets: no network, and labels, so that nothing is left behind."""
        return ("--network=none", *(f"--label={name}={value}" for name, value in LABELS.items()))

    def spec(self) -> SandboxSpec:
        """The container of a turn as relay makes it, with nothing mounted."""
        return SandboxSpec(self.image, self.user, (), LABELS, workdir="/tmp")

    def missing(self) -> Iterator[str]:
        """One line for each peer that is not here."""
        if self.docker_cli is None:
            yield "docker (the command) is not here: no rows of `docker run` and `docker exec`"
        if self.docker_py is None:
            yield "docker-py is not here: no rows of it"


@contextmanager
def ground() -> Iterator[Ground]:
    """Everything opened; nothing of it stays: containers, volumes, files."""
    uid, gid = sandbox_ids()
    with connect() as engine, tempfile.TemporaryDirectory(prefix="relay-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        reap(engine)
        image = engine.image_id(debian.TAG)
        if image is None:
            raise SystemExit(f"relay: {debian.TAG} is not there yet: relay image debian")
        backend = probe(engine, image, folder, uid, gid)
        try:
            yield Ground(engine, image, folder, backend, uid, gid, shutil.which("docker"), _docker_py())
        finally:
            mine = f"relay.pid={os.getpid()}"
            for container in engine.containers(mine):
                engine.remove(container.id)
            for volume in engine.volumes(mine):
                engine.remove_volume(volume.id)


def run(*command: str | Path, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """A peer's command; its output. Raises CalledProcessError."""
    return subprocess.run(command, input=stdin, env=env, check=True, stdout=subprocess.PIPE).stdout


def _docker_py() -> ModuleType | None:
    try:
        import docker
    except ImportError:
        return None
    return docker
