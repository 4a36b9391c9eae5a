"""Moving refs: all or none, in order, without the user's hooks, and sound after a kill."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.git import history, objects, refs
from runner.git.command import GitError, RefMoved
from runner.git.refs import RefUpdate
from runner.git.repo import Repository
from tests.runner.git.support import git, make, opened, picture


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return opened(make(tmp_path / "repo"))


def _head(repository: Repository) -> str:
    return str(history.resolve(repository, "HEAD"))


def _next(repository: Repository, parent: str, message: str = "next") -> str:
    return objects.write_commit(repository, history.tree_of(repository, parent), [parent], message, when=1)


def test_refs_are_made_moved_asserted_and_deleted_in_one_transaction(repository: Repository) -> None:
    """The four things that a move can be."""
    old, new = _head(repository), _next(repository, _head(repository))
    refs.move(repository, [RefUpdate("refs/relay/a", old, None), RefUpdate("refs/heads/relay/r/c", old, None)])
    refs.move(
        repository,
        [
            RefUpdate("refs/relay/a", new, old),
            RefUpdate("refs/heads/relay/r/c", None, old),
            RefUpdate("refs/heads/main", old, old),
            RefUpdate("refs/relay/b-ü", new, None),
        ],
    )
    assert refs.listed(repository, "refs/relay", "refs/heads/relay") == {"refs/relay/a": new, "refs/relay/b-ü": new}
    assert refs.read(repository, "refs/relay") is None
    refs.move(repository, [])


@pytest.mark.parametrize("name", ["refs/relay/there", "refs/relay/missing"])
def test_a_lost_race_names_the_ref_and_moves_nothing(repository: Repository, name: str) -> None:
    """Whatever the other ref is: elsewhere, gone, or there although it should not be."""
    old, new = _head(repository), _next(repository, _head(repository))
    refs.move(repository, [RefUpdate("refs/relay/there", old, None)])
    now = refs.read(repository, name)
    for stale in {None, old, new} - {now}:
        with pytest.raises(RefMoved) as lost:
            refs.move(
                repository, [RefUpdate("refs/relay/first", new, None), RefUpdate(name, _next(repository, new), stale)]
            )
        assert (lost.value.name, lost.value.now, lost.value.expected) == (name, now, stale)
        assert refs.read(repository, "refs/relay/first") is None


def test_nothing_that_no_ref_may_be_is_accepted(repository: Repository) -> None:
    """A half name, a move from nothing to nothing, an object that does not exist."""
    for update in (RefUpdate("main", _head(repository), None), RefUpdate("refs/relay/x", None, None)):
        with pytest.raises(ValueError):
            refs.move(repository, [update])
    with pytest.raises(GitError, match="nonexistent object"):
        refs.move(repository, [RefUpdate("refs/relay/x", "1" * 40, None)])


def test_no_hook_runs_and_no_reflog_is_made_but_an_existing_one_is_kept(repository: Repository) -> None:
    """The user's reference-transaction hook is not asked; the user's reflog of the target gets its line."""
    where = repository.common_dir.parent
    for hook in ("reference-transaction", "post-commit", "update"):
        path = repository.common_dir / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch '{where}/hook-ran'\n")
        path.chmod(0o755)
    git(where, "-c", "core.hooksPath=/dev/null", "branch", "free")
    git(where, "config", "core.logAllRefUpdates", "always")
    old, new = _head(repository), _next(repository, _head(repository))
    free = repository.common_dir / "logs/refs/heads/free"
    assert len(free.read_text().splitlines()) == 1
    before = set((repository.common_dir / "logs").rglob("*"))
    refs.move(
        repository,
        [
            RefUpdate("refs/relay/x", new, None),
            RefUpdate("refs/heads/relay/r/landed", new, None),
            RefUpdate("refs/heads/free", new, old),
        ],
    )
    assert len(free.read_text().splitlines()) == 2
    assert set((repository.common_dir / "logs").rglob("*")) == before
    assert not (where / "hook-ran").exists()


def test_foreign_refs_and_everything_else_stay_byte_for_byte(repository: Repository) -> None:
    """Packed refs, stash, index, config, hooks, work tree."""
    where = repository.common_dir.parent
    git(where, "tag", "v1")
    (where / "a.txt").write_text("stashed")
    git(where, "stash", "-q")
    git(where, "pack-refs", "--all")
    (where / "a.txt").write_text("dirty")
    before = picture(where)
    old = _head(repository)
    refs.move(repository, [RefUpdate("refs/relay/x", old, None), RefUpdate("refs/heads/relay/r/x", old, None)])
    refs.move(repository, [RefUpdate("refs/relay/x", _next(repository, old), old)])
    assert picture(where) == before


def test_a_lock_in_the_way_is_a_clear_error_and_only_our_own_is_removed(repository: Repository) -> None:
    """A killed git leaves lock files; relay takes away its own when it holds the repository, and names the others."""
    old, new = _head(repository), _next(repository, _head(repository))
    ours, target = (repository.common_dir / name for name in ("refs/relay/x.lock", "refs/heads/main.lock"))
    ours.parent.mkdir(parents=True)
    ours.write_text("")
    ours_made = ours.stat().st_mtime
    target.write_text(f"{new}\n")
    for name, was in (("refs/relay/x", None), ("refs/heads/main", old)):
        with pytest.raises(GitError, match="lock file is in the way") as told:
            refs.move(repository, [RefUpdate(name, new, was)])
        assert f"{name}.lock" in str(told.value)
    later = time.time() + 60
    clock = itertools.count(int(time.time()))
    assert refs.remove_stale_locks(repository, now=lambda: next(clock), sleep=lambda _: None) == (ours,)
    assert next(clock) - ours_made >= 10, "a younger one may be a git's that outlived its relay"
    assert refs.remove_stale_locks(repository, {"refs/heads/main": old}, now=lambda: later) == ()
    assert refs.remove_stale_locks(repository, {"refs/heads/main": new}, now=lambda: later) == (target,)
    refs.move(repository, [RefUpdate("refs/relay/x", new, None), RefUpdate("refs/heads/main", new, old)])


_MOVER = """
import sys
from pathlib import Path
from runner.git.refs import RefUpdate, move, read
from runner.git.repo import open_repository
repository = open_repository(Path(sys.argv[1]))
ids = sys.argv[2:]
names = ("refs/relay/evidence", "refs/heads/free")
print("ready", flush=True)
while True:
    for new in ids:
        move(repository, [RefUpdate(name, new, read(repository, name)) for name in names])
