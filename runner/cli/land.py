"""`relay land`: bring what a run landed into the target branch, at the user's word."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(epilog=example("relay land", "relay land r20261124-0312-kqwz"))
@click.argument("run", required=False)
@repo_option
@json_option
def command(run: str | None, repo: Path, as_json: bool) -> int:
    """Move the target branch to what RUN (default: the newest) landed on relay/<run>/landed.

    A fast-forward where the target has not moved; else one merge commit, tested before the target moves. A checked-out
    target moves with its work tree; it is refused when a changed or ignored file is in the way.
    """
    from runner.cli.going import sink
    from runner.git.repo import open_repository
    from runner.reading import read_run
    from runner.session import bring_in

    repository = open_repository(repo)
    view = read_run(repository, run)
    with sink(as_json) as events:
        done = bring_in(repository, view.run, dict(os.environ), events)
    if as_json:
        about = {"moved": done.moved, "commit": done.commit or None, "why": done.why or None}
        say_json({"run": view.run, "target": view.target, **about})
    else:
        say(done.why or f"{view.target} is at {done.commit[:12]}")
    return 0 if done.moved else 1
