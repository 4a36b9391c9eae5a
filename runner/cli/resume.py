"""`relay resume`: go on with a run that was interrupted, killed, broken, or that waited for something."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option


@click.command(epilog=example("relay resume", "relay resume r20261124-0312-kqwz"))
@click.argument("run", required=False)
@repo_option
@json_option
def command(run: str | None, repo: Path, as_json: bool) -> int:
    """Go on with RUN (default: the newest) from where it stood; nothing that was paid for is paid again.

    Whatever landed, passed or was reviewed stands. At most the model call that was in flight is repeated.
    """
    from runner.cli.going import finish, sink
    from runner.git.repo import open_repository
    from runner.session import resume
    from runner.view import read_run

    repository = open_repository(repo)
    view = read_run(repository, run)
    if view.outcome in ("landed", "nothing-to-do", "partial", "cancelled"):
        click.echo(f"{view.run} has ended ({view.outcome}); start another one with relay pipeline run", err=True)
        return 0 if view.outcome in ("landed", "nothing-to-do") else 1
    with sink(as_json) as events:
        ended = resume(repository, view.run, dict(os.environ), events)
    return finish(repository, ended, as_json)
