"""One owner per repository, held by the kernel (flock): the lock dies with the process, nobody guesses about pids."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.codec import CodecError, decode, encode


@dataclass(frozen=True)
class Holder:
    """Who holds the lock. `since` is seconds since the epoch."""

    run: str
    pid: int
    host: str
    since: float


PAUSES = (0.0, 0.02, 0.1)  # seconds; `owner` below holds the lock for a moment when it looks


class Locked(Exception):
    """Another process of relay works on this repository."""

    def __init__(self, holder: Holder | None) -> None:
        who = f"run {holder.run} (pid {holder.pid} on {holder.host})" if holder else "another relay process"
        super().__init__(f"{who} works on this repository: wait for it, or end it with `relay cancel`")
        self.holder = holder


class CacheUsed(Locked):
    """A session works over directories of the cache, which all repositories of a user share."""

    def __init__(self) -> None:
        super().__init__(None)
        self.args = ("a run, perhaps of another repository, works over relay's cache: clean it when that has ended",)


@contextmanager
def cache_used(cache: Path) -> Iterator[None]:
    """Keep the cache from being cleaned for the `with` block; any number of sessions can."""
    with _cache_lock(cache) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def cache_alone(cache: Path) -> Iterator[None]:
    """Nobody uses the cache during the `with` block. Raises CacheUsed at once when somebody does."""
    with _cache_lock(cache) as descriptor:
        if not any(_taken(descriptor, pause) for pause in PAUSES):
            raise CacheUsed
        yield


@contextmanager
def _cache_lock(cache: Path) -> Iterator[int]:
    cache.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, holder: Holder) -> Iterator[None]:
    """Hold the lock file at `path` for the `with` block. Raises Locked at once when somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not any(_taken(descriptor, pause) for pause in PAUSES):
            raise Locked(_named(path))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, encode(holder), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, pause: float) -> bool:
    time.sleep(pause)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def owner(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does. Never waits and never disturbs the owner."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    else:
        return None
    finally:
        os.close(descriptor)


def _named(path: Path) -> Holder | None:
    """The owner's name; it may be writing it just now."""
    for pause in PAUSES:
        time.sleep(pause)
        found = _read(path)
        if found is not None:
            return found
    return None


def _read(path: Path) -> Holder | None:
    try:
        return decode(path.read_bytes(), Holder)
    except (OSError, CodecError):  # the owner is just writing its name
        return None
