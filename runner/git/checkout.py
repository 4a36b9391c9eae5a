"""From a tree to a directory: the raw content of every file, written by relay itself.

No filter, no end-of-line conversion, no hook: what the gate sees is what the objects hold. LFS pointers stay pointers,
submodules are empty folders, links stay links.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from runner.git.cache import make_folder, once, owner_for, write_file
from runner.git.command import GitError, Handle, Session, run, session
from runner.git.history import changed_paths
from runner.git.names import is_plain
from runner.git.objects import EXECUTABLE, SYMLINK, TreeEntry, parse_ls_tree
from runner.git.repo import Repository

# Files look a little older than they are, so that an index written in the same second can trust them.
_OLDER = 2


def base_directory(
    repository: Repository, tree: str, cache: Path, uid: int, gid: int, *, now: Callable[[], float] = time.time
) -> Path:
    """A directory that holds exactly `tree`, below `cache/bases`; made once, to be mounted and never written.

    Files that a base made before has as well are hard links to its: cheap, and their modification time tells make and
    Python that they are the same. All belong to uid:gid when relay is root. Raises GitError for a tree that cannot be
    checked out safely (`..`, `.git`, two entries of one name), a missing object, a full disk.
    """
    owner = owner_for(uid, gid)

    def make(part: Path) -> None:
        entries = everything(repository, tree)
        stamp = int(now()) - _OLDER
        links = _nearest(repository, tree, entries, cache / "bases", uid)
        _materialise(repository, entries, links, part, owner, stamp)

    return once(cache / "bases" / f"{tree}-{uid}", make)


def _nearest(
    repository: Repository, tree: str, entries: Mapping[bytes, TreeEntry], bases: Path, uid: int
) -> Mapping[bytes, bytes]:
    """Files of `tree` that the newest base of this repository and owner has as well, and where they are."""
    made = sorted(bases.glob(f"*-{uid}"), key=lambda path: path.lstat().st_mtime, reverse=True)
    for base in made[:3]:
        other = base.name.partition("-")[0]
        if run(repository.plumbing, "cat-file", "-e", f"{other}^{{tree}}", accept=range(256)).status == 0:
            changed = {entry.path for entry in changed_paths(repository, other, tree)}
            same = (path for path, entry in entries.items() if entry.kind == "blob" and path not in changed)
            folder = os.fsencode(base) + b"/"
            return {path: folder + path for path in same}
    return {}


def everything(repository: Repository, tree: str) -> Mapping[bytes, TreeEntry]:
    """All paths of a tree with its folders, a folder before what is in it. Raises GitError for one that is not safe."""
    return _everything(repository.plumbing, tree)


@lru_cache(maxsize=2)
def _everything(plumbing: Handle, tree: str) -> Mapping[bytes, TreeEntry]:
    entries = parse_ls_tree(run(plumbing, "ls-tree", "-r", "-t", "-z", "--full-tree", tree).stdout)
    folders = {b"", *(path for path, entry in entries.items() if entry.kind == "tree")}
    for path in entries:
        parent, _, name = path.rpartition(b"/")
        # A folder is an entry of its own, so that each component is looked at once. A tree that was not made by git can
        # have a slash in a name.
        if parent not in folders or not is_plain(name):
            raise GitError(f"tree {tree} holds the path {path!r}, which git itself would not check out")
    return MappingProxyType(entries)


def _materialise(
    repository: Repository,
    entries: Mapping[bytes, TreeEntry],
    links: Mapping[bytes, bytes],
    root: Path,
    owner: tuple[int, int] | None,
    stamp: int,
) -> None:
    top = os.fsencode(root) + b"/"
    folders = [root]
    try:
        for path, entry in entries.items():
            if entry.kind != "blob":
                folders.append(root / os.fsdecode(path))
                make_folder(folders[-1], owner)
        files = [
            (path, entry)
            for path, entry in entries.items()
            if entry.kind == "blob" and not _linked(links.get(path), top + path)
        ]
        with tempfile.TemporaryFile() as wanted:
            wanted.write(b"".join(entry.id.encode() + b"\n" for _, entry in files))
            wanted.seek(0)
            with session(repository.plumbing, "cat-file", "--batch", "--buffer", stdin=wanted) as talk:
                for path, entry in files:
                    _write(talk, entry, top + path, owner, stamp)
    except FileExistsError as error:
        raise GitError(f"a tree has two entries of one name, {error.filename!r}: see `git fsck`") from error
    root.chmod(0o755)
    if owner is not None:
        os.chown(root, *owner)
    for folder in reversed(folders):
        os.utime(folder, (stamp, stamp))


def _write(talk: Session, entry: TreeEntry, path: bytes, owner: tuple[int, int] | None, stamp: int) -> None:
    header = talk.line().split()
    if len(header) != 3:
        raise GitError(
            f"object {entry.id} is missing, so the tree cannot be checked out: see `git fsck`; "
            "in a partial clone, `git fetch --refetch` brings all objects"
        )
    content = talk.exactly(int(header[2]))
    talk.exactly(1)
    if entry.mode == SYMLINK:
        os.symlink(content.partition(b"\0")[0], path)  # noqa: PTH211 (the target is bytes)
        if owner is not None:
            os.lchown(path, *owner)
    else:
        write_file(path, content, owner, 0o755 if entry.mode == EXECUTABLE else 0o644)
    os.utime(path, (stamp, stamp), follow_symlinks=False)


def _linked(there: bytes | None, path: bytes) -> bool:
    """Whether `path` is now a link to the same file of another base."""
    if there is None:
        return False
    try:
        os.link(there, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # too many links already, or the other base was cleaned away meanwhile
        return False
    return True
