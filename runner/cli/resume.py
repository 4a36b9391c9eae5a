"""`relay resume`: go on with a run that was interrupted, killed, broken, or that waited for something."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runner.cli.options import example, json_option, max_cost_option, repo_option, say_json


@click.command(
    epilog=example("relay resume", "relay resume r20261124-0312-kqwz", "relay resume --max-cost 20  # after budget")
)
@click.argument("run", required=False)
@repo_option
@max_cost_option("Money that the whole run may cost from now on, what it has spent included.")
@json_option
def command(run: str | None, repo: Path, max_cost: str | None, as_json: bool) -> int:
    """Go on with RUN (default: the newest) from where it stood; nothing that was paid for is paid again.

    Whatever landed, passed or was reviewed stands. At most the model call that was in flight is repeated.
    """
    from runner.cli.going import finish, sink
    from runner.git.repo import open_repository
    from runner.outcomes import EXIT, OVER
    from runner.reading import read_run
    from runner.session import resume
    from runner.view import run_json

    repository = open_repository(repo)
    view = read_run(repository, run)
    if view.outcome in OVER:
        click.echo(f"{view.run} has ended ({view.outcome}); start another one with relay pipeline run", err=True)
        if as_json:
            say_json(run_json(view))
        return EXIT[view.outcome]
    with sink(as_json) as events:
        ended = resume(repository, view.run, dict(os.environ), events, max_cost)
    return finish(repository, ended, as_json)
