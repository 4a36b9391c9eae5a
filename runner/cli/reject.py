"""`relay reject`: a change shall not land."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(epilog=example('relay reject t1-2 --note "not what I meant"'))
@click.argument("change")
@repo_option
@click.option("--note", default="", help="Why; it goes into the record.")
@json_option
def command(change: str, repo: Path, note: str, as_json: bool) -> int:
    """Reject CHANGE ([RUN/]CHANGE) for good. Its branch stays, changes that need it are skipped."""
    from runner.cli.approve import word_json
    from runner.git.repo import open_repository
    from runner.redact import known_secrets, mask
    from runner.stages.word import reject

    given = reject(open_repository(repo), change, mask(note, known_secrets(os.environ)), time.time())
    if as_json:
        say_json(word_json(given))
        return 0
    for line in given.told:
        say(line)
    return 0
