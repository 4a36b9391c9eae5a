"""From the paths that changed in a workspace to a tree. No git ever runs in a directory that a model wrote.

What a tree may hold decides here: regular files and links, no `.git` in any spelling, no submodule touched, nothing
that the tree's own `.gitignore` files leave out, and all of it within limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runner.git import hostfile
from runner.git.command import GitTimeout, session
from runner.git.history import changed_paths
from runner.git.ignore import ignored
from runner.git.names import is_dot_git, is_dot_gitmodules
from runner.git.objects import SYMLINK, Reader, TreeEntry, reader
from runner.git.repo import Repository
from runner.git.trees import Change, write_tree_with

_RULES = b".gitignore"
_RULES_LIMIT = 1024**2
_ALL_RULES_LIMIT = 16 * 1024**2


class ChangedPath(Protocol):
    """A path that is new or different: relative to the workspace, its kind, and where the host can read it."""

    @property
    def path(self) -> bytes: ...

    @property
    def kind(self) -> str: ...

    @property
    def host(self) -> Path | bytes: ...


class Changes(Protocol):
    """What a workspace reports: paths that are there now, and paths of the base that are gone."""

    @property
    def present(self) -> Sequence[ChangedPath]: ...

    @property
    def removed(self) -> Sequence[bytes]: ...

    @property
    def cut(self) -> bool:
        """Whether there were more than were reported."""
        ...


@dataclass(frozen=True)
class Limits:
    """How much one harvest may bring: paths, bytes of one file, bytes of all, folders above a file, bytes of a path."""

    files: int = 20_000
    file_bytes: int = 50 * 1024**2
    total_bytes: int = 500 * 1024**2
    depth: int = 64
    path_bytes: int = 2048


@dataclass(frozen=True)
class Refused:
    """A path that was left out, and why. A tracked path that is refused stays as it was in the base."""

    path: bytes
    why: str


@dataclass(frozen=True)
class Harvest:
    """What came out: the tree, the paths in which it differs from the base, and what was left out.

    `exceeded` names the limit that the whole harvest broke; then nothing was taken and `tree` is the base.
    """

    tree: str
    changed: tuple[bytes, ...]
    ignored: tuple[bytes, ...] = ()
    refused: tuple[Refused, ...] = ()
    exceeded: str | None = None


def harvest(repository: Repository, base: str, changes: Changes, *, limits: Limits = Limits()) -> Harvest:
    """The tree that `base` (a tree) becomes with `changes`, as `git add -A` would make it, but by our own reading.

    Outcomes are values: what is left out stands in the result. Raises GitError for git's own failures, ValueError when
    a changed path's host does not end with the path.
    """
    with reader(repository) as objects:
        work = _Work(repository, _Base(objects, base), limits)
        if changes.cut:
            return work.result(base, (), exceeded="more paths changed than can be looked at")
        present = {change.path: change for change in changes.present if work.may_stand(change)}
        removed = work.removals(changes.removed, present)
        try:
            left_out = work.left_out(present, removed)
        except GitTimeout:
            return work.result(base, (), exceeded="the patterns of .gitignore take too long")
        except _TooManyRules as error:
            return work.result(base, (), exceeded=str(error))
        taken = {path: change for path, change in present.items() if path not in left_out}
        if len(taken) + len(removed) > limits.files:
            return work.result(base, left_out, exceeded=f"more than {limits.files} files changed")
        # What an ignored file replaced is gone all the same.
        found: dict[bytes, Change] = dict.fromkeys((*removed, *(path for path in left_out if work.base.entry(path))))
    if not work.store(taken, found):
        return work.result(base, left_out, exceeded=f"more than {limits.total_bytes} bytes changed")
    return work.result(write_tree_with(repository, base, found), left_out, base=base)


class _TooManyRules(Exception):
    """The text says which limit the workspace's ignore rules broke."""


@dataclass
class _Base:
    """The tree of the base, of which only the folders that are asked for are read."""

    objects: Reader
    root: str
    folders: dict[bytes, dict[bytes, TreeEntry]] = field(default_factory=dict)

    def entry(self, path: bytes) -> TreeEntry | None:
        folder, _, name = path.rpartition(b"/")
        return self.folder(folder).get(name)

    def folder(self, path: bytes) -> dict[bytes, TreeEntry]:
        if path not in self.folders:
            found = self.entry(path) if path else TreeEntry(0o040000, "tree", self.root)
            self.folders[path] = self.objects.tree(found.id) if found and found.kind == "tree" else {}
        return self.folders[path]

    def below(self, path: bytes) -> Iterator[tuple[bytes, TreeEntry]]:
        """The files, links and submodules at or below a path."""
        found = self.entry(path)
        if found is None or found.kind != "tree":
            yield from [(path, found)] if found else []
            return
        for name in self.folder(path):
            yield from self.below(path + b"/" + name)


