"""The options that many commands share, so that they are called and explained alike everywhere."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from runner.redact import escape_terminal

MOST_USD = 1_000_000  # as in a pipeline file

repo_option: Callable[[Any], Any] = click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    show_default="the current directory",
    help="The git repository.",
)
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print the same facts as JSON on standard output."
)


def usd(_context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """An amount of money as it was typed, or the complaint about it."""
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST_USD:
        what = f"{text!r} is no amount of USD from 0 to {MOST_USD}, such as 5 or 7.50"
        raise click.BadParameter(what, param=parameter)
    return str(amount)


def max_cost_option(help: str) -> Callable[[Any], Any]:
    """`--max-cost USD`."""
    return click.option("--max-cost", metavar="USD", callback=usd, help=help)


def example(*lines: str) -> str:
    """An epilog with an example, each line as it is typed."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def say(text: str = "") -> None:
    """Print for people: control characters of untrusted text are escaped."""
    click.echo(escape_terminal(text))


def say_json(value: object) -> None:
    """Print for programs: one JSON value, ASCII only, so that no terminal can be hurt by it."""
    import json  # only who asks for it pays for it

    click.echo(json.dumps(value, indent=2))
