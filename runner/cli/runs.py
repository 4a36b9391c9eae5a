"""`relay runs`: the runs of this repository, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(epilog=example("relay runs", "relay runs --limit 100 --json"))
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@repo_option
@json_option
def command(limit: int, repo: Path, as_json: bool) -> int:
    """List the runs of this repository, newest first: outcome, changes landed, cost."""
    from runner.git.repo import open_repository
    from runner.reading import list_runs
    from runner.report.digest import headline, money
    from runner.report.text import columns, when
    from runner.view import run_json

    runs = list_runs(open_repository(repo), limit)
    if as_json:
        listed = [{**run_json(run), "started_at": run.started_at, "ended_at": run.ended_at} for run in runs]
        say_json({"runs": listed})
        return 0
    if not runs:
        say("no run yet: start one with `relay pipeline run`")
        return 0
    rows = [[run.run, when(run.started_at), run.outcome, money(run.total), run.target, headline(run)] for run in runs]
    for line in columns(rows):
        say(line)
    return 0
