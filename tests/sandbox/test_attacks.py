"""What the worst person would leave in a workspace, and what they would do to the machine: told, bounded, removed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runner.git.checkout import base_directory
from runner.git.harvest import Harvest, harvest
from runner.git.history import tree_of
from runner.git.objects import EXECUTABLE, SYMLINK, ls_tree, read_blob
from runner.git.repo import Repository
from sandbox.base import Limits, SandboxDied, SandboxSpec
from sandbox.docker import Engine
from sandbox.environments import LABEL, list_environments, prune
from sandbox.workspace import Backend, Workspace
from tests.runner.git.support import git, make, opened
from tests.sandbox.conftest import MakeSpec
from tests.sandbox.edits import BACKENDS
from tests.sandbox.room import GID, UID, Room

SECRET = "what-stands-in-a-file-of-the-host"


class Turn:
    """A workspace of a small repository, on one back end."""

    def __init__(self, room: Room, kind: Backend) -> None:
        self.room = room
        where = make(room.path / "repository", {"a": "a\n", "d/x": "x\n", "run": "#!/bin/sh\n"})
        self.repository: Repository = opened(where)
        self.begin = tree_of(self.repository, git(where, "rev-parse", "HEAD"))
        base = base_directory(self.repository, self.begin, room.path / "cache", UID, GID)
        self.workspace: Workspace = room.open(kind, base)

    @property
    def spec(self) -> SandboxSpec:
        return SandboxSpec(self.room.image, f"{UID}:{GID}", (self.workspace.mount,), {"relay.kind": "turn"})

    def run(self, command: str) -> str:
        return self.room.run(self.workspace, command)

    def harvest(self) -> Harvest:
        return harvest(self.repository, self.begin, self.workspace.changes())


@pytest.fixture(params=BACKENDS)
def turn(room: Room, request: pytest.FixtureRequest) -> Turn:
    return Turn(room, request.param)


def test_links_lead_nowhere_on_the_host(turn: Turn, tmp_path: Path) -> None:
    """Neither the link itself, nor a directory of the base that became one, nor what lies behind it."""
    (tmp_path / "secret").write_text(SECRET)
    turn.run(
        f"ln -s {tmp_path}/secret a2; rm -r d; ln -s {tmp_path} d; ln -s / root; ln -s loop loop; rm a; ln -s /a a"
    )
    taken = turn.harvest()
    tree = ls_tree(turn.repository, taken.tree)
    links = {path: read_blob(turn.repository, entry.id) for path, entry in tree.items() if entry.mode == SYMLINK}
    assert links == {
        b"a2": os.fsencode(tmp_path / "secret"),
        b"d": os.fsencode(tmp_path),
        b"root": b"/",
        b"loop": b"loop",
        b"a": b"/a",
    }
    assert set(tree) == {*links, b"run"} and taken.refused == ()
    turn.workspace.remove()
    assert (tmp_path / "secret").read_text() == SECRET  # removing followed none


def test_special_modes_and_files_do_not_come_out(turn: Turn) -> None:
    """setuid is a plain executable; a FIFO, a socket, a nested repository and every spelling of .git are refused."""
    turn.run(
        """
        chmod 6755 run; echo x >sticky; chmod 7644 sticky; mkfifo fifo; mkdir -p n/.git/hooks .GIT g/.git.
        echo evil | tee n/.git/hooks/x .GIT/config g/.git./x 'git~1' >/dev/null
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
        """
    )
    taken = turn.harvest()
    tree = ls_tree(turn.repository, taken.tree)
    assert {path: entry.mode for path, entry in tree.items()} == {
        b"a": 0o100644,
        b"d/x": 0o100644,
        b"run": EXECUTABLE,
        b"sticky": 0o100644,
    }
    assert {each.path for each in taken.refused} == {b"fifo", b"sock", b"n/.git", b".GIT", b"g/.git.", b"git~1"}


def test_five_thousand_folders_in_each_other_are_refused_and_removed(turn: Turn) -> None:
    """Short names, so that a part of them can be named; the change beside them is taken."""
    turn.run(
        """
        python3 -c '
import os
for _ in range(5000):
    os.mkdir("d5"); os.chdir("d5")
    if _ % 500 == 0: open("f", "w").close()
