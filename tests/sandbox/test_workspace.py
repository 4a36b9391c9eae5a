"""Workspaces: both back ends mean the same, go on after a crash, and can be removed whatever a model left."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from sandbox.base import SandboxError
from sandbox.docker import Engine, connect
from sandbox.trees import remove_tree
from sandbox.workspace import Backend, probe
from tests.sandbox.edits import CASES, Cases, play
from tests.sandbox.ordinary import as_user
from tests.sandbox.room import GID, UID, Room, meant, tree_of

BACKENDS: tuple[Backend, ...] = ("overlay", "copy")
both = pytest.mark.parametrize("kind", BACKENDS)

MANY = settings(
    max_examples=2,  # of 25 scripts each; the first is always the plainest
    deadline=None,
    database=None,
    print_blob=True,  # how to have a failing example again
    phases=[Phase.generate],  # to shrink one would take hours of containers; the failing case is short and is shown
    suppress_health_check=list(HealthCheck),
)


@given(cases=CASES)
@MANY
def test_random_edits_make_the_same_tree_in_both(engine: Engine, place: Path, image: str, cases: Cases) -> None:
    """And it is the tree that stands in the copy: for whoever runs this suite (root, in a container of ours)."""
    folder = place / uuid.uuid4().hex[:12]
    folder.mkdir()
    try:
        play(engine, image, folder, UID, GID, cases)
    finally:
        remove_tree(folder)


@given(cases=CASES)
@MANY
def test_random_edits_make_the_same_tree_for_an_ordinary_user(image: str, cases: Cases) -> None:
    """Whose files and directories of mode 000 are shut for this process too. Overlay where their disk offers it."""

    def act(folder: Path) -> None:
        with connect() as mine:
            overlay = probe(mine, image, folder, os.getuid(), os.getgid()) == "overlay"
            inner = folder / "play"
            inner.mkdir()
            play(mine, image, inner, os.getuid(), os.getgid(), cases, ("overlay", "copy") if overlay else ("copy",))
            remove_tree(inner)

    as_user(act)


@both
def test_changes_are_told_path_by_path(room: Room, kind: Backend) -> None:
    """Deleted, replaced, remade, renamed, made executable, turned into another type, left unreadable, oddly named."""
    base = room.layer("base", {"a": "a", "b": "b", "d/x": "x", "d/y": "y", "e/f/g": "g", "p/m": "m", "q": "q"})
    workspace = room.open(kind, base)
    room.run(
        workspace,
        """
        chmod +x a; rm b; rm -r d; mkdir d; echo new >d/y; mv e e2; rm -r p; echo file >p; rm q; mkdir q; echo >q/in
        ln -s /etc/passwd link; mkfifo fifo; mkdir empty; mkdir shut; echo >shut/in; chmod 000 shut
        umask 777; echo >none
        printf x >"$(printf 'new\\nline\\377')"
        """,
    )
    found = workspace.changes()
    present = {change.path: change.kind for change in found.present}
    unchanged = {path for path, leaf in tree_of(base).items() if meant(base, found).get(path) == leaf}
    assert {path: what for path, what in present.items() if path not in unchanged} == {
        b"a": "file",
        b"d/y": "file",
        b"e2/f/g": "file",
        b"p": "file",
        b"q/in": "file",
        b"link": "symlink",
        b"fifo": "special",
        b"shut/in": "file",
        b"none": "file",
        b"new\nline\xff": "file",
    }
    assert found.removed == (b"b", b"d/x", b"e/f/g", b"p/m", b"q")


@both
def test_layers_below_are_seen_and_never_harvested(room: Room, kind: Backend) -> None:
    """The private git directory, what setup left, the user's untracked files: also when they are changed or deleted."""
    base = room.layer("base", {"a": "tracked", "pkg/m": "m"})
    layers: dict[str, object] = {
        "extras": room.layer("extras", {"a": "built", "pkg/egg": "egg", "node/z": "z"}),
        "gitdir": room.layer("gitdir", {".git/HEAD": "ref"}),
        "files": {".env": b"SECRET=1", "conf/local": b"x", "a": b"untracked"},
    }
    workspace = room.open(kind, base, **layers)
    said = room.run(
        workspace,
        """
        cat a pkg/egg node/z .git/HEAD .env conf/local; stat -c %a .env
        echo 1 >>pkg/egg; rm node/z; echo z >.git/HEAD; mkdir .git/hooks; echo >.git/hooks/x; rm -f .env
        echo new >node/mine
        """,
    )
    assert said == "trackedeggzrefSECRET=1x444\n"
    found = workspace.changes()
    assert meant(base, found) == {**tree_of(base), b"node/mine": ("file", False, b"new\n")}
    assert found.removed == ()


@both
def test_git_is_silent_about_what_is_never_harvested(room: Room, kind: Backend) -> None:
    """A model that sees its own work alone does not tidy up what it did not make; odd names are no patterns."""
    base = room.layer("base", {"pkg/m": "m"})
    workspace = room.open(
        kind,
        base,
        extras=room.layer("extras", {"pkg/egg": "egg", "node/z": "z", "a*b [1] \\": "odd"}),
        gitdir=room.layer("gitdir", {".git/info/.keep": ""}),
        files={"conf/ local": b"x"},
    )
    said = room.run(
        workspace,
        """
        git init -q . && git add -A && git commit -qm base
        echo new >pkg/mine; echo x >axb; git status --porcelain -uall
        """,
    )
    assert said == "?? axb\n?? pkg/mine\n"


