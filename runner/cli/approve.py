"""`relay approve`: the user's word on a change that waits for it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import example, json_option, repo_option, say, say_json

if TYPE_CHECKING:
    from runner.git.repo import Repository
    from runner.stages.word import Word


@click.command(
    epilog=example(
        "relay show t1-1", "relay approve t1-1", "relay approve t1-1 --may-change 'tests/test_old.py' --record-only"
    )
)
@click.argument("change")
@repo_option
@click.option("--may-change", multiple=True, metavar="GLOB", help="Let the change alter these protected files.")
@click.option("--note", default="", help="A word to go into the record.")
@click.option("--record-only", is_flag=True, help="Record it; do not go on with the run now.")
@json_option
def command(change: str, repo: Path, may_change: tuple[str, ...], note: str, record_only: bool, as_json: bool) -> int:
    """Approve CHANGE ([RUN/]CHANGE) as it stands now, and go on with its run.

    The approval is for exactly the head and the tree that `relay show` names; protected files that it alters are
    listed and count as acknowledged. A change that asked for a permission gets it by --may-change, and is tested again.
    """
    from runner.git.repo import open_repository
    from runner.lock import owner
    from runner.redact import escape_terminal, known_secrets, mask
    from runner.stages.word import approve

    repository = open_repository(repo)
    given = approve(repository, change, may_change, mask(note, known_secrets(os.environ)), time.time())
    holder = owner(repository.state / "lock")
    stays = record_only or holder is not None
    for line in given.told:
        click.echo(escape_terminal(line), err=as_json)
    if not stays:
        return _go_on(repository, given.run, as_json)
    if as_json:
        say_json(word_json(given))
    elif holder is not None:
        who = f"run {holder.run} (pid {holder.pid})"
        say(f"{who} works on this repository; if it ends without it: relay resume {given.run}")
    else:
        say(f"go on with: relay resume {given.run}")
    return 0


def word_json(given: Word) -> dict[str, object]:
    """What was recorded, for programs; null where the word is bound to nothing."""
    return {
        "run": given.run,
        "change": given.change,
        "decision": given.record.decision,
        "head": given.record.head or None,
        "tree": given.record.tree or None,
        "acknowledged": given.record.acknowledged,
        "may_change": given.record.may_change,
        "allowed": given.allowed,
        "note": given.record.note or None,
    }


def _go_on(repository: Repository, run: str, as_json: bool) -> int:
    from runner.cli.going import finish, sink
    from runner.session import resume

    with sink(as_json) as events:
        ended = resume(repository, run, dict(os.environ), events)
    return finish(repository, ended, as_json)
