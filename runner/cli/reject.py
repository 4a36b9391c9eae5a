"""`relay reject`: a change shall not land."""

from __future__ import annotations

import time
from pathlib import Path

import click

from runner.cli.options import example, repo_option, say


@click.command(epilog=example('relay reject t1-2 --note "not what I meant"'))
@click.argument("change")
@repo_option
@click.option("--note", default="", help="Why; it goes into the record.")
def command(change: str, repo: Path, note: str) -> int:
    """Reject CHANGE ([RUN/]CHANGE) for good. Its branch stays, changes that need it are skipped."""
    from runner.git.repo import open_repository
    from runner.stages.word import reject

    for line in reject(open_repository(repo), change, note, time.time()).told:
        say(line)
    return 0
