"""What the user has: which branches are checked out, and what is told at the start of a run. Nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.git.command import GitError, Handle, run
from runner.git.objects import GITLINK, ls_tree, read_blobs
from runner.git.repo import Repository


@dataclass(frozen=True)
class CheckedOut:
    """Why a branch must not be moved under its user: `where` has it checked out, or in a rebase or bisect."""

    where: Path
    how: Literal["checkout", "rebase", "bisect"]


@dataclass(frozen=True)
class Facts:
    """What a user should hear before a run: what the sandboxes will not see as the user sees it."""

    submodules: tuple[bytes, ...]  # paths; empty folders for the tests
    lfs: tuple[bytes, ...]  # paths; the tests see the pointers, not the content
    shallow: bool
    sparse: bool
    partial: bool


def default_branch(repository: Repository) -> str:
    """The full name of the branch that is checked out now. Raises GitError when HEAD is detached, or has no commit."""
    handle = repository.refs.with_variables(GIT_DIR=str(repository.git_dir))
    output = run(handle, "symbolic-ref", "--quiet", "HEAD", accept=(0, 1))
    if output.status:
        raise GitError(
            "HEAD is detached, so there is no branch to land on: check one out (git switch main), "
            "or name one with `target:` in the pipeline file"
        )
    if run(handle, "rev-parse", "--verify", "--quiet", output.text, accept=(0, 1)).status:
        raise GitError(f"{output.text} has no commit yet: make the first one, or name another branch with `target:`")
    return output.text


def checked_out_branches(repository: Repository) -> Mapping[str, CheckedOut]:
    """Every branch (full ref name) that some work tree of the repository holds, linked ones and rebases included."""
    found: dict[str, CheckedOut] = {}
    where, bare = repository.common_dir, False
    for word in run(repository.refs, "worktree", "list", "--porcelain", "-z").stdout.split(b"\0"):
        key, _, value = word.partition(b" ")
        if key == b"worktree":
            where, bare = Path(os.fsdecode(value)), False
        elif key == b"bare":
            bare = True
        elif key == b"branch" and not bare:
            found[os.fsdecode(value)] = CheckedOut(where, "checkout")
    for git_dir in (repository.common_dir, *sorted((repository.common_dir / "worktrees").glob("*/"))):
        for name, how in _held(git_dir):
            found.setdefault(name, CheckedOut(_work_tree(git_dir), how))
    return found


def facts_at_start(repository: Repository, tree: str) -> Facts:
    """What the sandboxes will not see of `tree`, or only in part."""
    entries = ls_tree(repository, tree)
    attributes = {
        path: entry.id
        for path, entry in entries.items()
        if path.split(b"/")[-1] == b".gitattributes" and entry.kind == "blob"
    }
    contents = read_blobs(repository, attributes.values())
    return Facts(
        submodules=tuple(path for path, entry in entries.items() if entry.mode == GITLINK),
        lfs=tuple(path for path, blob in attributes.items() if b"filter=lfs" in contents[blob]),
        shallow=repository.shallow,
        sparse=_setting(repository, "core.sparseCheckout") == "true",
        partial=any((repository.common_dir / "objects" / "pack").glob("*.promisor")),
    )


def uncommitted(repository: Repository) -> tuple[bytes, ...] | None:
    """The paths of the user's work tree that are changed or untracked now, and so are not in any run; in git's order.

    None when it cannot be told without running the user's own settings (a split index). Runs no filter, no monitor,
    no hook, and does not refresh the index. Files that only a personal exclude file ignores count as untracked.
    """
    if repository.work_tree is None:
        return ()
    handle = Handle(
        repository.work_tree,
        {
            **repository.plumbing.variables,
            "GIT_WORK_TREE": str(repository.work_tree),
            "GIT_INDEX_FILE": str(repository.git_dir / "index"),
        },
    )
    head = run(
        repository.refs.with_variables(GIT_DIR=str(repository.git_dir)),
        "rev-parse",
        "-q",
        "--verify",
        "HEAD",
        accept=(0, 1),
    )
    exclude = f"core.excludesFile={repository.common_dir / 'info' / 'exclude'}"
    staged = run(
        handle, "diff-index", "--cached", "--name-only", "-z", "--no-renames", head.text, "--", accept=range(256)
    )
    changed = run(handle, "diff-files", "--name-only", "-z", "--ignore-submodules=all", "--", accept=range(256))
    new = run(
        handle,
        "-c",
        exclude,
        "ls-files",
        "-o",
        "-z",
        "--exclude-standard",
        "--directory",
        "--no-empty-directory",
        accept=range(256),
    )
    if staged.status or changed.status or new.status:
        return None
    return tuple(dict.fromkeys(path for output in (staged, changed, new) for path in output.stdout.split(b"\0")[:-1]))


def _held(git_dir: Path) -> Iterator[tuple[str, Literal["rebase", "bisect"]]]:
    for name in ("rebase-merge/head-name", "rebase-apply/head-name"):
        yield from ((ref, "rebase") for ref in _refs_in(git_dir / name))
    update_refs = git_dir / "rebase-merge" / "update-refs"
    yield from ((ref, "rebase") for ref in _refs_in(update_refs))
    if (git_dir / "BISECT_LOG").exists():
        # BISECT_START holds the branch's short name.
        yield from ((f"refs/heads/{ref}", "bisect") for ref in _lines(git_dir / "BISECT_START"))


def _refs_in(path: Path) -> list[str]:
    return [line for line in _lines(path) if line.startswith("refs/heads/")]


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8", "surrogateescape").splitlines()]
    except FileNotFoundError:
        return []


def _work_tree(git_dir: Path) -> Path:
    pointer = _lines(git_dir / "gitdir")
    return Path(pointer[0]).parent if pointer else git_dir.parent


def _setting(repository: Repository, name: str) -> str:
    handle = repository.refs.with_variables(GIT_DIR=str(repository.git_dir))
    return run(handle, "config", "--get", name, accept=(0, 1)).text
