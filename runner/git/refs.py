"""Refs: read them, and move several at once by compare-and-swap. relay changes a repository's refs nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.git.command import GitError, RefMoved, explain, run
from runner.git.repo import Repository

ZERO = "0" * 40

# Where nobody but relay writes.
OURS = ("refs/heads/relay", "refs/relay", "refs/notes/relay")


@dataclass(frozen=True)
class RefUpdate:
    """One move: `name` goes from `old` to `new`. None as `old`: it must not exist; None as `new`: it is deleted.

    The same id twice only asserts that the ref is there.
    """

    name: str
    new: str | None
    old: str | None


def read(repository: Repository, name: str) -> str | None:
    """The id that the full ref `name` holds, or None."""
    return _values(repository, [name])[name]


def first(repository: Repository, *names: str) -> str | None:
    """The id that the first of the full refs holds which exists, or None."""
    return next((value for value in _values(repository, names).values() if value is not None), None)


def listed(repository: Repository, *prefixes: str) -> Mapping[str, str]:
    """All refs at or below the prefixes (`refs/relay/runs`), full name to id, sorted by name."""
    if not prefixes:
        return {}
    text = run(repository.refs, "for-each-ref", "--format=%(objectname) %(refname)", *prefixes).text
    # Not splitlines(): a name may hold what Unicode takes for the end of a line.
    return {name: value for value, name in (line.split(" ", 1) for line in text.split("\n") if line)}


def move(repository: Repository, updates: Sequence[RefUpdate]) -> None:
    """Make all moves, or none: one transaction, refs written in the given order (evidence first, target last).

    A kill in the middle can leave the first refs moved and the later ones not, never the other way round. No hook
    runs, no reflog is created (one that the user has gets its line), HEAD's ref stays what it is.
    Raises RefMoved for the first ref that is not at its `old`; GitError when a lock file is in the way, or an object
    does not exist.
    """
    if not updates:
        return
    script = b"".join([b"start\0", *(_line(update) for update in updates), b"prepare\0", b"commit\0"])
    output = run(
        repository.refs, "update-ref", "-m", "relay", "--no-deref", "--stdin", "-z", stdin=script, accept=range(256)
    )
    if output.status == 0:
        return
    now = _values(repository, [update.name for update in updates])
    for update in updates:
        if now[update.name] != update.old:
            raise RefMoved(update.name, now=now[update.name], expected=update.old)
    if ".lock': File exists" in output.complaint:
        raise GitError(
            f"a lock file is in the way: {output.complaint}\n"
            "If no git command runs on this repository now, a killed one left it: remove that file and run again"
        )
    raise GitError(explain(("update-ref", "--stdin"), output))


def remove_stale_locks(
    repository: Repository,
    landing: Mapping[str, str] | None = None,
    *,
    older: float = 10.0,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Path, ...]:
    """Remove the lock files that a killed `move` of ours left; returns them. Only for the holder of relay's lock.

    Taken are locks below relay's own refs and, for each ref of `landing`, its lock if it holds just the id that we
    wanted to put there, each once it is `older` seconds old: a git that outlived its relay may still be at work, so
    a younger one is waited for. A lock of anybody else is never touched.
    """
    removed = []
    while ages := _locks(repository, landing or {}, now()):
        for lock in [lock for lock, age in ages.items() if age >= older]:
            lock.unlink(missing_ok=True)
            removed.append(lock)
        if max(ages.values()) < older:
            sleep(0.2)
    return tuple(removed)


def _locks(repository: Repository, landing: Mapping[str, str], now: float) -> dict[Path, float]:
    """The lock files that are ours, and their age in seconds."""
    found = [lock for folder in OURS for lock in (repository.common_dir / folder).rglob("*.lock")]
    ages = {}
    for lock, wanted in [*((lock, None) for lock in found), *_landing_locks(repository, landing)]:
        with suppress(FileNotFoundError):  # its git has just ended
            if wanted is None or lock.read_bytes().strip() == wanted.encode():
                ages[lock] = now - lock.stat().st_mtime
    return ages


def _landing_locks(repository: Repository, landing: Mapping[str, str]) -> list[tuple[Path, str]]:
    return [(repository.common_dir / f"{name}.lock", wanted) for name, wanted in landing.items()]


def _values(repository: Repository, names: Sequence[str]) -> dict[str, str | None]:
    values = listed(repository, *names)
    return {name: values.get(name) for name in names}


def _line(update: RefUpdate) -> bytes:
    if not update.name.startswith("refs/") or "\0" in update.name:
        raise ValueError(f"not a full ref name: {update.name!r}")
    name = update.name.encode("utf-8", "surrogateescape")
    if update.new is None:
        if update.old is None:
            raise ValueError(f"{update.name}: a move from nothing to nothing")
        return b"delete %s\0%s\0" % (name, update.old.encode())
    if update.new == update.old:
        return b"verify %s\0%s\0" % (name, update.old.encode())
    return b"update %s\0%s\0%s\0" % (name, update.new.encode(), (update.old or ZERO).encode())
