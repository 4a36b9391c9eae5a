"""`relay pipeline show`: a pipeline as relay understands it, every default filled in."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.describe import describe, render
from pipelines.find import find_pipeline
from pipelines.load import load
from runner.cli.options import example, json_option, repo_option, say_json


@click.command(epilog=example("relay pipeline show", "relay pipeline show duo --json"))
@click.argument("file", required=False)
@repo_option
@json_option
def command(file: str | None, repo: Path, as_json: bool) -> int:
    """Print stages, models, image, commands, protected files, host paths and budget of a pipeline.

    FILE is a path or the name of a shipped pipeline; without it ./pipeline.yaml.
    """
    loaded = load(find_pipeline(file, repo=repo))
    shown = describe(loaded.pipeline)
    if as_json:
        say_json(shown)
        return 0
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    click.echo(render(shown), nl=False)
    return 0
