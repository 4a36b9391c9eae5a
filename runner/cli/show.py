"""`relay show`: everything about one change."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(epilog=example("relay show t1-2", "relay show r20261124-0412-abcd/t1-2 --json"))
@click.argument("change")
@repo_option
@json_option
def command(change: str, repo: Path, as_json: bool) -> int:
    """Show CHANGE, written [RUN/]CHANGE: spec, rounds, verdicts with failing tests, reviews, and the next command."""
    from runner.git.repo import open_repository
    from runner.reading import find_change
    from runner.report.digest import next_command
    from runner.report.text import change_lines, history_json
    from runner.view import change_json

    repository = open_repository(repo)
    found = find_change(repository, change)
    if as_json:
        say_json(
            {
                "run": found.run.run,
                "task": found.change.task,
                **change_json(found.change),
                "why": found.change.why or None,
                "body": found.change.body,
                "needs": found.change.needs,
                "may_change": found.change.may_change,
                "history": history_json(repository, found.change),
                "next": next_command(found.run, found.change),
            }
        )
        return 0
    for line in change_lines(repository, found.run, found.change):
        say(line)
    return 0
