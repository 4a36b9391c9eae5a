"""What the commands that drive a run share: where its events go, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from runner.cli.options import say, say_json
from runner.git.repo import Repository
from runner.outcomes import EXIT
from runner.redact import escape_terminal
from runner.report.live import Live
from runner.report.plain import Sink, plain
from runner.session import Ended
from runner.view import read_run, run_json


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
    """Print how the session ended and what to do next; gives the exit code."""
    view = read_run(repository, ended.run)
    report = _report(repository, ended)
    if as_json:
        say_json({**run_json(view), "outcome": ended.outcome})
    else:
        say(f"{ended.run}: {ended.outcome}" + (f": {ended.why}" if ended.why else ""))
        for change in view.changes:
            say(
                f"  {change.id}  {change.outcome or 'open'}  {change.title}"
                + (f"  ({change.why})" if change.why else "")
            )
        if view.bring_in:
            say(f"bring it into {view.target} with: {view.bring_in}")
            say(f"  or, with the gate run again if {view.target} has moved: relay land {ended.run}")
        for change in view.changes:
            if change.outcome == "needs-human":
                say(f"waits for you: relay show {ended.run}/{change.id}, then relay approve {ended.run}/{change.id}")
        if report:
            say(f"report: {report}")
    code = EXIT[ended.outcome]
    if ended.outcome == "broken" and ended.failure is not None:
        click.echo(escape_terminal(f"relay: go on with: relay resume {ended.run}"), err=True)
    return code


def _report(repository: Repository, ended: Ended) -> str:
    from runner.report.html import write_report

    return str(write_report(repository, ended.run))
