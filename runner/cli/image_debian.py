"""`relay image debian`: the base image, made here."""

from __future__ import annotations

import click

from runner.cli.options import example, json_option, say, say_json


@click.command(epilog=example("relay image debian", "relay image debian --force   # again, with today's packages"))
@click.option("--force", is_flag=True, help="Build it again although it is there.")
@json_option
def command(force: bool, as_json: bool) -> int:
    """Make the base image `debian`: Debian or Ubuntu as on this system, with python, pip, pytest and git.

    Built by mmdebstrap from this system's own package sources, so it needs no image registry. About a minute, once.
    """
    from sandbox.debian import TAG, ensure_debian
    from sandbox.docker import connect

    with connect() as engine:
        image = ensure_debian(engine, lambda line: click.echo(f"relay: {line}", err=True), force=force)
    if as_json:
        say_json({"image": TAG, "id": image})
    else:
        say(f"{TAG} is there: {image}")
    return 0
