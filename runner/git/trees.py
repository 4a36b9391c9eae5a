"""Write a tree that differs from another in some paths. Only the folders that are touched are read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.git.command import Session, session
from runner.git.objects import EMPTY_TREE, GITLINK, TREE, Reader, reader
from runner.git.repo import Repository

# A file's mode and blob id, or None: the path is not to be there.
Change = tuple[int, str] | None

_KINDS = {TREE: b"tree", GITLINK: b"commit"}


@dataclass
class _Folder:
    """What is to change below one folder: entries set or removed here, and folders further down."""

    entries: dict[bytes, Change] = field(default_factory=dict)
    folders: dict[bytes, _Folder] = field(default_factory=dict)


def write_tree_with(repository: Repository, base: str | None, changes: Mapping[bytes, Change]) -> str:
    """The id of `base` (a tree; None is the empty one) with `changes` made; stored.

    A path that is set replaces whatever was there, a folder as well, and a file that stands where a folder is needed.
    None removes a file or a whole folder; what is not there needs no removing. Folders left empty vanish.
    Raises ValueError when a path is set and another one below it too, or is no path of a tree.
    """
    root = _Folder()
    for path, change in changes.items():
        _sort_in(root, path, change)
    if not changes:
        return base or EMPTY_TREE
    with reader(repository) as objects, session(repository.plumbing, "mktree", "--batch", "-z") as writer:
        return _write(root, base, objects, writer) or _mktree(writer, {})


def _sort_in(root: _Folder, path: bytes, change: Change) -> None:
    *folders, name = path.split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part for part in (*folders, name)):
        raise ValueError(f"not a path of a tree: {path!r}")
    at = root
    for part in folders:
        if at.entries.get(part) is not None:
            if change is None:
                return  # what is set there takes the place of all of it
            raise ValueError(f"{path!r} lies below another path that is set")
        at = at.folders.setdefault(part, _Folder())
    if change is not None and _sets(at.folders.get(name)):
        raise ValueError(f"{path!r} is set, and another path below it")
    at.entries[name] = change


def _sets(folder: _Folder | None) -> bool:
    return folder is not None and (
        any(change is not None for change in folder.entries.values()) or any(map(_sets, folder.folders.values()))
    )


def _write(folder: _Folder, base: str | None, objects: Reader, writer: Session) -> str | None:
    """The id of the changed folder, None when nothing is left in it."""
    old = objects.tree(base) if base else {}
    entries = {name: (entry.mode, entry.id) for name, entry in old.items()}
    for name, change in folder.entries.items():
        entries.pop(name, None)
        if change is not None:
            entries[name] = change
    for name, below in folder.folders.items():
        if folder.entries.get(name) is not None:
            continue  # a file took the folder's place
        was = old.get(name) if name not in folder.entries else None
        tree = _write(below, was.id if was and was.kind == "tree" else None, objects, writer)
        if tree is not None:
            entries[name] = (TREE, tree)
        elif was is None or was.kind == "tree":
            entries.pop(name, None)
    if base and entries == {name: (entry.mode, entry.id) for name, entry in old.items()}:
        return base
    return _mktree(writer, entries) if entries else None


def _mktree(writer: Session, entries: Mapping[bytes, tuple[int, str]]) -> str:
    lines = [
        b"%06o %s %s\t%s\0" % (mode, _KINDS.get(mode, b"blob"), object_id.encode(), name)
        for name, (mode, object_id) in entries.items()
    ]
    writer.write(b"".join(lines) + b"\0")
    return writer.line().decode()