@dataclass
class _Work:
    repository: Repository
    base: _Base
    limits: Limits
    refused: dict[bytes, str] = field(default_factory=dict)

    def may_stand(self, change: ChangedPath) -> bool:
        """Whether a changed path may stand in a tree; says why not."""
        path = change.path
        parts = path.split(b"/")
        if parts[0] == b".git":
            return False  # the workspace's own
        for end, part in enumerate(parts, 1):
            at = b"/".join(parts[:end])
            if is_dot_git(part):
                return self._refuse(at, "is a .git directory in one of its spellings")
            if (found := self.base.entry(at)) is not None and found.kind == "commit":
                return self._refuse(at, "is a submodule, which relay never changes")
        if len(parts) > self.limits.depth or len(path) > self.limits.path_bytes:
            return self._refuse(path, f"lies deeper than {self.limits.depth} folders, or its path is too long")
        if change.kind not in ("file", "symlink"):
            return self._refuse(path, "is a device, a FIFO or a socket")
        if change.kind == "symlink" and is_dot_gitmodules(parts[-1]):
            return self._refuse(path, "is a link, which git forbids for .gitmodules")
        if any(found.kind == "commit" for _, found in self.base.below(path)):
            return self._refuse(path, "takes the place of a submodule, which relay never changes")
        return True

    def removals(self, removed: Sequence[bytes], present: dict[bytes, ChangedPath]) -> frozenset[bytes]:
        """The files of the base that are gone: those that are reported, and those that a folder took the place of."""
        gone = set()
        for path in removed:
            for at, found in self.base.below(path):
                if found.kind == "commit":
                    self._refuse(at, "is a submodule, which relay never changes")
                elif at not in self.refused and at not in present:
                    gone.add(at)
        for path in present:
            for parent in _parents(path):
                replaced = self.base.entry(parent)
                if replaced is not None and replaced.kind == "blob":
                    gone.add(parent)
        return frozenset(gone)

    def left_out(self, present: dict[bytes, ChangedPath], removed: frozenset[bytes]) -> tuple[bytes, ...]:
        """The new paths that the `.gitignore` files of the workspace leave out, sorted."""
        new = []
        for path in present:
            tracked = self.base.entry(path)
            if tracked is None or tracked.kind != "blob":
                new.append(path)
        rules: dict[bytes, bytes] = {}
        total = 0
        for folder in {parent for path in new for parent in (b"", *_parents(path))}:
            path = folder + b"/" + _RULES if folder else _RULES
            content = self._rules(path, present, removed)
            if content is not None:
                rules[path] = content
                total += len(content)
            if total > _ALL_RULES_LIMIT:
                raise _TooManyRules(f"the .gitignore files have more than {_ALL_RULES_LIMIT} bytes")
        return tuple(sorted(ignored(self.repository, rules, new)))

    def _rules(self, path: bytes, present: dict[bytes, ChangedPath], removed: frozenset[bytes]) -> bytes | None:
        if path in present:
            try:
                found = hostfile.read(present[path].host, path, limit=_RULES_LIMIT)
            except hostfile.Unreadable:
                return None
            return None if found.mode == SYMLINK else found.content
        tracked = self.base.entry(path)
        if path in removed or tracked is None or tracked.kind != "blob" or tracked.mode == SYMLINK:
            return None
        return self.base.objects.read(tracked.id)

    def store(self, taken: dict[bytes, ChangedPath], found: dict[bytes, Change]) -> bool:
        """Store the content of all taken files and enter them in `found`; False when they are too much."""
        total = 0
        if not taken:
            return True
        with session(self.repository.plumbing, "fast-import", "--quiet") as talk:
            for path, change in sorted(taken.items()):
                try:
                    file = hostfile.read(change.host, path, limit=self.limits.file_bytes)
                except hostfile.Unreadable as error:
                    self._refuse(path, str(error))
                    continue
                total += len(file.content)
                if total > self.limits.total_bytes:
                    return False
                talk.write(b"blob\nmark :1\ndata %d\n%s\nget-mark :1\n" % (len(file.content), file.content))
                found[path] = (file.mode, talk.line().decode())
        return True

    def result(
        self, tree: str, left_out: Sequence[bytes], *, base: str | None = None, exceeded: str | None = None
    ) -> Harvest:
        changed = changed_paths(self.repository, base, tree) if base else ()
        return Harvest(
            tree=tree,
            changed=tuple(entry.path for entry in changed),
            ignored=tuple(left_out),
            refused=tuple(Refused(path, why) for path, why in sorted(self.refused.items())),
            exceeded=exceeded,
        )

    def _refuse(self, path: bytes, why: str) -> bool:
        self.refused.setdefault(path, why)
        return False


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:end]) for end in range(1, len(parts))]
