"""Names of files that git treats as its own, in every spelling that some file system takes for the same."""

from __future__ import annotations

# What HFS+ leaves out when it compares names (git, utf8.c: next_hfs_char).
_IGNORED = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF],
)


def is_dot_git(name: bytes) -> bool:
    """Whether a path's component is `.git` to git on any system: case, `git~1`, trailing dots, streams, HFS+."""
    # NTFS takes a backslash for a separator; what follows a colon names a stream of the same file.
    for part in name.split(b"\\"):
        if part.partition(b":")[0].rstrip(b" .").lower() in (b".git", b"git~1"):
            return True
    return _hfs(name) == ".git"


def is_dot_gitmodules(name: bytes) -> bool:
    """Whether a component is `.gitmodules` on any system. As a link git refuses it (fsck: gitmodulesSymlink)."""
    plain = name.partition(b":")[0].rstrip(b" .").lower()
    short = plain.startswith((b"gitmod~", b"gi7eba~")) and plain[7:].isdigit()
    return plain == b".gitmodules" or short or _hfs(name) == ".gitmodules"


def is_plain(name: bytes) -> bool:
    """Whether a component can stand in a tree that is checked out: not empty, no dots alone, not `.git`."""
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name and not is_dot_git(name)


def _hfs(name: bytes) -> str:
    # A name that is no UTF-8 ends, for HFS+, where it stops being it.
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        text = name[: error.start].decode()
    return text.translate(_IGNORED).lower()
