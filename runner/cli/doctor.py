"""`relay doctor`: is this machine, and with FILE this pipeline, ready for a night alone?"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import example, json_option, repo_option, say, say_json
from runner.places import cache_home
from runner.redact import escape_terminal

if TYPE_CHECKING:
    from pipelines.pipeline import Pipeline
    from runner.cli.checks import Check
    from sandbox.docker import Engine

MACHINE, FILE = 4, 2  # exit codes: the machine must be mended, the pipeline must be


@click.command(epilog=example("relay doctor", "relay doctor pipeline.yaml", "relay doctor pipeline.yaml --models"))
@click.argument("file", required=False)
@click.option("--models", is_flag=True, help="Also ask each role's model one short question (costs a few tokens).")
@repo_option
@json_option
def command(file: str | None, models: bool, repo: Path, as_json: bool) -> int:
    """Check this machine, line by line: ok, or fix and what to do.

    With FILE also the pipeline: it is validated, its environment is built and its gates run on the target branch,
    without any paid call. Exit code 0: all is well; 4: the machine must be mended; 2: the pipeline must be.
    """
    if models and file is None:
        raise click.UsageError("--models asks the models of a pipeline: name its FILE")
    done: list[Check] = []
    with contextlib.ExitStack() as stack:
        for check in _checks(file, models, repo, stack):
            done.append(check)
            if not as_json:
                _print(check)
    if as_json:
        say_json({"ok": all(check.ok for check in done), "checks": [asdict(check) for check in done]})
    wrong = {check.name for check in done if not check.ok}
    return 0 if not wrong else FILE if wrong == {"pipeline"} else MACHINE


def _checks(file: str | None, models: bool, repo: Path, stack: contextlib.ExitStack) -> Iterator[Check]:
    """Every check, each when it is done, so that a reader sees it go on."""
    from runner.cli import checks
    from sandbox.docker import connect
    from sandbox.versions import versions

    yield checks.python(sys.version_info[:3])
    yield checks.git()
    repository = checks.repository(repo)
    yield repository
    yield _clock(repo if repository.ok else None)
    yield checks.disk(_folders(repo), lambda folder: shutil.disk_usage(folder).free)
    found, engine = checks.engine(connect, os.environ)
    yield found
    if engine is not None:
        stack.enter_context(engine)
        yield checks.runc(versions(engine))
    pipeline = None
    if file is None:
        yield checks.any_key(os.environ)
    else:
        loaded, pipeline = _load(file, repo)
        yield loaded
        if pipeline is not None:
            yield from _roles(pipeline, models)
    if engine is not None:
        ready = True
        for check in _engine_checks(engine, pipeline, repo if repository.ok else None):
            ready = ready and check.ok
            yield check
        if pipeline is not None and ready and repository.ok:
            yield from _trial(pipeline, repo, engine)


def _trial(pipeline: Pipeline, repo: Path, engine: Engine) -> Iterator[Check]:
    from runner.cli.trial import check_pipeline
    from runner.git.repo import open_repository

    def tell(line: str) -> None:
        click.echo(escape_terminal(f"setup: {line}"), err=True)

    yield from check_pipeline(pipeline, open_repository(repo), engine, os.environ, tell)


def _engine_checks(engine: Engine, pipeline: Pipeline | None, repo: Path | None) -> Iterator[Check]:
    from runner.cli import checks
    from sandbox.debian import TAG
    from sandbox.workspace import probe

    name, pull = (pipeline.sandbox.image, pipeline.sandbox.pull) if pipeline else ("debian", "missing")
    image = checks.image(engine, name, pull)
    yield image
    local = engine.image_id(TAG if name == "debian" else name) if image.ok else None
    if local is None:
        return
    uid, gid = inner_user(os.getuid(), os.getgid())
    yield checks.container(engine, local, f"{uid}:{gid}")
    where = _state(repo) if repo else cache_home(os.environ)
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where, prefix="doctor-") as folder:
        Path(folder).chmod(0o711)
        yield checks.workspace(lambda: probe(engine, local, Path(folder), uid, gid))


def inner_user(uid: int, gid: int) -> tuple[int, int]:
    """Whom a sandbox runs as: relay's own user, or, where relay is root, one that is nobody's."""
    return (58271, 58271) if uid == 0 else (uid, gid)


def _load(file: str, repo: Path) -> tuple[Check, Pipeline | None]:
    from pipelines.find import find_pipeline
    from pipelines.load import load
    from pipelines.problems import PipelineError
    from runner.cli.checks import Check
    from runner.cli.facts import facts

    try:
        loaded = load(find_pipeline(file, repo=repo), facts=facts(repo, to_run=False))
    except PipelineError as error:
        return Check("pipeline", False, str(error), "mend these lines, then run relay doctor again"), None
    told = "; ".join([file, *(problem.what for problem in loaded.warnings)])
    return Check("pipeline", True, told), loaded.pipeline


def _roles(pipeline: Pipeline, ask: bool) -> Iterator[Check]:
    from pipelines.lint import key_names
    from runner.cli import checks
    from runner.cli.ask import ask_model

    names = [key_names(role, role.model) for role in pipeline.roles.values()]
    yield checks.keys(list(dict.fromkeys(name for name in names if name)), os.environ)
    if ask:
        for role in pipeline.roles.values():
            yield ask_model(pipeline, role, os.environ)


def _clock(repo: Path | None) -> Check:
    from runner import __file__ as made
    from runner.cli import checks
    from runner.git.repo import open_repository

    return checks.clock(open_repository(repo) if repo else None, time.time(), Path(made).stat().st_mtime)


def _folders(repo: Path) -> Sequence[Path]:
    return (repo.absolute(), cache_home(os.environ))


def _state(repo: Path) -> Path:
    from runner.git.repo import open_repository

    return open_repository(repo).state


def _print(check: Check) -> None:
    first, *others = check.detail.splitlines() or [""]
    say(f"{'ok ' if check.ok else 'fix'}  {check.name:<10} {first}")
    for line in others:
        say(f"     {'':<10} {line}")
    if not check.ok:
        say(f"     {'':<10} -> {check.fix}")
