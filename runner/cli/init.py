"""`relay init`: look at the repository and write the two files that a user starts with."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

import click

from runner.cli.detect import Project, detect
from runner.cli.options import example, json_option, repo_option, say, say_json
from runner.cli.starter import KEYS, make_text, pipeline_text

_NAMES = ("pipeline.yaml", "relay.mk")


@click.command(epilog=example("relay init", "relay init --repo ../my-project"))
@repo_option
@json_option
def command(repo: Path, as_json: bool) -> int:
    """Look at the repository; write a commented pipeline.yaml that is valid, and relay.mk.

    Language and test command are read off the files of the branch that is checked out; nothing is run. Which API keys
    are set decides the models. Files that are there are never overwritten.
    """
    from runner.git.history import resolve, tree_of
    from runner.git.objects import ls_tree, read_path
    from runner.git.repo import open_repository
    from runner.git.survey import default_branch

    repository = open_repository(repo)
    target = default_branch(repository).removeprefix("refs/heads/")
    tree = tree_of(repository, resolve(repository, "HEAD") or "HEAD")
    folder = repository.work_tree
    if folder is None:
        raise click.UsageError(f"{repo} is a bare repository: run relay init in a clone of it, which has a work tree")
    in_the_way = [name for name in _NAMES if os.path.lexists(folder / name)]
    if in_the_way:
        raise click.UsageError(
            f"{' and '.join(in_the_way)} in {folder}: relay init overwrites nothing; "
            f"edit it, or move it away first: mv {in_the_way[0]} {in_the_way[0]}.old"
        )

    def read(path: str) -> str:
        return (read_path(repository, tree, path.encode()) or b"").decode(errors="replace")

    project = detect([os.fsdecode(path) for path in ls_tree(repository, tree)], read)
    registry = _registry_answers(project.image)
    vendors = vendors_with_keys(os.environ)
    text = pipeline_text(project, target=target, registry=registry, vendors=vendors)
    relay = shutil.which(sys.argv[0]) or sys.argv[0]
    _write(folder / "pipeline.yaml", text)
    _write(folder / "relay.mk", make_text(str(Path(relay).absolute()), "pipeline.yaml"))
    _tell(folder, project, target, registry, vendors, as_json)
    return 0


def vendors_with_keys(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The vendors that a key is set for."""
    return tuple(vendor for vendor, names in KEYS.items() if any(environment.get(name) for name in names))


def _registry_answers(image: str) -> bool:
    """Whether the engine has the image or its registry would give it. No engine: no."""
    if image == "debian":
        return False
    from sandbox.base import SandboxError
    from sandbox.docker import connect
    from sandbox.versions import in_registry

    try:
        with connect() as engine:
            return engine.image_id(image) is not None or in_registry(engine, image)
    except SandboxError:
        return False


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise click.ClickException(
            f"cannot write {path} ({error.strerror}): give your user the right to write into {path.parent}"
        ) from error


def _tell(folder: Path, project: Project, target: str, registry: bool, vendors: Collection[str], as_json: bool) -> None:
    written = [str(folder / name) for name in _NAMES]
    if as_json:
        about = {"target": target, "registry_answers": registry, "keys": list(vendors), "wrote": written}
        say_json({**asdict(project), **about})
        return
    say(f"language  {project.language or 'not recognised'}")
    say(f"tests     {project.run or 'put your command into gates: tests: run'} ({project.why})")
    say(f"target    {target}")
    instead = "" if project.image == "debian" else f" (no registry gives {project.image})"
    say(f"image     {project.image if registry else f'debian{instead}'}")
    say(f"keys      {', '.join(vendors) or 'none is set; the file names usual models'}")
    for path in written:
        say(f"wrote     {path}")
    go = "" if folder.samefile(Path()) else f"cd {shlex.quote(str(folder))}, then "
    say(f'next      {go}relay doctor pipeline.yaml, then relay pipeline run --task "..."')
