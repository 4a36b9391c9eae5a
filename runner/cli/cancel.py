"""`relay cancel`: end a run for good."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import example, json_option, repo_option, say, say_json

if TYPE_CHECKING:
    from runner.git.repo import Repository

PATIENCE = 30.0  # seconds for a run at work to end what it holds
PAUSE = 0.1


@click.command(epilog=example("relay cancel", "relay cancel r20261124-0312-kqwz"))
@click.argument("run", required=False)
@repo_option
@json_option
def command(run: str | None, repo: Path, as_json: bool) -> int:
    """End RUN (default: the newest) for good. What it landed stays, branches of unfinished changes stay too.

    A run at work is told to end, and waited for.
    """
    from runner.git.repo import open_repository
    from runner.outcomes import OVER
    from runner.reading import read_run

    repository = open_repository(repo)
    name = read_run(repository, run).run
    _stop(repository, name)
    before = read_run(repository, name).outcome
    if before not in OVER:
        _record(repository, name)
    after = read_run(repository, name).outcome
    if as_json:
        say_json({"run": name, "outcome": after})
    else:
        say(f"{name} is cancelled; what it landed stays" if after == "cancelled" else f"{name} has ended: {after}")
    return 0


def _stop(repository: Repository, run: str) -> None:
    """Tell the process that drives the run to end it, and wait until it has."""
    from runner.lock import owner
    from runner.opened import state_of

    holder = owner(repository.state / "lock")
    if holder is None or holder.run != run:
        return
    mark = state_of(repository, run) / "cancel"
    mark.touch()
    with suppress(ProcessLookupError):  # it ends at this moment
        os.kill(holder.pid, signal.SIGTERM)
    late = time.monotonic() + PATIENCE
    while owner(repository.state / "lock") == holder and time.monotonic() < late:
        time.sleep(PAUSE)
    mark.unlink(missing_ok=True)


def _record(repository: Repository, run: str) -> None:
    from runner.lock import Holder, locked
    from runner.session import cancelled
    from runner.stages.put_away import put_away

    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        cancelled(repository, run)
        put_away(repository, run)
