"""The same as an ordinary user who only is in the engine's group."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sandbox.base import SandboxSpec
from sandbox.docker import Engine, connect
from sandbox.image import HostAccess, build_environment
from sandbox.workspace import Backend, open_workspace, probe
from tests.sandbox.ordinary import as_user


def _base(folder: Path) -> Path:
    base = folder / "base"
    (base / "d").mkdir(parents=True)
    for name in ("a", "b", "d/x"):
        (base / name).write_text(name)
    return base


def test_both_workspaces_work_for_an_ordinary_user(engine: Engine, image: str) -> None:
    """Changed, harvested and removed, also what the kernel itself left as root's."""
    with engine.start(SandboxSpec(image, "58271:58271", (), {"relay.kind": "turn"}, workdir="/")) as warm:
        assert warm.exec("true", timeout=10).status == 0

    def act(folder: Path) -> None:
        uid, gid = os.getuid(), os.getgid()
        with connect() as mine:
            kinds: tuple[Backend, ...] = ("copy",)
            if probe(mine, image, folder, uid, gid) == "overlay":
                kinds = ("overlay", "copy")
            base = _base(folder)
            for kind in kinds:
                workspace = open_workspace(
                    mine,
                    kind,
                    home=folder / kind,
                    base=base,
                    extras=None,
                    gitdir=None,
                    name=f"{folder.name}-{kind}",
                    uid=uid,
                    gid=gid,
                )
                with mine.start(SandboxSpec(image, f"{uid}:{gid}", (workspace.mount,), {"relay.kind": "turn"})) as box:
                    done = box.exec("rm a; rm -r d; mkdir d; echo >d/n; mkdir s; echo >s/x; chmod 0 s", timeout=20)
                assert done.status == 0, done
                found = workspace.changes()
                assert {change.path for change in found.present} >= {b"d/n", b"s/x"}
                assert found.removed == (b"a", b"d/x")
                workspace.remove()
                assert not (folder / kind).exists()
            shutil.rmtree(base)

    as_user(act)


def test_an_environment_is_built_for_an_ordinary_user(engine: Engine, image: str) -> None:
    """Setup is root in its container, and what it leaves in the tree belongs to the user."""

    def act(folder: Path) -> None:
        uid, gid = os.getuid(), os.getgid()
        with connect() as mine:
            built = build_environment(
                mine,
                base_image=image,
                setup="mkdir made && echo x >made/file && rm a && chmod 700 made",
                key=folder.name,
                tree=_base(folder),
                uid=uid,
                gid=gid,
                cache=folder / "cache",
                host=HostAccess(),
                on_line=lambda line: None,
            )
            assert built.extras is not None
            file = built.extras / "made" / "file"
            assert file.read_text() == "x\n" and file.stat().st_uid == uid
            assert mine.remove_image(f"relay/env:{built.key}")
            shutil.rmtree(folder / "cache")
            shutil.rmtree(folder / "base")

    as_user(act)