"""


def test_killed_in_the_middle_leaves_old_or_new_and_a_rerun_converges(repository: Repository) -> None:
    """Killed with git itself at random moments: the target never has what the evidence does not have."""
    first = _head(repository)
    ids = [first]
    for number in range(3):
        ids.append(_next(repository, ids[-1], str(number)))
    for round_ in range(6):
        mover = subprocess.Popen(
            [sys.executable, "-c", _MOVER, str(repository.common_dir.parent), *ids],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert mover.stdout is not None and mover.stdout.readline() == b"ready\n"
        try:
            mover.wait(0.05 + 0.031 * round_)
        except subprocess.TimeoutExpired:
            _kill_with_children(mover.pid)
        mover.wait()
        mover.stdout.close()
        evidence, target = refs.read(repository, "refs/relay/evidence"), refs.read(repository, "refs/heads/free")
        assert evidence in (None, *ids) and target in (None, *ids)
        _clear_locks(repository, ids)
        for wanted in ids:
            moves = [("refs/relay/evidence", evidence), ("refs/heads/free", target)]
            refs.move(repository, [RefUpdate(name, wanted, was) for name, was in moves])
            evidence = target = wanted
    git(repository.common_dir, "fsck", "--strict")


def _clear_locks(repository: Repository, wanted: list[str]) -> None:
    """What a session does at its start, knowing what it meant to write; an empty lock could be anybody's and stays."""
    later = time.time() + 60
    for one in wanted:
        refs.remove_stale_locks(repository, {"refs/heads/free": one}, now=lambda: later)
    left = repository.common_dir / "refs/heads/free.lock"
    if left.exists():  # killed between git's making of the file and its writing: the error names the file
        assert left.read_bytes() == b""
        left.unlink()


def _kill_with_children(pid: int) -> None:
    """SIGKILL for relay and for the git that it started, as a machine that runs out of memory does."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for victim in (pid, *map(int, children)):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
