"""Read one file out of a tree that a model wrote: no link is followed on the way, and nothing but a file is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runner.git.objects import EXECUTABLE, FILE, SYMLINK

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Unreadable(Exception):
    """A path that cannot be harvested; the text says why."""


@dataclass(frozen=True)
class HostFile:
    """What a tree would hold of a path: its mode there, and its content (of a link: the target)."""

    mode: int
    content: bytes


def read(host: Path | bytes, path: bytes, *, limit: int) -> HostFile:
    """The file or link at `host`, which ends with `path`: only what stands before that is trusted to be no link.

    A file or folder that its owner made unreadable is opened up for the moment where we may. Raises Unreadable for all
    that is no regular file or link, or larger than `limit` bytes; ValueError when `host` does not end with `path`.
    """
    place = os.fsencode(host)
    if not place.endswith(b"/" + path):
        raise ValueError(f"{place!r} does not end with {path!r}")
    *folders, name = path.split(b"/")
    try:
        with ExitStack() as stack:
            at = stack.enter_context(_opened(place[: -len(path)], None, _FOLDER & ~os.O_NOFOLLOW))
            for folder in folders:
                at = stack.enter_context(_opened(folder, at, _FOLDER))
                stack.enter_context(_permitted(at, stat.S_IRWXU))
            return _read(name, at, limit)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error


def _read(name: bytes, at: int, limit: int) -> HostFile:
    with _opened(name, at, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC) as handle:
        about = os.fstat(handle)
        if stat.S_ISLNK(about.st_mode):
            return HostFile(SYMLINK, os.readlink(name, dir_fd=at))
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable("is no regular file and no link")
        if about.st_size > limit:  # of a sparse file every byte costs time, though none of them costs space
            raise Unreadable(f"is larger than {limit} bytes")
        with _permitted(handle, stat.S_IRUSR), _opened(name, at, _PLAIN) as descriptor:
            if not os.path.samestat(about, os.fstat(descriptor)):
                raise Unreadable("changed while it was read")
            content = _up_to(descriptor, limit + 1)
    if len(content) > limit:
        raise Unreadable(f"is larger than {limit} bytes")
    return HostFile(EXECUTABLE if about.st_mode & stat.S_IXUSR else FILE, content)


def _up_to(descriptor: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(descriptor, min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


@contextmanager
def _opened(name: bytes, at: int | None, flags: int) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _permitted(descriptor: int, bits: int) -> Iterator[None]:
    """Give ourselves the permission bits that are missing, and take them back at the end. Root needs none."""
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if os.geteuid() == 0 or mode & bits == bits:
        yield
        return
    # A descriptor names the file itself: what its name means by now does not matter.
    link = f"/proc/self/fd/{descriptor}"
    with suppress(PermissionError):  # not ours: opening it will tell
        os.chmod(link, mode | bits)  # noqa: PTH101
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.chmod(link, mode)  # noqa: PTH101