@both
def test_a_workspace_goes_on_after_its_process_was_killed(room: Room, kind: Backend) -> None:
    """Opened again, also while the container of the dead process still holds it."""
    base = room.layer("base", {"a": "a", "b": "b"})
    first = room.open(kind, base)
    room.run(first, "echo one >a")
    again = room.open(kind, base)
    room.run(again, "cat a; rm b; echo two >c")
    assert meant(base, again.changes()) == {b"a": ("file", False, b"one\n"), b"c": ("file", False, b"two\n")}


def test_a_copy_that_was_interrupted_is_made_again(room: Room) -> None:
    """Half a copy would be taken for a model's deletions."""
    base = room.layer("base", {"a": "a", "b": "b"})
    half = room.path / "copy" / "tree"
    half.mkdir(parents=True)
    (half / "a").write_text("half")
    workspace = room.open("copy", base)
    assert meant(base, workspace.changes()) == tree_of(base)


@both
def test_files_outside_the_tree_are_refused(room: Room, kind: Backend) -> None:
    """A policy's `files` cannot lead out of the workspace, nor into the git directory."""
    base = room.layer("base", {"a": "a"})
    for path in ("../x", "/etc/x", "a/../../x", ".git/config", "", "a//b"):
        with pytest.raises(SandboxError, match="no path inside"):
            room.open(kind, base, files={path: b"x"})


@both
def test_what_a_model_leaves_can_be_removed(room: Room, kind: Backend) -> None:
    """A tree deeper than any path, names as long as they get, directories that forbid everything."""
    base = room.layer("base", {"a": "a"})
    workspace = room.open(kind, base)
    room.run(
        workspace,
        """
        python3 - <<'END'
import os
os.mkdir("deep"); os.chdir("deep")
for _ in range(300):
    os.mkdir("n" * 200); os.chdir("n" * 200)
open("bottom", "w").close()
END
        mkdir -p shut/in/er; echo >shut/in/er/x; chmod 000 shut/in/er shut/in shut; rm a; chmod 000 .
        """,
    )
    found = workspace.changes()
    assert [change.kind for change in found.present if change.path.startswith(b"deep")] == ["too-deep"]
    assert found.removed == (b"a",)
    workspace.remove()
    assert not (room.path / kind).exists()
    workspace.remove()


def test_an_opaque_mark_cannot_be_forged_from_inside(room: Room) -> None:
    """What code sets as `user.overlay.opaque` is stored under another name; on the upper itself it would hide files."""
    base = room.layer("base", {"d/x": "x", "d/y": "y"})
    workspace = room.open("overlay", base)
    room.run(
        workspace,
        """
        echo new >d/z; python3 -c '
import contextlib, os
for name in ("opaque", "redirect", "whiteout", "metacopy"):
    with contextlib.suppress(OSError): os.setxattr("d", "user.overlay." + name, b"y")'
        """,
    )
    assert workspace.changes().removed == ()
    os.setxattr(room.path / "overlay" / "upper" / "d", "user.overlay.opaque", b"y")
    assert workspace.changes().removed == (b"d/x", b"d/y")


def test_same_size_and_time_do_not_hide_a_change(room: Room) -> None:
    """A copy's file that was rewritten and given its old times is still seen: no process can set ctime."""
    base = room.layer("base", {"a": "one", "b": "same"})
    workspace = room.open("copy", base)
    room.run(workspace, "cp -p a /tmp/old; printf two >a; touch -r /tmp/old a")
    assert b"a" in {change.path for change in workspace.changes().present}


def test_paths_that_mount_options_would_split_work(room: Room) -> None:
    """Colons, commas, backslashes, blanks, text in any script; and too long is said before it fails."""
    base = room.layer("ba:se, \\ é", {"a": "a"})
    workspace = room.open("overlay", base, home="ho:me, \\ é")
    room.run(workspace, "echo b >b; rm a")
    assert meant(base, workspace.changes()) == {b"b": ("file", False, b"b\n")}
    with pytest.raises(SandboxError, match="too long"):
        room.open("overlay", base, home="/".join(["x" * 200] * 12))


@both
def test_many_changes_are_cut_and_said(room: Room, kind: Backend) -> None:
    """A model that makes files without end does not fill the host's memory."""
    workspace = room.open(kind, room.layer("base", {"a": "a"}))
    room.run(workspace, "i=0; while [ $i -lt 300 ]; do : >n$i; i=$((i + 1)); done")
    found = workspace.changes(most=100)
    assert found.cut and len(found.present) + len(found.removed) <= 100
    assert not workspace.changes().cut


def test_a_plain_removal_fails_where_ours_does_not(tmp_path: Path) -> None:
    """The deep tree is beyond what one path can name."""
    top = tmp_path / "top"
    top.mkdir()
    here = os.getcwd()  # noqa: PTH109
    try:
        os.chdir(top)
        for _ in range(60):
            os.mkdir("n" * 200)  # noqa: PTH102
            os.chdir("n" * 200)
    finally:
        os.chdir(here)
    with pytest.raises(OSError, match="too long"):
        os.listdir(top.joinpath(*["n" * 200] * 60))  # noqa: PTH208
    remove_tree(top)
    assert not top.exists()
