"""`relay report`: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import example, json_option, repo_option, say, say_json


@click.command(epilog=example("relay report", "relay report r20261124-0412-abcd --output night.html"))
@click.argument("run", required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.  [default: report.html in the run's folder]",
)
@repo_option
@json_option
def command(run: str | None, output: Path | None, repo: Path, as_json: bool) -> int:
    """Write the report of RUN (default: the newest) as one self-contained HTML page, without scripts or links."""
    from runner.git.repo import open_repository
    from runner.report.html import write_report

    repository = open_repository(repo)
    try:
        path = write_report(repository, run, output)
    except OSError as error:
        if output is None:
            raise
        raise click.ClickException(f"cannot write {output} ({error.strerror}): name another --output") from error
    if as_json:
        say_json({"report": str(path)})
    else:
        say(str(path))
    return 0
