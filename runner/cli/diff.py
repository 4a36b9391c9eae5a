"""`relay diff`: the patch of a change."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say_json

_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_HEADERS = re.compile(r"diff --git |index |--- |\+\+\+ |similarity |rename |new file|deleted file|old mode|new mode")


@click.command(epilog=example("relay diff t1-2", "relay diff t1-2 | git apply --check"))
@click.argument("change")
@repo_option
@json_option
def command(change: str, repo: Path, as_json: bool) -> int:
    """Print the patch of CHANGE, written [RUN/]CHANGE: from the landing branch to what would land, or landed.

    On a terminal, control characters are escaped; into a pipe or file the patch goes byte for byte.
    """
    from runner.git.repo import open_repository
    from runner.reading import find_change
    from runner.redact import escape_terminal
    from runner.report.patch import patch_of

    repository = open_repository(repo)
    found = find_change(repository, change)
    patch = patch_of(repository, found.change)
    if as_json:
        say_json(
            {
                "run": found.run.run,
                "change": found.change.id,
                "old": patch.old,
                "new": patch.new,
                "patch": patch.text.decode(errors="backslashreplace"),
            }
        )
        return 0
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(patch.text)
        return 0
    for line in escape_terminal(patch.text.decode(errors="backslashreplace")).split("\n"):
        is_header = _HEADERS.match(line) is not None
        click.echo(click.style(line, bold=True) if is_header else click.style(line, fg=_STYLES.get(line[:1])))
    return 0
