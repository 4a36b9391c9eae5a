"""A workspace as a copy of its layers, bind-mounted: where overlay mounts are not to be had.

What changed is told by comparing with a manifest that was taken before any container started, and lies outside of
what a container sees. A file is unchanged while inode, ctime, mtime, size and mode are: no process can set ctime.
"""

# Names are raw bytes here, and pathlib knows none.
# ruff: noqa: PTH101, PTH102, PTH108, PTH118, PTH208
from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.base import Mount
from sandbox.changes import ChangedPath, Changes, Layers, changes
from sandbox.overlay import kind_of, remove_home
from sandbox.trees import PATH_LIMIT, joined, leaves, names, on_disk, own, remove_tree

if TYPE_CHECKING:
    from sandbox.docker import Engine


class Copy:
    """See `sandbox.changes.Workspace`."""

    def __init__(self, engine: Engine, *, home: Path, layers: Layers, uid: int, gid: int) -> None:
        self._engine = engine
        self._home = home
        self._layers = layers
        self._tree = home / "tree"
        self._manifest = home / "manifest"
        with on_disk(home):
            if not self._manifest.exists():
                self._copy(uid, gid)

    @property
    def mount(self) -> Mount:
        return Mount("bind", str(self._tree.absolute()), "/work")

    def changes(self, *, most: int = 1_000_000) -> Changes:
        """Walk the whole copy beside the manifest."""
        present: dict[bytes, ChangedPath] = {}
        with on_disk(self._home):
            stamp, manifest = self._recorded()
            gone = set(manifest)
            for path, host, found in self._entries(present):
                gone.discard(path)
                # A file as young as the manifest may have changed within one tick of the clock.
                same = manifest.get(path) == _facts(found) and found.st_ctime_ns < stamp
                if not same and not self._layers.hides(path):
                    present[path] = ChangedPath(path, kind_of(found.st_mode), host)
                if len(present) > most:
                    gone.clear()  # what was not looked at is not gone
                    break
        return changes(present, gone, most=most)

    def detach(self) -> None:
        """The engine holds nothing of a copy."""

    def remove(self) -> None:
        remove_home(self._engine, self._home)

    def _copy(self, uid: int, gid: int) -> None:
        remove_tree(self._tree)  # a copy that was interrupted
        self._tree.mkdir()
        own(self._tree, uid, gid)
        for layer in (*reversed(self._layers.below_base()), self._layers.base):
            _lay(os.fsencode(layer), os.fsencode(self._tree), uid, gid)
        self._record()

    def _entries(self, present: dict[bytes, ChangedPath]) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
        """Every leaf of the copy: its path, where the host finds it, what it is. Too deep a folder is noted at once."""
        root = os.fsencode(self._tree)
        stack = [b""]
        while stack:
            folder = stack.pop()
            for name in names(os.path.join(root, folder)):
                path = joined(folder, name)
                host = os.path.join(root, path)
                found = os.lstat(host)
                if path == b".git":
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    yield path, host, found
                elif len(host) > PATH_LIMIT:
                    present[path] = ChangedPath(path, "too-deep", host)
                else:
                    stack.append(path)

    def _record(self) -> None:
        root, base = os.fsencode(self._tree), os.fsencode(self._layers.base)
        fresh = self._manifest.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(b"%d\0" % os.fstat(file.fileno()).st_ctime_ns)
            for path in leaves(base, b""):
                file.write(b"%s %s\0" % (_facts(os.lstat(os.path.join(root, path))), path))
        fresh.rename(self._manifest)

    def _recorded(self) -> tuple[int, dict[bytes, bytes]]:
        stamp, *lines = self._manifest.read_bytes().split(b"\0")[:-1]
        entries = (line.split(b" ", 5) for line in lines)
        return int(stamp), {entry[5]: b" ".join(entry[:5]) for entry in entries}


def _facts(found: os.stat_result) -> bytes:
    return b"%d %d %d %d %d" % (found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_mode)


def _lay(layer: bytes, tree: bytes, uid: int, gid: int) -> None:
    """Copy a layer over the tree: what is there already gives way, directories are merged."""
    stack = [b""]
    while stack:
        folder = stack.pop()
        for name in os.listdir(os.path.join(layer, folder)):
            path = joined(folder, name)
            source, target = os.path.join(layer, path), os.path.join(tree, path)
            mode = os.lstat(source).st_mode
            if stat.S_ISDIR(mode):
                _give_way(target, keep_folder=True)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(target)
                os.chmod(target, stat.S_IMODE(mode) & 0o777)
                stack.append(path)
            elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                _give_way(target, keep_folder=False)
                shutil.copy2(source, target, follow_symlinks=False)
            else:
                continue  # a whiteout of the layer below
            if os.geteuid() == 0:
                os.lchown(target, uid, gid)


def _give_way(target: bytes, *, keep_folder: bool) -> None:
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        os.unlink(target)
    elif not keep_folder:
        remove_tree(Path(os.fsdecode(target)))
