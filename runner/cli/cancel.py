"""`relay cancel`: end a run for good."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from runner.cli.options import example, repo_option, say


@click.command(epilog=example("relay cancel", "relay cancel r20261124-0312-kqwz"))
@click.argument("run", required=False)
@repo_option
def command(run: str | None, repo: Path) -> int:
    """End RUN (default: the newest) for good. What it landed stays, branches of unfinished changes stay too."""
    from runner.codec import plain
    from runner.git.journal import Journal
    from runner.git.repo import open_repository
    from runner.lock import owner
    from runner.opened import state_of
    from runner.stages.names import journal_ref
    from runner.stages.records import EndRecord
    from runner.view import read_run

    repository = open_repository(repo)
    view = read_run(repository, run)
    holder = owner(repository.state / "lock")
    if holder is not None and holder.run == view.run:
        (state_of(repository, view.run) / "cancel").touch()
        os.kill(holder.pid, signal.SIGTERM)
        say(f"{view.run} is asked to end (pid {holder.pid}): relay status {view.run}")
        return 0
    if view.outcome in ("landed", "nothing-to-do", "partial", "cancelled"):
        say(f"{view.run} has ended already: {view.outcome}")
        return 0
    journal = Journal(repository, journal_ref(view.run))
    epoch = 1 + sum(entry.value.get("kind") == "end" for entry in journal.entries())
    record = EndRecord("cancelled", "cancelled by you", at=time.time())
    journal.append(f"end.{epoch}", plain(record))
    say(f"{view.run} is cancelled; what it landed stays")
    return 0
