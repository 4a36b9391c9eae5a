"""Directory trees that a model may have left: looked at without following anything, and removed whatever they hold."""

# Names are raw bytes here, and pathlib knows none.
# ruff: noqa: PTH101, PTH104, PTH106, PTH108, PTH118, PTH208
from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sandbox.base import SandboxError

PATH_LIMIT = 3800  # bytes of a directory's path: with one more name (at most 255) the host can still open it (4095)
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # what a path is told that nothing can stand at

Found = Literal["absent", "leaf", "folder", "covered"]


@contextmanager
def on_disk(where: Path) -> Iterator[None]:
    """What the file system refuses comes out as SandboxError: the place, the reason, what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "free some room there" if full else "see who owns it and what it holds"
        raise SandboxError(f"cannot work in {where}: {error.strerror or error}: {todo}, then go on") from error


def look(root: bytes, path: bytes) -> Found:
    """What stands at `path` below `root`. `covered`: an ancestor is there and is no directory. Follows no link."""
    at = root
    parts = path.split(b"/")
    for position, part in enumerate(parts):
        at = at + b"/" + part
        try:
            mode = os.lstat(at).st_mode
        except OSError as error:
            if error.errno in ABSENT:
                return "absent"
            raise
        if position < len(parts) - 1 and not stat.S_ISDIR(mode):
            return "covered"
    return "folder" if stat.S_ISDIR(mode) else "leaf"


def leaves(root: bytes, path: bytes) -> Iterator[bytes]:
    """Every path at or below `path` that is no directory, relative to `root`."""
    stack = [path]
    while stack:
        at = stack.pop()
        full = os.path.join(root, at) if at else root
        if not stat.S_ISDIR(os.lstat(full).st_mode):
            yield at
            continue
        stack += [joined(at, name) for name in names(full)]


def joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def names(folder: bytes) -> list[bytes]:
    """The names in a directory, which is opened up first when its mode forbids it."""
    try:
        return os.listdir(folder)
    except PermissionError:
        os.chmod(folder, 0o700)
        return os.listdir(folder)


def own(path: Path, uid: int, gid: int) -> None:
    """Give a file or directory to the sandbox's user; only root can, and only root needs to."""
    if os.geteuid() == 0:
        os.lchown(path, uid, gid)


def remove_tree(top: Path) -> None:
    """Remove a directory with all that it holds: of any depth, with any name, with any mode. No error when it is gone.

    Directories are moved up to the top before they are emptied, so that no path ever grows longer than the system can
    open. Raises OSError when something belongs to somebody else.
    """
    root = os.fsencode(top)
    try:
        pending = [(root, name) for name in names(root)]
    except FileNotFoundError:
        return
    token = uuid.uuid4().hex.encode()
    count = 0
    while pending:
        folder, name = pending.pop()
        path = os.path.join(folder, name)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            continue
        inner = _opened(path)
        folders = [each for each in inner if _is_folder(os.path.join(path, each))]
        for each in folders:
            # Only a directory of ours can be moved to another parent, so it is opened up first.
            _opened(os.path.join(path, each))
            count += 1
            flat = b"%s-%d" % (token, count)
            os.rename(os.path.join(path, each), os.path.join(root, flat))
            pending.append((root, flat))
        for each in set(inner) - set(folders):
            os.unlink(os.path.join(path, each))
        os.rmdir(path)
    os.rmdir(root)


def _is_folder(path: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _opened(folder: bytes) -> list[bytes]:
    if stat.S_IMODE(os.lstat(folder).st_mode) & 0o700 != 0o700:
        try:
            os.chmod(folder, 0o700)
        except PermissionError:
            return []  # somebody else's, as the kernel's own `work/work`: empty, or the rmdir says what is wrong
    return os.listdir(folder)
