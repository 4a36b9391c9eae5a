"""`relay land` on a checked-out branch: like `git merge --ff-only`, but nothing of the user's is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.git import refs
from runner.git.command import GitError, RefMoved
from runner.git.forward import InTheWay, fast_forward
from tests.runner.git.support import git, make, opened, picture, save, write

MAIN = "refs/heads/main"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A repository with `main` checked out and a descendant of it on `next`."""
    where = make(tmp_path / "r", {"f": "1\n", "gone/x": "1\n", "kept": "1\n", ".gitignore": "*.db\n"})
    git(where, "checkout", "-q", "-b", "next")
    git(where, "rm", "-q", "-r", "gone")
    save(where, {"f": "2\n", "new/n": "n\n", "local.db": "theirs\n", "gone": "a file now\n"})
    git(where, "checkout", "-q", "main")
    return where


def _forward(where: Path) -> Path:
    return fast_forward(
        opened(where), MAIN, git(where, "rev-parse", "next"), git(where, "rev-parse", "main"), environ={}
    )


def test_branch_and_work_tree_move_together(where: Path) -> None:
    """Unrelated work in progress stays; no hook runs; git finds nothing strange after."""
    write(where, {"kept": "in progress\n", "untracked": "u\n"})
    for hook in ("post-merge", "reference-transaction", "post-checkout"):
        write(where, {f".git/hooks/{hook}": f"#!/bin/sh\ntouch '{where}/ran'\n"})
        (where / ".git/hooks" / hook).chmod(0o755)
    assert _forward(where) == where
    git(where, "config", "core.hooksPath", "/dev/null")
    assert git(where, "rev-parse", "main", "HEAD") == "\n".join([git(where, "rev-parse", "next")] * 2)
    assert git(where, "status", "--porcelain").splitlines() == ["M kept", "?? untracked"]
    assert (where / "new/n").read_text() == "n\n" and (where / "gone").is_file()
    assert not (where / "ran").exists()


def test_a_linked_work_tree_is_moved_where_it_is(where: Path, tmp_path: Path) -> None:
    """The branch decides which work tree, not the place where relay was started."""
    git(where, "checkout", "-q", "--detach")
    git(where, "worktree", "add", "-q", tmp_path / "side", "main")
    assert _forward(where) == tmp_path / "side"
    assert (tmp_path / "side/f").read_text() == "2\n" and (where / "f").read_text() == "1\n"


@pytest.mark.parametrize(
    ("path", "content"),
    [("local.db", "my data\n"), ("new/n", "mine\n"), ("new", "mine\n"), ("f", "dirty\n"), ("gone/mine.db", "mine\n")],
)
def test_what_is_in_the_way_stops_it_and_nothing_changes(where: Path, path: str, content: str) -> None:
    """Ignored, untracked, a file for a folder, dirty, an untracked file in a folder that becomes a file."""
    write(where, {path: content})
    git(where, "status")
    before = picture(where)
    with pytest.raises(InTheWay) as told:
        _forward(where)
    assert path in str(told.value)
    after = picture(where)
    after.pop(".git/ORIG_HEAD", None)  # git merge notes it even when it refuses
    assert after == before


def test_a_branch_that_moved_or_is_not_checked_out_is_not_touched(where: Path) -> None:
    """The same compare-and-swap as everywhere."""
    repository = opened(where)
    main, following = git(where, "rev-parse", "main"), git(where, "rev-parse", "next")
    with pytest.raises(RefMoved):
        fast_forward(repository, MAIN, following, following, environ={})
    with pytest.raises(GitError, match="not checked out"):
        fast_forward(repository, "refs/heads/next", following, following, environ={})
    other = save(where, {"kept": "2\n"})
    with pytest.raises(InTheWay, match="fast-forward"):
        fast_forward(repository, MAIN, following, other, environ={})
    assert refs.read(repository, MAIN) == other != main
