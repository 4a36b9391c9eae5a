"""A whole turn of 20 tool calls, phase by phase: relay, `git worktree` with `docker exec`, and the calls alone.

Each round goes on from the commit of the one before, as turns do. `base` is relay's directory for a tree that it has
not seen yet; `calls` are 8 reads, 4 writes, 6 sleeps of 50 ms and 2 test runs.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import LABELS, Ground, run
from benchmarks.measure import Phases, Watch, Way, check
from benchmarks.repos import PER_FOLDER, make
from runner.git.checkout import base_directory
from runner.git.harvest import harvest
from runner.git.history import resolve, tree_of
from runner.git.layer import git_layer
from runner.git.objects import write_commit
from runner.git.repo import Repository, open_repository
from sandbox.base import SandboxSpec
from sandbox.workspace import open_workspace

BASE = "relay"
TESTS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python3 -B -m pytest -q -p no:cacheprovider tests"
READS, WRITES, SLEEPS, TEST_RUNS = 8, 4, 6, 2


@dataclass(frozen=True)
class Tools:
    """What a turn does, whoever does it."""

    bash: Callable[[str], bytes]
    read: Callable[[str], bytes]
    write: Callable[[str, bytes], object]


def ways(ground: Ground, files: int) -> list[Way]:
    """Each with a repository of its own."""
    found = [_relay(ground, files), _floor(ground, files)]
    if ground.docker_cli:
        found.append(_naive(ground, files))
    return found


def _calls(tools: Tools, stamp: str) -> None:
    for number in range(READS):
        check(b"Module" in tools.read(_module(number)), "read")
    for number in range(WRITES):
        tools.write(
            _module(number), f'"""Module {number}, {stamp}."""\n\n\ndef value():\n    return {number}\n'.encode()
        )
    for _ in range(SLEEPS):
        tools.bash("sleep 0.05")
    for _ in range(TEST_RUNS):
        said = tools.bash(TESTS)
        check(b"1 passed" in said, said)


def _module(number: int) -> str:
    return f"pkg{number // PER_FOLDER}/module_{number}.py"


def _relay(ground: Ground, files: int) -> Way:
    repository = open_repository(make(ground.folder / f"relay-{files}.git", files))
    cache = ground.folder / f"cache-{files}"
    head = begun = resolve(repository, "refs/heads/main") or ""

    def once() -> Phases:
        nonlocal head
        watch, stamp = Watch(), str(time.time_ns())
        head = _relay_turn(ground, repository, cache, watch, head, begun, stamp)
        return watch.total()

    return Way(BASE, once)


def _relay_turn(
    ground: Ground, repository: Repository, cache: Path, watch: Watch, head: str, begun: str, stamp: str
) -> str:
    uid, gid, tree = ground.uid, ground.gid, tree_of(repository, head)
    with watch("base"):
        base = base_directory(repository, tree, cache, uid, gid)
    with watch("workspace"):
        workspace = open_workspace(
            ground.engine,
            ground.backend,
            home=ground.folder / f"turn-{stamp}",
            base=base,
            extras=None,
            gitdir=git_layer(repository, tree, head, cache, uid, gid, base=begun),
            name=f"relay-bench-{stamp}",
            uid=uid,
            gid=gid,
        )
    with watch("start"):
        sandbox = ground.engine.start(SandboxSpec(ground.image, ground.user, (workspace.mount,), LABELS))
    with watch("calls"):
        tools = Tools(
            lambda command: sandbox.exec(command, timeout=60).output,
            lambda path: sandbox.read(f"/work/{path}", limit=1 << 20),
            lambda path, content: sandbox.write(f"/work/{path}", content),
        )
        _calls(tools, stamp)
    with watch("harvest"):
        taken = harvest(repository, tree, workspace.changes())
        commit = write_commit(repository, taken.tree, [head], "A turn\n", when=int(time.time()))
    with watch("removal"):
        sandbox.close()
        workspace.remove()
    check(len(taken.changed) == WRITES, taken)
    return commit


def _naive(ground: Ground, files: int) -> Way:
    repository = make(ground.folder / f"naive-{files}.git", files)

    def once() -> Phases:
        watch, stamp = Watch(), str(time.time_ns())
        work = ground.folder / f"tree-{stamp}"
        with watch("workspace"):
            _git(repository, "worktree", "add", "-q", "--detach", work, "main")
        with watch("start"):
            mount = f"{work}:/work"
            name = run("docker", "run", "-d", *ground.bare, "-v", mount, "-w", "/work", ground.image, "sleep", "1h")
            container = name.decode().strip()
        with watch("calls"):
            _calls(
                Tools(
                    lambda command: run("docker", "exec", container, "sh", "-c", command),
                    lambda path: run("docker", "exec", container, "cat", path),
                    lambda path, text: run("docker", "exec", "-i", container, "sh", "-c", f"cat >{path}", stdin=text),
                ),
                stamp,
            )
        with watch("harvest"):
            _git(work, "add", "-A")
            _git(work, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "A turn")
        with watch("removal"):
            run("docker", "rm", "-f", container)
            changed = _git(work, "diff", "--name-only", "HEAD~1").splitlines()
            _git(repository, "update-ref", "refs/heads/main", _git(work, "rev-parse", "HEAD").decode().strip())
            _git(repository, "worktree", "remove", "--force", work)
        check(len(changed) == WRITES, changed)
        return watch.total()

    return Way("git worktree, docker exec", once)


def _floor(ground: Ground, files: int) -> Way:
    """The same calls in a plain folder: what no relay and no Docker can save."""
    repository, work = make(ground.folder / f"floor-{files}.git", files), ground.folder / f"floor-{files}"
    run("git", "clone", "-q", repository, work)
    shutil.rmtree(work / ".git")

    def bash(command: str) -> bytes:
        command = command.replace("python3", shlex.quote(sys.executable))
        return subprocess.run(["sh", "-c", command], cwd=work, check=True, capture_output=True).stdout

    def once() -> Phases:
        watch = Watch()
        with watch("calls"):
            tools = Tools(bash, lambda p: (work / p).read_bytes(), lambda p, text: (work / p).write_bytes(text))
            _calls(tools, str(time.time_ns()))
        return watch.total()

    return Way("the calls alone", once)


def _git(where: Path, *arguments: str | Path) -> bytes:
    return run("git", "-C", where, *arguments)