'
        echo new >beside
        """
    )
    taken = turn.harvest()
    assert b"beside" in taken.changed and taken.exceeded is None
    assert taken.refused and all(each.path.startswith(b"d5/") for each in taken.refused)
    turn.workspace.remove()


def test_huge_files_cost_neither_disk_nor_memory_here(turn: Turn) -> None:
    """A hole of seven gigabytes is refused by its size; eight is more than the machine lets a file grow."""
    turn.run("truncate -s 7G hole; ! truncate -s 9G more; ! echo | dd of=far bs=1 seek=9G 2>/dev/null; rm far more")
    taken = turn.harvest()
    assert [each.path for each in taken.refused] == [b"hole"] and taken.tree == turn.begin


def test_a_container_that_kills_itself_is_followed_by_a_fresh_one_on_the_same_files(turn: Turn) -> None:
    """SandboxDied, not an error of the machine; what was written is there."""
    engine = turn.room.engine
    with engine.start(turn.spec) as first, pytest.raises(SandboxDied, match="status 137"):
        first.exec("echo kept >kept; rm a; kill -9 -1; sleep 9", timeout=20)
    with engine.start(turn.spec) as second:
        assert second.id != first.id
        assert second.exec("cat kept; ls", timeout=10).output == b"kept\nd\nkept\nrun\n"
    assert turn.harvest().changed == (b"a", b"kept")


def test_processors_are_shared_out_as_asked(engine: Engine, spec: MakeSpec) -> None:
    """Four busy processes on half a processor get that together, however long it takes."""
    busy = """
import os, time
began, pids = time.monotonic(), []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        until = time.monotonic() + 3
        while time.monotonic() < until: pass
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
print((os.times().children_user + os.times().children_system) / (time.monotonic() - began))
"""
    with engine.start(spec(limits=Limits(cpus=0.5, memory=2**28, pids=64))) as sandbox:
        sandbox.write("/tmp/busy.py", busy.encode())
        used = float(sandbox.exec("python3 /tmp/busy.py", timeout=60).output)
    assert used < 0.7


def test_processes_memory_and_open_files_end_where_the_limits_say(engine: Engine, spec: MakeSpec) -> None:
    """Each is asked for until it is refused; the sandbox answers afterwards."""
    count = """
import os, sys
n = 0
try:
    while n < 20_000:
        {more}
        n += 1
except OSError:
    pass
print(n)
"""
    with engine.start(spec(limits=Limits(cpus=1, memory=2**27, pids=50, output=10_000))) as sandbox:

        def most(more: str) -> int:
            sandbox.write("/tmp/count.py", count.format(more=more).encode())
            return int(
                sandbox.exec("python3 /tmp/count.py; kill $(pgrep -f 'sleep 77') 2>/dev/null", timeout=60).output
            )

        assert 20 < most("os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '77')") < 50
        assert 16_000 < most("os.dup(1)") < 16_384
        big = "head -c 1000000000 /dev/zero | tail | wc -c"
        assert sandbox.exec(big, timeout=60).output.strip() != b"1000000000"
        filled = sandbox.exec("head -c 2000000000 /dev/zero >/tmp/fill; stat -c %s /tmp/fill", timeout=60)
        assert b"No space left" in filled.output and 60 * 2**20 < int(filled.output.split()[-1]) <= 64 * 2**20
        assert sandbox.exec("rm /tmp/fill; echo well", timeout=10).output == b"well\n"


def test_a_report_of_gigabytes_is_none(engine: Engine, spec: MakeSpec) -> None:
    """A hole is sent as zeros without end by the engine; it is cut, and no connection is left with it."""
    made = replace(spec(), labels={"relay.kind": "gate"})
    for command in (
        "truncate -s 7G /relay/r",
        "truncate -s 1G /relay/r",
        "head -c 999999999 /dev/zero >/relay/r; exit 0",
    ):
        ran = engine.run_command(made, command, timeout=30, collect=("r",), result_bytes=2**20)
        assert ran.status == 0 and len(ran.files.get("r", b"")) <= 2**20
        assert "truncate" not in command or ran.files == {}


def test_labels_that_somebody_wrote_on_an_image_remove_nothing(room: Room, image: str) -> None:
    """The key of an environment is a path in the cache: one that leads out of it is none of ours."""
    victim = room.path / "victim"
    victim.mkdir()
    (room.path / "cache" / "extras").mkdir(parents=True)
    tag = f"relay-test/label:{room.path.name}"
    container = room.engine.create_raw({"Image": image, "Cmd": ["true"], "Labels": {}})
    try:
        room.engine.commit(container, tag=tag, config={"Labels": {LABEL: "../../victim"}})
    finally:
        room.engine.remove(container)
    try:
        assert "../../victim" not in {each.key for each in list_environments(room.engine)}
        ours = {each.key for each in list_environments(room.engine)}
        prune(room.engine, room.path / "cache", keep=lambda each: each.key in ours or not each.key)
        assert victim.is_dir() and room.engine.image_id(tag) is not None
    finally:
        assert room.engine.remove_image(tag)
