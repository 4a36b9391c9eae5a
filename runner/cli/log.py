"""`relay log`: what happened in a run, event by event."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option

PAUSE = 0.5  # seconds between two looks at a log that is being followed


@click.command(epilog=example("relay log", "relay log -f", "relay log r20261124-0412-abcd --json"))
@click.argument("run", required=False)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the run ends.")
@repo_option
@json_option
def command(run: str | None, following: bool, repo: Path, as_json: bool) -> int:
    """Print the events of RUN (default: the newest), one line each; with --json one JSON object each."""
    from runner.git.repo import open_repository
    from runner.journals import NotFound
    from runner.lock import owner
    from runner.reading import read_run
    from runner.report.events import follow, parse_line
    from runner.report.plain import plain_line

    repository = open_repository(repo)
    name = read_run(repository, run).run
    path = repository.state / "runs" / name / "log.jsonl"
    if not path.exists():
        raise NotFound(f"the log of run {name} is not on this machine ({path}); its records are: relay status {name}")

    def is_over() -> bool:
        holder = owner(repository.state / "lock") if following else None
        return holder is None or holder.run != name

    for line in follow(path, is_over, lambda: time.sleep(PAUSE)):
        event = parse_line(line)
        if event is not None:
            click.echo(json.dumps(json.loads(line)) if as_json else plain_line(event))
    return 0
