"""`relay pipeline schema`: the JSON Schema of pipeline files, for editors."""

from __future__ import annotations

from pathlib import Path

import click

import pipelines.pipeline
from runner.cli.options import example


@click.command(epilog=example("relay pipeline schema > pipeline.schema.json"))
def command() -> int:
    """Print the JSON Schema (2020-12) of pipeline files."""
    click.echo(Path(pipelines.pipeline.__file__).with_name("schema.json").read_text(encoding="utf-8"), nl=False)
    return 0
