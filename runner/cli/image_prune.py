"""`relay image prune`: environments that nobody has needed for a while."""

from __future__ import annotations

import math
import os
import time

import click

from runner.cli.options import example, json_option, say, say_json
from runner.places import cache_home


@click.command(epilog=example("relay image prune", "relay image prune --keep-days 0   # all that no container uses"))
@click.option(
    "--keep-days", type=click.FloatRange(min=0), default=7, show_default=True, help="Keep those made in the last days."
)
@json_option
def command(keep_days: float, as_json: bool) -> int:
    """Remove old environments and what they left in the cache; the next run that needs one builds it again.

    The base image stays. What a container uses now stays too.
    """
    from sandbox.docker import connect
    from sandbox.environments import prune

    if math.isnan(keep_days):
        raise click.BadParameter("not a number of days", param_hint="--keep-days")
    limit = time.time() - keep_days * 86400
    with connect() as engine:
        removed = prune(engine, cache_home(os.environ), keep=lambda each: each.created > limit)
    if as_json:
        say_json({"removed": list(removed)})
        return 0
    for key in removed:
        say(f"removed {key if key.startswith('sha256:') else f'relay/env:{key}'}")
    say(f"{len(removed)} images removed")
    return 0
