"""The test command on a fresh tree: relay's gate beside `docker run` on a new worktree, and a tree judged before."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.ground import LABELS, Ground, run
from benchmarks.measure import Phases, Watch, Way, check
from benchmarks.repos import make
from benchmarks.turn import TESTS
from runner.git import notes
from runner.git.checkout import base_directory
from runner.git.history import resolve, tree_of
from runner.git.layer import git_layer
from runner.git.repo import Repository, open_repository
from runner.stages.names import GATE_NOTES
from sandbox.base import SandboxSpec
from sandbox.workspace import open_workspace

BASE = "relay"


def ways(ground: Ground, files: int) -> list[Way]:
    """On one repository, which nobody changes."""
    path = make(ground.folder / f"gate-{files}.git", files)
    repository = open_repository(path)
    head = resolve(repository, "refs/heads/main") or ""
    tree = tree_of(repository, head)
    notes.add(repository, GATE_NOTES, tree, '{"status": "passed"}')
    found = [
        Way(BASE, lambda: _relay(ground, repository, head, tree)),
        Way("relay, judged before", lambda: _judged(repository, tree)),
    ]
    if ground.docker_cli:
        found.append(Way("git worktree, docker run", lambda: _naive(ground, path)))
    return found


def _relay(ground: Ground, repository: Repository, head: str, tree: str) -> Phases:
    watch, uid, gid, stamp = Watch(), ground.uid, ground.gid, time.time_ns()
    cache = ground.folder / "gate-cache"
    with watch("workspace"):
        workspace = open_workspace(
            ground.engine,
            ground.backend,
            home=ground.folder / f"gate-{stamp}",
            base=base_directory(repository, tree, cache, uid, gid),
            extras=None,
            gitdir=git_layer(repository, tree, head, cache, uid, gid),
            name=f"relay-bench-{stamp}",
            uid=uid,
            gid=gid,
        )
    with watch("run"):
        spec = SandboxSpec(ground.image, ground.user, (workspace.mount,), LABELS)
        ran = ground.engine.run_command(spec, TESTS, timeout=60)
    with watch("removal"):
        workspace.remove()
    check(ran.status == 0 and b"1 passed" in ran.output, ran)
    return watch.total()


def _judged(repository: Repository, tree: str) -> Phases:
    watch = Watch()
    with watch("run"):
        found = notes.read(repository, GATE_NOTES, tree)
    check(found == ('{"status": "passed"}',), found)
    return watch.total()


def _naive(ground: Ground, repository: Path) -> Phases:
    watch, work = Watch(), ground.folder / f"tree-{time.time_ns()}"
    with watch("workspace"):
        run("git", "-C", repository, "worktree", "add", "-q", "--detach", work, "main")
    with watch("run"):
        mount, shell = f"{work}:/work", ("sh", "-c", TESTS)
        said = run("docker", "run", "--rm", *ground.bare, "-v", mount, "-w", "/work", ground.image, *shell)
    with watch("removal"):
        run("git", "-C", repository, "worktree", "remove", "--force", work)
    check(b"1 passed" in said, said)
    return watch.total()
