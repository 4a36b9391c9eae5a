"""What the commands that drive a run share: where its events go, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from runner.cli.options import say_json
from runner.git.repo import Repository
from runner.outcomes import EXIT, RunOutcome
from runner.reading import read_run
from runner.redact import escape_terminal, one_line
from runner.report.html import write_report
from runner.report.live import Live
from runner.report.plain import Sink, plain
from runner.report.text import run_lines
from runner.session import Ended
from runner.view import run_json

NEXT: Mapping[RunOutcome, str] = {
    "broken": "{why}; go on with: relay resume {run}",
    "interrupted": "interrupted; go on with: relay resume {run}",
    "budget": "the budget is used; with more money it goes on: relay resume {run} --max-cost USD",
}


@contextmanager
def sink(as_json: bool) -> Iterator[Sink]:
    """A live table where a person watches, plain lines elsewhere; always on standard error when JSON is asked for."""
    stream = sys.stderr if as_json else sys.stdout
    if stream.isatty():
        with Live(stream) as live:
            yield live
    else:
        yield plain(stream)


def finish(repository: Repository, ended: Ended, as_json: bool) -> int:
    """Print how the session ended and what to do next, and write the report; gives the exit code.

    With JSON what is for people goes to standard error.
    """
    view = read_run(repository, ended.run)
    if as_json:
        say_json({**run_json(view), "outcome": ended.outcome})
    for line in ("", *run_lines(view), ""):
        click.echo(escape_terminal(line), err=as_json)
    try:
        report = f"report: {write_report(repository, ended.run)}"
    except OSError as error:  # a full disk must not hide how the run ended
        report = f"the report could not be written: {error}"
    click.echo(escape_terminal(report), err=as_json)
    if ended.outcome in NEXT:
        text = NEXT[ended.outcome].format(run=ended.run, why=one_line(ended.why, 1000))
        click.echo(escape_terminal(f"relay: {text}"), err=True)
    return EXIT[ended.outcome]
