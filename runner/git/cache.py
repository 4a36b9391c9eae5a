"""Directories that are made once and never changed after: safe against two processes, a kill, and a power cut."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from runner.git.command import GitError


def once(place: Path, make: Callable[[Path], None]) -> Path:
    """`place`, made by `make(temporary directory)` unless it is there already.

    Only one process makes it; the others wait for it. What a killed one left half done is thrown away. Raises GitError
    when the directory cannot be written (disk full, no permission).
    """
    if place.is_dir():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with (place.parent / f".{place.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                part = place.parent / f".{place.name}.part"
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                make(part)
                _flush(part)
                part.rename(place)
    except OSError as error:
        raise GitError(
            f"cannot make {place}: {error}; free some room, or name another cache with XDG_CACHE_HOME"
        ) from error
    return place


def _flush(folder: Path) -> None:
    """Put the file system of `folder` on the disk (syncfs(2), which Python has no name for).

    A power cut could otherwise leave a name that is there with files that are empty, and a gate would test these.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fsdecode(folder))
    finally:
        os.close(descriptor)


def write_file(path: Path | bytes, content: bytes, owner: tuple[int, int] | None, mode: int = 0o644) -> None:
    """A new file with exactly this mode, whatever the umask, and owner (None: ours)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (it takes the descriptor)
        file.write(content)
        os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, *owner)


def make_folder(path: Path, owner: tuple[int, int] | None) -> None:
    """A new folder with mode 0755 and this owner (None: ours)."""
    path.mkdir(exist_ok=False)
    path.chmod(0o755)
    if owner is not None:
        os.chown(path, *owner)


def owner_for(uid: int, gid: int) -> tuple[int, int] | None:
    """Whom new files are given to: only root can give away."""
    return (uid, gid) if os.geteuid() == 0 else None
