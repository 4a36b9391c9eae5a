"""What may go: containers of dead processes, workspaces of runs that are over, cached bases. Never a ref."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from runner.git.repo import Repository
from runner.lock import Holder, cache_alone, locked
from runner.outcomes import OVER
from runner.places import cache_home
from runner.reading import list_runs
from sandbox.docker import Engine, connect
from sandbox.overlay import remove_home
from sandbox.reap import reap

CACHED = ("bases", "layers", "packs")


def clean(repository: Repository, environ: Mapping[str, str], *, cache: bool, dry_run: bool) -> tuple[str, ...]:
    """Remove what no run needs, and say what it was.

    Raises Locked while a run works on the repository, or, with `cache`, anywhere over the user's cache.
    """
    with (
        locked(repository.state / "lock", Holder("clean", os.getpid(), socket.gethostname(), time.time())),
        cache_alone(cache_home(environ)) if cache else nullcontext(),
        connect(environ=environ) as engine,
    ):
        gone = [] if dry_run else [f"container or volume {each[:24]}" for each in reap(engine)]
        folders = [
            repository.state / "runs" / run.run / part
            for run in list_runs(repository)
            if run.outcome in OVER
            for part in ("turns", "gates")
        ]
        folders += [cache_home(environ) / part for part in CACHED] if cache else []
        return (*gone, *(str(folder) for folder in folders if _removed(engine, folder, dry_run)))


def _removed(engine: Engine, folder: Path, dry_run: bool) -> bool:
    """Whether there was anything; a folder that a container of another uid filled is emptied all the same."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    if not dry_run:
        remove_home(engine, folder)
    return True
