"""`relay pipeline validate`: all problems of a pipeline file at once, before anything runs."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.find import find_pipeline
from pipelines.load import load
from pipelines.problems import PipelineError, Problem
from runner.cli.facts import facts
from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(
    epilog=example("relay pipeline validate", "relay pipeline validate solo", "relay pipeline validate my.yaml")
)
@click.argument("file", required=False)
@repo_option
@json_option
def command(file: str | None, repo: Path, as_json: bool) -> int:
    """Check a pipeline file and every file it names; a line for each problem, exit code 2 if there is one.

    FILE is a path or the name of a shipped pipeline; without it ./pipeline.yaml. Nothing is started.
    """
    path = find_pipeline(file, repo=repo)
    try:
        loaded = load(path, facts=facts(repo, to_run=False))
    except PipelineError as error:
        if not as_json:
            raise
        say_json({"file": str(path), "valid": False, "problems": [_plain(problem) for problem in error.problems]})
        return error.exit_code
    if as_json:
        say_json({"file": str(path), "valid": True, "problems": [_plain(problem) for problem in loaded.warnings]})
        return 0
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    say(f"{path}: valid" + (f", {len(loaded.warnings)} to look at" if loaded.warnings else ""))
    return 0


def _plain(problem: Problem) -> dict[str, str | int]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity,
        "what": problem.what,
        "hint": problem.hint,
    }
