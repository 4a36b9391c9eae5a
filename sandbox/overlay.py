"""A workspace as an overlay mount that the engine's own `local` volume driver makes; the upper directory is the change.

Formats: kernel documentation "Overlay Filesystem" (whiteouts, opaque directories, `userxattr`); mount options are one
page at most.
"""

# Names are raw bytes here, and pathlib knows none.
# ruff: noqa: PTH118
from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.asroot import as_root
from sandbox.base import Mount, SandboxError
from sandbox.changes import ChangedPath, Changes, Kind, Layers, changes
from sandbox.trees import ABSENT, PATH_LIMIT, joined, leaves, names, on_disk, own, remove_tree

if TYPE_CHECKING:
    from sandbox.docker import Engine

_OPAQUE = b"user.overlay.opaque"
_OPTIONS_MOST = 4095  # bytes; beyond it the kernel answers with a misleading "no such file"


class Overlay:
    """See `sandbox.changes.Workspace`."""

    def __init__(self, engine: Engine, *, home: Path, layers: Layers, name: str, uid: int, gid: int) -> None:
        self._engine = engine
        self._home = home
        self._layers = layers
        self._name = _volume(name)
        with on_disk(home):
            for folder in (home / "upper", home / "work"):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o755)
                own(folder, uid, gid)
        engine.remove_volume(self._name)  # of a process that was killed
        engine.create_volume(self._name, {"type": "overlay", "device": "overlay", "o": self._options()}, labels={})

    @property
    def mount(self) -> Mount:
        return Mount("volume", self._name, "/work")

    def changes(self, *, most: int = 1_000_000) -> Changes:
        """Walk the upper directory beside the base."""
        walk = _Walk(os.fsencode(self._home / "upper"), self._layers, most)
        with on_disk(self._home):
            walk.run()
        return changes(walk.present, walk.removed, most=most)

    def detach(self) -> None:
        self._engine.remove_volume(self._name)

    def remove(self) -> None:
        self.detach()
        remove_home(self._engine, self._home)

    def _options(self) -> str:
        lower = ":".join(_escaped(layer) for layer in (self._layers.base, *self._layers.below_base()))
        upper, work = _escaped(self._home / "upper"), _escaped(self._home / "work")
        # userxattr: opaque marks that a host process which is not root can see too.
        options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
        if len(os.fsencode(options)) > _OPTIONS_MOST:
            raise SandboxError(
                f"the paths of a workspace are too long for one mount: use shorter ones than {self._home}"
            )
        return options


def remove_home(engine: Engine, home: Path, *, image: str | None = None) -> None:
    """Remove a workspace's directory; with the engine's help where the kernel left files of root in it.

    `image` is one to do that with, if it comes to it. Raises SandboxError.
    """
    with on_disk(home):
        try:
            remove_tree(home)
        except PermissionError:
            # The kernel's `work/work` belongs to root and holds a whiteout once something was deleted; setup is root.
            as_root(engine, home, "rm -rf /mnt/* /mnt/.[!.]* /mnt/..?*", (), image=image)
            remove_tree(home)


def _volume(name: str) -> str:
    """A name that the engine takes for a volume, and the host for a directory: the given one where it is such."""
    if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}", name):
        return name
    return f"relay-{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"


def _escaped(path: Path) -> str:
    text = str(path.absolute())
    for character in "\\:,":
        text = text.replace(character, "\\" + character)
    return text


class _Walk:
    """The upper directory, folder by folder. A folder's base is None where the base does not show through."""

    def __init__(self, upper: bytes, layers: Layers, most: int) -> None:
        self._upper = upper
        self._layers = layers
        self._base = os.fsencode(layers.base)
        self._most = most
        self.present: dict[bytes, ChangedPath] = {}
        self.removed: set[bytes] = set()

    def run(self) -> None:
        stack: list[tuple[bytes, bool]] = [(b"", True)]
        while stack and len(self.present) + len(self.removed) <= self._most:
            folder, shows = stack.pop()
            for name in names(os.path.join(self._upper, folder)):
                path = joined(folder, name)
                if path != b".git" and (below := self._entry(path, shows)) is not None:
                    stack.append((path, below))

    def _entry(self, path: bytes, shows: bool) -> bool | None:
        """Note one entry. For a folder to go into: whether the base shows through in it."""
        host = os.path.join(self._upper, path)
        found = os.lstat(host)
        beneath = self._beneath(path) if shows else None
        if stat.S_ISDIR(found.st_mode):
            if len(host) > PATH_LIMIT:
                self.present[path] = ChangedPath(path, "too-deep", host)
                return None
            if beneath is None:
                return False
            if stat.S_ISDIR(beneath) and not _opaque(host):
                return True
            self.removed.update(leaves(self._base, path))
            return False
        if beneath is not None and (_whiteout(found) or stat.S_ISDIR(beneath)):
            self.removed.update(leaves(self._base, path))
        if not _whiteout(found) and not self._layers.hides(path):
            self.present[path] = ChangedPath(path, kind_of(found.st_mode), host)
        return None

    def _beneath(self, path: bytes) -> int | None:
        try:
            return os.lstat(os.path.join(self._base, path)).st_mode
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise


def _whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _opaque(folder: bytes) -> bool:
    names(folder)  # opens it up, so that its marks can be read
    try:
        return os.getxattr(folder, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def kind_of(mode: int) -> Kind:
    """The kind of what is no directory."""
    if stat.S_ISREG(mode):
        return "file"
    return "symlink" if stat.S_ISLNK(mode) else "special"
