"""What tests of workspaces share: layers on the disk, and the tree that a set of changes means."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from sandbox.base import SandboxSpec
from sandbox.docker import Engine
from sandbox.trees import leaves, remove_tree
from sandbox.workspace import Backend, Changes, Workspace, open_workspace

UID = os.getuid() or 58271
GID = os.getgid() or 58271

Tree = dict[bytes, tuple[str, bool, bytes]]


class Room:
    """A directory with layers and workspaces in it."""

    def __init__(self, engine: Engine, path: Path, image: str) -> None:
        self.engine = engine
        self.path = path
        self.image = image
        self.opened: list[Workspace] = []
        path.mkdir()

    def layer(self, name: str, files: Mapping[str, str | bytes]) -> Path:
        """A directory with these files; a text that begins with `->` makes a link, a path that ends in `*` runs."""
        top = self.path / name
        top.mkdir()
        for path, content in files.items():
            file = top / path.rstrip("*")
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str) and content.startswith("->"):
                file.symlink_to(content[2:])
            else:
                file.write_bytes(content.encode() if isinstance(content, str) else content)
                file.chmod(0o755 if path.endswith("*") else 0o644)
        if os.getuid() == 0:
            for each in (top, *top.rglob("*")):
                os.lchown(each, UID, GID)
        return top

    def open(self, kind: Backend, base: Path, *, home: str | None = None, **more: object) -> Workspace:
        layers = {"extras": None, "gitdir": None, **more}
        name = home or kind
        workspace = open_workspace(
            self.engine,
            kind,
            home=self.path / name,
            base=base,
            name=f"relay-test-{self.path.name}-{name}",
            uid=UID,
            gid=GID,
            **layers,  # type: ignore[arg-type]
        )
        self.opened.append(workspace)
        return workspace

    def run(self, workspace: Workspace, command: str) -> str:
        """Run a command in a sandbox on a workspace; its output. It must end with 0."""
        labels = {"relay.run": "test", "relay.kind": "turn"}
        with self.engine.start(SandboxSpec(self.image, f"{UID}:{GID}", (workspace.mount,), labels)) as sandbox:
            done = sandbox.exec(command, timeout=120)
        assert done.status == 0, done.output.decode(errors="replace")
        return done.output.decode(errors="replace")

    def clear(self) -> None:
        for workspace in self.opened:
            workspace.remove()
        remove_tree(self.path)


def tree_of(top: Path) -> Tree:
    """Every leaf below a directory: kind, whether it runs, content."""
    root = os.fsencode(top)
    return {path: _leaf(root + b"/" + path) for path in leaves(root, b"")}


def meant(base: Path, changes: Changes) -> Tree:
    """The tree that the changes make of the base."""
    tree = tree_of(base)
    for path in changes.removed:
        del tree[path]
    for change in changes.present:
        tree = {path: leaf for path, leaf in tree.items() if not path.startswith(change.path + b"/")}
        tree[change.path] = _leaf(change.host)
    return tree


def _leaf(host: bytes) -> tuple[str, bool, bytes]:
    mode = os.lstat(host).st_mode
    if stat.S_ISLNK(mode):
        return "symlink", False, os.readlink(host)  # noqa: PTH115
    if not stat.S_ISREG(mode):
        return "special", False, b""
    os.chmod(host, mode | 0o400)  # noqa: PTH101
    with open(host, "rb") as file:  # noqa: PTH123
        return "file", bool(mode & 0o100), file.read()
