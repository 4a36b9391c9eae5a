"""`relay status`: where a run stands. It only reads, so it never disturbs the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import example, json_option, repo_option, say, say_json

if TYPE_CHECKING:
    from runner.git.repo import Repository
    from runner.report.board import Row


@click.command(epilog=example("relay status", "relay status r20261124-0412-abcd --json"))
@click.argument("run", required=False)
@repo_option
@json_option
def command(run: str | None, repo: Path, as_json: bool) -> int:
    """Say where RUN (default: the newest) stands: each change, what waits for you, what it cost, what happens now."""
    from runner.git.repo import open_repository
    from runner.reading import read_run
    from runner.report.text import run_lines
    from runner.view import run_json

    repository = open_repository(repo)
    view = read_run(repository, run)
    row = _now(repository, view.run) if view.outcome == "running" else None
    if as_json:
        now = None if row is None else {"change": row.id or None, "stage": row.stage, "round": row.round or None}
        say_json({**run_json(view), "why": view.why or None, "now": now})
        return 0
    for line in run_lines(view):
        say(line)
    if row is not None:
        say()
        say(f"Now: {_sentence(row)}")
    return 0


def _now(repository: Repository, run: str) -> Row | None:
    """What the end of the log says is going on."""
    from runner.report.board import Board
    from runner.report.events import read_tail

    board = Board()
    for event in read_tail(repository.state / "runs" / run / "log.jsonl"):
        board.take(event)
    return board.rows.get(board.current)


def _sentence(row: Row) -> str:
    from runner.redact import one_line

    where = f"{row.id or 'the landing branch'}: {row.stage}" + (f", round {row.round}" if row.round else "")
    who = f", {row.role} ({row.model})" if row.role and row.model else ""
    steps = f", step {row.steps}" if row.steps else ""
    return one_line(f"{where}{who}{steps}: {row.doing}")
