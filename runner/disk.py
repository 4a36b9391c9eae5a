"""Files that are whole or not there, whatever happens in between, and what the disk says when it takes no more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# The disk's doing, not ours: full, over quota, read-only, broken.
_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def refuses(error: BaseException) -> bool:
    """Whether an error is the disk's own."""
    return isinstance(error, OSError) and error.errno in _REFUSALS


def sentence(error: OSError, folder: Path | None = None) -> str:
    """What to tell whoever can make room; `folder` is where it happened, if the error itself does not say."""
    where = error.filename or folder
    return f"the disk takes no more: {error.strerror}{f' ({where})' if where else ''}: make room there"


def put(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; it has its old content or the new one, also after a power failure."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    part.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
