"""`relay clean`: remove what earlier runs left behind and no run needs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(epilog=example("relay clean", "relay clean --dry-run", "relay clean --cache"))
@repo_option
@click.option("--cache", is_flag=True, help="Also the cached base directories, which are made again when needed.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@json_option
def command(repo: Path, cache: bool, dry_run: bool, as_json: bool) -> int:
    """Remove containers and volumes of dead processes, and the workspaces of runs that have ended.

    Branches, journals, notes and reports stay, and so does everything that a run could still go on from.
    """
    from runner.cleaning import clean
    from runner.git.repo import open_repository

    removed = clean(open_repository(repo), dict(os.environ), cache=cache, dry_run=dry_run)
    if as_json:
        say_json({"removed": list(removed), "dry_run": dry_run})
        return 0
    for each in removed:
        say(f"{'would remove' if dry_run else 'removed'} {each}")
    say(f"{len(removed)} things {'would be' if dry_run else 'were'} removed")
    return 0
