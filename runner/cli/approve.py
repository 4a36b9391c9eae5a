"""`relay approve`: the user's word on a change that waits for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option


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
    listed and count as acknowledged. With --may-change it is a permission: the same head is tested again.
    """
    from runner.cli.options import say
    from runner.git.repo import open_repository
    from runner.lock import owner
    from runner.stages.word import approve

    repository = open_repository(repo)
    given = approve(repository, change, may_change, note, time.time())
    for line in given.told:
        (click.echo(line, err=True) if as_json else say(line))
    holder = owner(repository.state / "lock")
    if record_only or holder is not None:
        return 0
    from runner.cli.going import finish, sink
    from runner.session import resume

    with sink(as_json) as events:
        ended = resume(repository, given.run, dict(os.environ), events)
    return finish(repository, ended, as_json)
