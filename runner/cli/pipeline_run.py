"""`relay pipeline run`: the main job, from a task's text to tested, reviewed, landed commits."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import example, json_option, max_cost_option, repo_option

if TYPE_CHECKING:
    from pipelines.pipeline import Pipeline
    from runner.git.repo import Repository
    from runner.stages.records import Options


@click.command(
    epilog=example(
        "relay pipeline run",
        'relay pipeline run solo --task "Fix the off-by-one in pages()"',
        "relay pipeline run night.yaml --may-change 'tests/**' --max-cost 5 --json",
    )
)
@click.argument("file", required=False)
@repo_option
@click.option("--task", "tasks", multiple=True, help="A task as text; `-` reads it from stdin.")
@click.option("--may-change", multiple=True, metavar="GLOB", help="Protected files that every change may alter.")
@max_cost_option("Money that this run may cost; wins over the file.")
@click.option("--dry-run", is_flag=True, help="Print stages, models, commands and the budget; call no model.")
@json_option
def command(
    file: str | None,
    repo: Path,
    tasks: tuple[str, ...],
    may_change: tuple[str, ...],
    max_cost: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run a pipeline on the repository, until every task has landed or ended otherwise.

    FILE is a path or the name of a shipped pipeline; without it ./pipeline.yaml. Your work tree, index and branches
    stay as they are; approved work lands on the target, or waits on relay/<run>/landed while that is checked out.
    """
    from pipelines.find import find_pipeline
    from pipelines.load import load
    from runner.cli.facts import facts
    from runner.git.repo import open_repository
    from runner.stages.records import Options

    repository = open_repository(repo)
    path = find_pipeline(file, repo=repo)
    texts = tuple(_text(task) for task in tasks)
    options = Options(texts, _patterns(may_change), max_cost)
    outside = facts(repo, to_run=not dry_run, money_budget=max_cost is not None)
    loaded = load(path, facts=outside, tasks=texts)
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    if dry_run:
        return _describe(loaded.pipeline, options, repository, as_json)

    from runner.cli.going import finish, sink
    from runner.session import begin
    from runner.stages.start import host_names

    with sink(as_json) as events:
        ended = begin(
            repository, loaded, host_names(repository, path, loaded.pipeline), options, dict(os.environ), events
        )
    return finish(repository, ended, as_json)


def _text(task: str) -> str:
    """A task's text, read where it is `-`."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if task == "-" else task
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise click.BadParameter("a task is text: UTF-8, and no NUL in it", param_hint="--task")
    return text


def _patterns(given: tuple[str, ...]) -> tuple[str, ...]:
    from runner.gate.protect import grant_problem

    for pattern in given:
        problem = grant_problem(pattern)
        if problem is not None:
            raise click.BadParameter(problem, param_hint="--may-change")
    return given


def _describe(pipeline: Pipeline, options: Options, repository: Repository, as_json: bool) -> int:
    """What the run would be, with the files that each gate would protect in the tree of the target as it is."""
    from pipelines.describe import describe, render
    from runner.cli.options import say_json
    from runner.gate.protect import protection, selecting, setup_inputs
    from runner.git.history import resolve, tree_of
    from runner.git.objects import ls_tree
    from runner.stages.start import HEADS, target_of, with_options

    chosen = with_options(pipeline, options)
    target = target_of(repository, chosen)
    tip = resolve(repository, f"{HEADS}{target}")
    paths = ls_tree(repository, tree_of(repository, tip)) if tip else {}
    inputs = setup_inputs(paths, setup=chosen.sandbox.setup, given=chosen.sandbox.setup_inputs)
    protected = {
        gate.name: selecting(
            protection(paths, run=gate.run, patterns=gate.protected_files, inputs=inputs).patterns, paths
        )
        for gate in chosen.gates.values()
    }
    shown = describe(chosen, target=target, protected=protected)
    if as_json:
        say_json(shown)
    else:
        click.echo(render(shown), nl=False)
    return 0
