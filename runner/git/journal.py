"""A journal: an append-only list of records on one ref, one commit per entry. What was done is read here, in git.

The tree accumulates: `<key>.json` is the record, `<key>/<name>` are its files. An entry's first parent is the entry
before it; further parents are commits that it names. Compare-and-swap, and once more when somebody was faster.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from runner.git.command import GitError, RefMoved
from runner.git.history import log, tree_of
from runner.git.objects import FILE, TreeEntry, ls_tree, read_blobs, write_blob, write_commit
from runner.git.refs import RefUpdate, move, read
from runner.git.repo import Repository
from runner.git.trees import write_tree_with

_TRIES = 100

# No slash, nothing hidden, nothing that git or a file system treats in a special way.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Record:
    """One entry: its key, what was recorded, and the blob ids of its files by name."""

    key: str
    value: dict[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Journal:
    """The journal on `ref`, which need not exist yet. `now` gives the date of a new entry, in seconds since 1970."""

    repository: Repository
    ref: str
    now: Callable[[], float] = time.time

    def find(self, key: str) -> Record | None:
        """The entry `key`, or None."""
        return next((entry for entry in self.entries() if entry.key == key), None)

    def entries(self) -> tuple[Record, ...]:
        """All entries, in the order in which they were appended."""
        tip = read(self.repository, self.ref)
        return _entries(self.repository, self.ref, tip) if tip else ()

    def append(
        self,
        key: str,
        record: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
        *,
        keeps: Sequence[str] = (),
        also: Sequence[RefUpdate] = (),
    ) -> str:
        """Add an entry and return the journal's newest commit.

        The same key with the same content again changes nothing; with other content it is a GitError. Mask secrets
        before: what is written here can be pushed. When another writer was faster, the entry goes after theirs.
        `keeps` are commits that the record names: no `git gc` removes them while the journal stands. `also` are refs
        that move with it; RefMoved when one of them is elsewhere.
        Raises ValueError for a key or file name that is no plain name.
        """
        for name in (key, *(files or {})):
            if not _NAME.fullmatch(name) or name.endswith(".json"):
                raise ValueError(f"not a key or file name of a journal: {name!r}")
        changes = {f"{key}.json".encode(): (FILE, write_blob(self.repository, encode(record)))}
        changes |= {
            f"{key}/{name}".encode(): (FILE, write_blob(self.repository, content))
            for name, content in (files or {}).items()
        }
        for _ in range(_TRIES):
            tip = read(self.repository, self.ref)
            if tip is not None and self._holds(tip, key, changes):
                return tip
            tree = write_tree_with(self.repository, tree_of(self.repository, tip) if tip else None, changes)
            # Entries are read along first parents, so the journal's own comes first; a first entry keeps nothing.
            parents = [tip, *dict.fromkeys(keeps)] if tip else []
            new = write_commit(self.repository, tree, parents, key, when=int(self.now()))
            try:
                move(self.repository, [RefUpdate(self.ref, new, tip), *also])
            except RefMoved as lost:  # the user's word came in between, or the run's own record
                if lost.name != self.ref:
                    raise
                continue
            return new
        raise GitError(f"{self.ref} is being rewritten by others all the time: look with `git log {self.ref}`")

    def _holds(self, tip: str, key: str, changes: Mapping[bytes, tuple[int, str]]) -> bool:
        tree = ls_tree(self.repository, tip)
        if f"{key}.json".encode() not in tree:
            return False
        there = {path: (entry.mode, entry.id) for path, entry in tree.items() if _belongs(path, key)}
        if there != changes:
            raise GitError(f"{self.ref} already has an entry {key}, with other content")
        return True


@lru_cache(maxsize=32)
def _entries(repository: Repository, ref: str, tip: str) -> tuple[Record, ...]:
    """The entries at one commit, which never change: they are asked for far more often than one is added."""
    keys = [commit.subject for commit in reversed(log(repository, tip, first_parent=True))]
    tree = ls_tree(repository, tip)
    strange = [key for key in keys if f"{key}.json".encode() not in tree]
    if strange:
        raise GitError(f"{ref}: {strange[0]!r} is no entry of a journal: look with `git log {ref}`")
    blobs = {key: tree[f"{key}.json".encode()].id for key in keys}
    contents = read_blobs(repository, blobs.values())
    return tuple(Record(key, _value(ref, key, contents[blobs[key]]), _files(tree, key)) for key in keys)


def _value(ref: str, key: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GitError(f"{ref}: entry {key} is damaged ({error}): look with `git log {ref}`") from error
    if not isinstance(value, dict):
        raise GitError(f"{ref}: entry {key} is damaged (no object): look with `git log {ref}`")
    return value


def encode(record: Mapping[str, Any]) -> bytes:
    """A record as the journal stores it: JSON, keys sorted, one per line, text as it is."""
    text = json.dumps(record, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    # A lone surrogate (an odd file name) becomes the escape that JSON has for it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _belongs(path: bytes, key: str) -> bool:
    return path == f"{key}.json".encode() or path.startswith(f"{key}/".encode())


def _files(tree: Mapping[bytes, TreeEntry], key: str) -> dict[str, str]:
    prefix = f"{key}/".encode()
    return {path[len(prefix) :].decode(): entry.id for path, entry in tree.items() if path.startswith(prefix)}
