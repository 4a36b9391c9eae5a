"""What a workspace is laid over, and what was changed in it: the same answer from every back end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from sandbox.base import Mount
from sandbox.trees import look

Kind = Literal["file", "symlink", "special", "too-deep"]


@dataclass(frozen=True)
class Layers:
    """The directories below a workspace, each read-only. A path in `base` wins over the same one in the others."""

    base: Path
    gitdir: Path | None = None
    extras: Path | None = None
    files: Path | None = None

    def below_base(self) -> tuple[Path, ...]:
        """The others, the strongest first."""
        return tuple(layer for layer in (self.gitdir, self.extras, self.files) if layer is not None)

    def hides(self, path: bytes) -> bool:
        """Whether a changed path is none of the change's business: the private git directory, and what came from
        setup or from the user's untracked files and is not in the base.
        """
        if path == b".git" or path.startswith(b".git/"):
            return True
        others = [layer for layer in (self.extras, self.files) if layer is not None]
        if not others or look(os.fsencode(self.base), path) != "absent":
            return False
        return any(look(os.fsencode(layer), path) == "leaf" for layer in others)


@dataclass(frozen=True)
class ChangedPath:
    """A path that is new or may differ from the base: its kind, and where the host finds it.

    `special` is a device, FIFO or socket; `too-deep` a directory whose content the host cannot reach by a path.
    """

    path: bytes
    kind: Kind
    host: bytes


@dataclass(frozen=True)
class Changes:
    """All that differs from the base. `present` may hold unchanged files; `removed` are paths that the base has.

    `cut` says that there were more paths than the caller wanted.
    """

    present: tuple[ChangedPath, ...]
    removed: tuple[bytes, ...]
    cut: bool = False


class Workspace(Protocol):
    """A directory tree for a container to write to. Ask for changes only when no container runs on it."""

    @property
    def mount(self) -> Mount:
        """The mount for a container, at /work."""
        ...

    def changes(self, *, most: int = 1_000_000) -> Changes:
        """What differs from the base, at most `most` paths. Raises SandboxError."""
        ...

    def detach(self) -> None:
        """Free what the engine holds; the files stay, and opening the same home goes on with them."""
        ...

    def remove(self) -> None:
        """Detach and remove all files, whatever their modes, depth or owner. Safe to call twice."""
        ...


def changes(present: dict[bytes, ChangedPath], removed: set[bytes], *, most: int) -> Changes:
    """Sorted. More than `most` are cut, and that is said: no part of a change means anything."""
    kept = sorted(present.values(), key=lambda each: each.path)
    gone = sorted(path for path in removed if path not in present)
    return Changes(tuple(kept[:most]), tuple(gone[: max(most - len(kept), 0)]), len(kept) + len(gone) > most)
