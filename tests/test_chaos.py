"""Kill it anywhere, start it again, and it goes on: the real command, and models that count who asks."""

import os
import random
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.chaos.lab import PATIENCE, PLAIN, Lab, ended, lab
from tests.runner.models.fake_vendor import error

GO_ON = ("resume", "--json")
TOOL = "runner.agent.workbench:Workbench.run"
COMMIT = "runner.stages.implement:_commit"
HARVEST = "runner.git.harvest:harvest"
IN_CONTAINER = "sandbox.command:run_exec"
NOTE = "runner.git.notes:add"
REVIEW = "runner.agent.endings:review_of"
SWAP = "runner.stages.land:_move"

# Where a run is killed, one after the other; each in the first or the second change, where the run stands then.
STORIES = {
    "turns": [
        "runner.agent.endings:spec_of:after:1",
        "asked coder double 2",
        f"{TOOL}:after:1",
        f"{HARVEST}:before:1",
        f"{COMMIT}:after:1",
        "asked coder triple 3",
        f"{TOOL}:after:1",
        f"{HARVEST}:after:1",
        f"{COMMIT}:after:1",
    ],
    "verdicts": [
        "runner.stages.baseline:keep:before:1",
        f"{IN_CONTAINER}:before:3",
        f"{IN_CONTAINER}:after:1",
        "asked reviewer double 2",
        f"{SWAP}:after:1",
        f"{NOTE}:after:1",
        f"{REVIEW}:after:1",
        f"{SWAP}:before:1",
        f"{SWAP}:after:1",
        "runner.session:_end:before:1",
    ],
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


@pytest.mark.parametrize("story", STORIES)
def test_a_run_that_is_killed_everywhere_ends_as_a_plain_one(here: Lab, story: str) -> None:
    """Landed once, the same trees, no reply paid twice but those that were under way, nothing of the user's touched."""
    before, arguments = here.untouched(), here.beginning()
    for point in STORIES[story]:
        ran = here.at(point, arguments)
        assert ran.code == -9, (point, ran)
        arguments = GO_ON
    here.assert_landed(here.relay(*GO_ON))
    asked = [point.removeprefix("asked ") for point in STORIES[story] if point.startswith("asked ")]
    assert Counter(here.models.calls()) == Counter([*PLAIN, *asked])
    assert here.untouched() == before


def test_a_run_that_is_killed_at_random_goes_on(here: Lab) -> None:
    """At any git command, any line on the disk, any request to the engine, any event."""
    seed = random.SystemRandom().randrange(10**9)
    print("seed", seed)  # noqa: T201 - shown when the test fails
    choose, kills = random.Random(seed), 0
    before, arguments = here.untouched(), here.beginning()
    places = [
        ("runner.git.command:_start", 150),
        ("runner.agent.lines:Lines.append", 40),
        ("runner.report.log:log", 30),
    ]
    places += [("sandbox.docker:Engine.create_raw", 8), ("sandbox.docker:Engine.remove", 8)]
    for _ in range(5):
        place, most = choose.choice(places)
        ran = here.at(f"{place}:{choose.choice(('before', 'after'))}:{choose.randint(1, most)}", arguments)
        assert ran.code in (-9, 0) or "relay died 3 times" in ran.err, ran
        kills += ran.code == -9
        arguments = GO_ON if here.git("for-each-ref", "refs/relay/runs") else arguments
    ran = here.relay(*arguments)
    here.assert_landed(ran if "relay died 3 times" not in ran.err else here.relay(*GO_ON))
    assert len(here.models.calls()) <= len(PLAIN) + kills
    assert here.untouched() == before


def test_ctrl_c_ends_well_wherever_it_comes(here: Lab) -> None:
    """Exit code 130, no container, and the next session goes on; a second one ends it at once."""
    before = here.untouched()
    arguments = here.beginning(sandbox=", setup: 'sleep 1 && echo made > made'")
    for point, signal in (
        ("sandbox.workspace:open_workspace:before:1", "TERM"),  # of the probe: no stage runs yet
        ("sandbox.image:SETUP", "INT"),
        (f"{IN_CONTAINER}:before:5", "INT"),  # after setup's two and the target's own: the gate
        ("asked coder triple 2", "INT"),
        (f"{TOOL}:before:2", "INT"),
        ("asked reviewer triple 1", "HUP"),
    ):
        ran = here.at(point.replace("sandbox.image:SETUP", f"{IN_CONTAINER}:before:1"), arguments, signal)
        assert (ran.code, here.left_over()) == (130, []), (point, ran)
        assert "go on with: relay resume" in ran.err
        arguments = GO_ON
    twice = here.relay(*GO_ON, traps=f"{REVIEW}:before:1:INT runner.session:_interrupted:before:1:INT")
    assert (twice.code, twice.out) == (130, "")
    here.assert_landed(here.relay(*GO_ON))
    assert here.untouched() == before


def test_a_second_process_is_told_who_works_and_cancel_is_final(here: Lab) -> None:
    """The holder is named; a cancelled run keeps its branches and never goes on."""
    here.models.keep_waiting("coder double 2")
    first = here.start(*here.beginning())
    assert here.models.held.wait(PATIENCE)
    second = here.relay(*GO_ON)
    assert second.code == 5
    assert here.run_id in second.err and f"pid {first.pid}" in second.err
    assert here.relay("cancel").code == 0
    assert ended(first).code == 130
    assert here.left_over() == []
    assert f"relay/{here.run_id}/t1-1" in here.git("branch", "--list", "relay/*")
    again = here.relay(*GO_ON)
    assert (again.code, again.told["outcome"]) == (130, "cancelled")
    assert here.relay("resume", "r-nowhere").code == 2
    assert here.git("rev-parse", "main") == here.git("rev-parse", "begin")


class Proxy:
    """The engine's socket, until it is cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(100)
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect("/var/run/docker.sock")
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        """As when the engine dies: every connection breaks and none is taken. Safe to call twice."""
        self.path.unlink(missing_ok=True)
        for each in (self._server, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, sink):
            each.close()


def test_what_is_down_is_named_and_the_run_goes_on_when_it_is_back(here: Lab) -> None:
    """A provider that refuses, an engine that dies under a turn: exit code 4, one sentence, the next command."""
    here.models.refuse = error(401, {"error": {"message": "no such key"}})
    ran = here.begin()
    assert (ran.code, ran.told["outcome"]) == (4, "broken")
    assert "no such key" in ran.err and f"go on with: relay resume {here.run_id}" in ran.err
    here.models.refuse = None
    path = here.root / "engine.sock"
    with closing(Proxy(path)) as engine:
        here.models.keep_waiting("coder double 2")
        process = here.start(*GO_ON, DOCKER_HOST=f"unix://{path}")
        assert here.models.held.wait(PATIENCE)
        engine.close()
        here.models.let_go.set()
        ran = ended(process)
    assert (ran.code, ran.told["outcome"]) == (4, "broken")
    last = ran.err.splitlines()[-1]
    assert "Docker engine does not answer" in last and f"go on with: relay resume {here.run_id}" in last
    ran = here.relay(*GO_ON, DOCKER_HOST=f"unix://{path}")
    assert ran.code == 4 and f"no Docker engine at {path}" in ran.err and "Traceback" not in ran.err
    here.assert_landed(here.relay(*GO_ON))
    assert Counter(here.models.calls()) - Counter(PLAIN) == Counter({"planner both 1": 1})


def test_a_budget_that_ended_keeps_the_turn_for_more_money(here: Lab) -> None:
    """Exit code 7 and what to do; nothing that was spent is forgotten, nothing that was paid for is asked again."""
    ran = here.begin(money="0.02")
    assert (ran.code, ran.told["outcome"]) == (7, "budget")
    assert f"relay resume {here.run_id} --max-cost USD" in ran.err
    spent, asked = ran.told["cost_usd"], here.models.calls()
    again = here.relay(*GO_ON)
    assert (again.code, again.told["cost_usd"], here.models.calls()) == (7, spent, asked)
    here.assert_landed(here.relay(*GO_ON, "--max-cost", "10"))
    assert here.models.calls() == PLAIN


def test_git_alone_is_enough_to_go_on(here: Lab) -> None:
    """Database, cache and pipeline file deleted, objects without a ref pruned, the target moved by its owner."""

    def lose() -> None:
        shutil.rmtree(here.root / "cache", ignore_errors=True)  # not each session needs one
        (here.state / "engine.sqlite").unlink()
        (here.root / "pipeline.yaml").unlink(missing_ok=True)
        here.git("reflog", "expire", "--expire-unreachable=now", "refs/heads/main")
        here.git("gc", "-q", "--prune=now")

    assert here.at("asked coder double 2", here.beginning()).code == -9
    here.git("update-ref", "refs/heads/main", "later")  # no commit has the tree that is tested now
    for point in ("asked reviewer double 2", f"{SWAP}:before:1"):
        lose()
        assert here.at(point, GO_ON).code == -9
    lose()
    lock = here.repo / ".git" / "refs" / "heads" / "main.lock"  # as a git leaves it that dies in the swap
    lock.write_text(here.git("rev-parse", f"refs/relay/runs/{here.run_id}/changes/t1-1^2") + "\n")
    os.utime(lock, (0, 0))
    assert here.at(f"{SWAP}:after:1", GO_ON).code == -9
    lose()
    here.assert_landed(here.relay(*GO_ON))
    assert here.git("show", "main:README") == "three words now"
    twice = ("coder double 2", "reviewer double 2")
    assert Counter(here.models.calls()) == Counter([*PLAIN, *twice])
    again = here.relay(*GO_ON)
    assert (again.code, again.told["outcome"]) == (0, "landed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which a test can fill."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    """Exit code 4, a sentence, the next command; the same for a session that finds it full."""
    with lab(small_disk) as here:
        here.environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
        here.models.keep_waiting("coder double 2")
        process = here.start(*here.beginning())
        assert here.models.held.wait(PATIENCE)
        _fill(small_disk / "filler")
        here.models.let_go.set()
        full = ended(process)
        assert (full.code, full.told["outcome"]) == (4, "broken")
        assert f"make room there; go on with: relay resume {here.run_id}" in full.err
        again = here.relay(*GO_ON)
        assert again.code == 4 and "make room there" in again.err and "internal error" not in again.err
        (small_disk / "filler").unlink()
        here.assert_landed(here.relay(*GO_ON))
        assert len(here.models.calls()) <= len(PLAIN) + 1


def _fill(path: Path) -> None:
    size = 1 << 20
    with path.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
