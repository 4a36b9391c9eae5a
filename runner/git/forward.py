"""`relay land` on a branch that is checked out: the one place where relay changes a user's work tree, at their word."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.git.command import GitError, RefMoved, discovery, explain, run
from runner.git.history import changed_paths
from runner.git.objects import ls_tree
from runner.git.refs import read
from runner.git.repo import Repository
from runner.git.survey import checked_out_branches


class InTheWay(GitError):
    """The work tree holds something that the move would overwrite; nothing was changed. `paths` may be empty when git
    itself refused: its words stand in the text."""

    def __init__(self, text: str, paths: tuple[bytes, ...] = ()) -> None:
        super().__init__(text)
        self.paths = paths


def fast_forward(
    repository: Repository, branch: str, new: str, old: str, *, environ: Mapping[str, str] = os.environ
) -> Path:
    """Move `branch` (a full ref name, checked out in one work tree) from `old` to its descendant `new`, and the work
    tree with it, as `git merge --ff-only` would: with the user's own filters, hooks off. Returns the work tree.

    Unlike git it also refuses when an ignored file is in the way. Raises InTheWay, RefMoved when the branch is not at
    `old`, GitError when it is not simply checked out (a rebase, a bisect) or `new` is no descendant.
    """
    held = checked_out_branches(repository).get(branch)
    if held is None or held.how != "checkout":
        raise GitError(f"{branch} is not checked out, or is in the middle of a rebase or bisect: finish that first")
    if (now := read(repository, branch)) != old:
        raise RefMoved(branch, now=now, expected=old)
    blocked = tuple(_in_the_way(repository, held.where, old, new))
    if blocked:
        shown = ", ".join(os.fsdecode(path) for path in blocked[:5])
        raise InTheWay(f"{held.where} has files that would be overwritten: {shown}; move them away first", blocked)
    command = ("-c", "submodule.recurse=false", "merge", "--ff-only", "--quiet", "--no-stat", "--no-autostash", new)
    output = run(discovery(environ, held.where), *command, accept=range(256))
    now = read(repository, branch)
    if output.status and now == old:
        raise InTheWay(f"{held.where} cannot be moved: {output.complaint}")
    if now != new:
        raise GitError(explain(command, output))
    return held.where


def _in_the_way(repository: Repository, where: Path, old: str, new: str) -> Iterator[bytes]:
    """The untracked paths, ignored or not, that stand where the new commit has a file that the old one has not."""
    added = [entry.path for entry in changed_paths(repository, old, new) if entry.old is None]
    if not added:
        return
    tracked = ls_tree(repository, old)
    seen: set[bytes] = set()
    for path in added:
        parts = path.split(b"/")
        for end in range(1, len(parts) + 1):
            part = b"/".join(parts[:end])
            there = where / os.fsdecode(part)
            if part in seen or part in tracked or not (there.is_symlink() or there.exists()):
                continue
            if there.is_symlink() or not there.is_dir():
                seen.add(part)
                yield part
            elif end == len(parts):
                yield from (name for name in _files(where, there) if name not in tracked)


def _files(where: Path, folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield os.fsencode(path.relative_to(where))
