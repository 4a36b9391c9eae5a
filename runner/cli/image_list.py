"""`relay image list`: what relay keeps in the engine."""

from __future__ import annotations

import time

import click

from runner.cli.options import example, json_option, say, say_json


@click.command(epilog=example("relay image list"))
@json_option
def command(as_json: bool) -> int:
    """List the images that relay made: the base image `debian`, and environments: an image and its setup."""
    from sandbox.debian import TAG
    from sandbox.docker import connect
    from sandbox.environments import list_environments

    with connect() as engine:
        base = engine.image(TAG)
        rows: list[tuple[str, str, float | None, int]] = [(TAG, base["Id"], None, base["Size"])] if base else []
        rows += [
            (f"relay/env:{each.key}", each.image_id, each.created, each.size) for each in list_environments(engine)
        ]
    if as_json:
        listed = [{"image": name, "id": id_, "created": made, "bytes": size} for name, id_, made, size in rows]
        say_json({"images": listed})
        return 0
    for name, _, made, size in rows:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(made)) if made else "base image"
        say(f"{name:<43} {size / 1e6:>6.0f} MB  {when}")
    if not rows:
        say("none; the base image is made by: relay image debian")
    return 0
