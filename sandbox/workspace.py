"""The throwaway work tree of a turn or a gate: layers in, a mount for a container, changed paths out. No git.

Two back ends with one meaning: an overlay (cheap at any size) and a copy (works everywhere). A probe chooses.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sandbox.base import SandboxError, SandboxSpec
from sandbox.changes import ChangedPath, Changes, Layers, Workspace
from sandbox.copies import Copy
from sandbox.overlay import Overlay
from sandbox.trees import joined, look, on_disk, own, remove_tree

if TYPE_CHECKING:
    from sandbox.docker import Engine

__all__ = ["Backend", "ChangedPath", "Changes", "Workspace", "open_workspace", "probe"]

Backend = Literal["overlay", "copy"]


def open_workspace(
    engine: Engine,
    kind: Backend,
    *,
    home: Path,
    base: Path,
    extras: Path | None,
    gitdir: Path | None,
    name: str,
    uid: int,
    gid: int,
    files: Mapping[str, bytes] | None = None,
) -> Workspace:
    """A workspace over `base` in the directory `home`, which it makes; one that exists goes on as it was left.

    Below the base lie the private git directory, what setup left in the tree (`extras`), and `files`: untracked files
    of the user by path, read-only in mode; none of these is a change, and git in there does not show them. All layers
    must belong to `uid`. `name` is the volume's, of this workspace alone. Raises SandboxError.
    """
    with on_disk(home):
        home.mkdir(parents=True, exist_ok=True)
        below = _file_layer(home / "files", files, uid, gid) if files or gitdir else None
        layers = Layers(base, gitdir, extras, below)
        if gitdir and below:
            _put(below, (".git", "info", "exclude"), _excludes(layers), uid, gid)
    if kind == "overlay":
        return Overlay(engine, home=home, layers=layers, name=name, uid=uid, gid=gid)
    return Copy(engine, home=home, layers=layers, uid=uid, gid=gid)


def probe(engine: Engine, image: str, where: Path, uid: int, gid: int) -> Backend:
    """Which back end works in the directory `where`, found out by using it with a container of `image`.

    Raises SandboxError when neither does: then the engine does not see this machine's files.
    """
    reasons = []
    for kind in ("overlay", "copy"):
        home = where / f"probe-{uuid.uuid4().hex[:12]}"
        try:
            if _works(engine, image, kind, home, uid, gid):
                return kind
            reasons.append(f"{kind}: the container's changes do not show")
        except (SandboxError, OSError) as error:
            reasons.append(f"{kind}: {error}")
        finally:
            remove_tree(home)
    overlay, copy = (reason.partition(": ")[2] for reason in reasons)
    if overlay == copy:  # nothing to do with files
        raise SandboxError(copy)
    told = "; ".join(reasons)
    raise SandboxError(f"the Docker engine cannot share {where} with a container; is it on another machine? ({told})")


def _works(engine: Engine, image: str, kind: Backend, home: Path, uid: int, gid: int) -> bool:
    base = home / "base"
    for name in ("kept", "gone", "folder/old"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("old")
    for path in (base, *base.rglob("*")):
        own(path, uid, gid)
    workspace = open_workspace(
        engine,
        kind,
        home=home / "workspace",
        base=base,
        extras=None,
        gitdir=None,
        name=f"relay-{home.name}",
        uid=uid,
        gid=gid,
    )
    try:
        spec = SandboxSpec(image, f"{uid}:{gid}", (workspace.mount,), {"relay.kind": "probe"})
        with engine.start(spec) as sandbox:
            said = sandbox.exec(
                "echo new >kept && rm gone && rm -r folder && mkdir folder && echo >folder/new", timeout=30
            )
        found = workspace.changes()
        present = {change.path for change in found.present}
        return said.status == 0 and present == {b"kept", b"folder/new"} and found.removed == (b"folder/old", b"gone")
    finally:
        workspace.remove()


def _file_layer(layer: Path, files: Mapping[str, bytes] | None, uid: int, gid: int) -> Path:
    """The user's untracked files as a directory. Raises SandboxError for a path that leads out of it."""
    remove_tree(layer)
    layer.mkdir()
    own(layer, uid, gid)
    for name, content in (files or {}).items():
        parts = tuple(name.split("/"))
        if not name or any(part in ("", ".", "..") for part in parts) or parts[0] == ".git":
            raise SandboxError(f"`files: {name}` is no path inside the work tree")
        _put(layer, parts, content, uid, gid)
    return layer


def _put(layer: Path, parts: Sequence[str], content: bytes, uid: int, gid: int) -> None:
    file = layer
    for part in parts[:-1]:
        file = file / part
        file.mkdir(exist_ok=True)
        own(file, uid, gid)
    file = file / parts[-1]
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o444)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    own(file, uid, gid)


def _excludes(layers: Layers) -> bytes:
    """What is never harvested, for the private git directory: `git status` is silent about it too (gitignore(5))."""
    base = os.fsencode(layers.base)
    lines: list[bytes] = []
    for layer in (layers.extras, layers.files):
        stack = [b""] if layer is not None else []
        while stack and layer is not None:
            folder = stack.pop()
            for name in sorted(os.listdir(os.path.join(os.fsencode(layer), folder))):  # noqa: PTH118, PTH208 (bytes)
                path = joined(folder, name)
                stands = look(base, path)
                if stands == "absent" and b"\n" not in path:
                    lines.append(b"/" + re.sub(rb"([\\*?\[ ])", rb"\\\1", path))
                elif stands == "folder" and look(os.fsencode(layer), path) == "folder":
                    stack.append(path)
    return b"".join(line + b"\n" for line in lines)
