"""Tool calls over one stream: both agents pass the contract, and a container that ends is told from a broken engine."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator

import pytest

from sandbox import shell
from sandbox.base import Limits, Sandbox, SandboxDied, SandboxError
from sandbox.command import Command, run_exec
from sandbox.docker import Engine
from sandbox.harden import setup_request
from sandbox.stream import Stream
from tests.sandbox.conftest import MakeSpec
from tests.sandbox.contract import Contract


class TestPythonAgent(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls, engine: Engine, spec: MakeSpec) -> Iterator[Sandbox]:
        with engine.start(spec()) as started:
            assert started.agent == "python"
            yield started


class TestShellLoop(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls, engine: Engine, spec: MakeSpec) -> Iterator[Sandbox]:
        with engine.start(spec(), python=False) as started:
            assert started.agent == "sh"
            yield started


def test_an_image_without_python_gets_the_loop_in_sh(engine: Engine, spec: MakeSpec, image: str) -> None:
    """Found out inside, when the container starts."""
    info = engine.info()
    container = engine.create_raw(setup_request(image, (), {"relay.kind": "test"}, cpus=info.cpus, memory=2**29))
    tag = f"relay-test/no-python:{uuid.uuid4().hex[:8]}"
    try:
        engine.start_container(container)
        run_exec(engine, container, Command("rm -rf /usr/bin/python3* /opt/venv", 60, 1000, user="0:0", workdir="/"))
        engine.commit(container, tag=tag, config={"Labels": {"relay.host": ""}})
    finally:
        engine.remove(container)
    try:
        made = spec()
        with engine.start(type(made)(tag, made.user, (), made.labels, workdir="/tmp")) as sandbox:
            assert sandbox.agent == "sh"
            assert sandbox.exec("command -v python3 || echo none", timeout=10).output == b"none\n"
    finally:
        assert engine.remove_image(tag)


@pytest.mark.parametrize("python", [True, False])
def test_a_command_that_ends_its_container_is_told_as_that(engine: Engine, spec: MakeSpec, python: bool) -> None:
    """SandboxDied, now and on each later call; closing is quiet."""
    with engine.start(spec(), python=python) as sandbox:
        with pytest.raises(SandboxDied, match="ended with status 137"):
            sandbox.exec("kill -9 -1; sleep 9", timeout=10)
        with pytest.raises(SandboxDied):
            sandbox.exec("echo", timeout=10)
        with pytest.raises(SandboxDied):
            sandbox.read("x", limit=1)
    assert engine.state(sandbox.id) is None


def test_an_agent_that_is_stopped_costs_its_container(
    engine: Engine, spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit outside holds when the one inside does not."""
    monkeypatch.setattr(shell, "_SLACK", 1.0)
    with engine.start(spec()) as sandbox, pytest.raises(SandboxDied, match="did not answer in time"):
        sandbox.exec("kill -STOP $PPID; sleep 30", timeout=1)
    assert engine.state(sandbox.id) is None


def test_a_flood_beside_the_answers_holds_nobody_up(
    engine: Engine, spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's other output always has something to read, and no answer ever comes: the time limit holds."""
    monkeypatch.setattr(shell, "_SLACK", 0.2)
    near, far = socket.socketpair()
    frame = b"\2\0\0\0" + (60_000).to_bytes(4, "big") + b"x" * 60_000

    def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                far.sendall(frame * 10)

    flooding = threading.Thread(target=flood)
    container = engine.create(spec(), shell.entrypoint())
    engine.start_container(container)
    flooding.start()
    with far, near:
        flooded = shell.Shell(container, Stream(near, b"", lambda: near.shutdown(socket.SHUT_RDWR)), engine, output=10)
        with pytest.raises(SandboxDied, match="did not answer in time"):
            flooded.exec("echo", timeout=0.2)
        flooding.join()
    assert engine.state(container) is None


@pytest.mark.parametrize("forged", ["R 2 0 0 0 99999999999", "R 1 0 0 0 1", "x" * 5000, "R 2 0 -1 0 2", "R 2 a 0 0 2"])
def test_nonsense_on_the_stream_ends_the_sandbox_and_nothing_else(engine: Engine, spec: MakeSpec, forged: str) -> None:
    """What runs inside can write to the agent's own output; a frame that cannot be is not believed."""
    with engine.start(spec()) as sandbox:
        sandbox.exec("true", timeout=10)
        with pytest.raises(SandboxDied, match="wrote onto the tools' stream"):
            sandbox.exec(f"echo '{forged}' >/proc/$PPID/fd/1; sleep 5", timeout=10)


def test_commands_do_not_get_slower_with_output_left_by_background_processes(engine: Engine, spec: MakeSpec) -> None:
    """Many commands that leave a process behind: each is read and thrown away, the agent stays small."""
    with engine.start(spec(limits=Limits(memory=2**28, pids=200, output=1000))) as sandbox:
        for number in range(20):
            assert sandbox.exec(f"(sleep 30; echo late) & echo {number}", timeout=10).output == b"%d\n" % number


def test_processes_beyond_the_limit_are_an_answer(engine: Engine, spec: MakeSpec) -> None:
    """A fork bomb hits the limit of its own container, is ended, and the sandbox goes on or is told as dead."""
    with engine.start(spec(limits=Limits(cpus=1, memory=2**28, pids=64, output=10_000))) as sandbox:
        try:
            sandbox.exec("b() { b | b & b; }; b", timeout=2)
            sandbox.exec("echo still here", timeout=5)
        except SandboxDied:
            pass
    assert engine.state(sandbox.id) is None


def test_memory_beyond_the_limit_ends_the_command(engine: Engine, spec: MakeSpec) -> None:
    """The command is killed; the sandbox lives."""
    with engine.start(spec(limits=Limits(memory=96 * 2**20, pids=64, output=10_000))) as sandbox:
        assert sandbox.exec("python3 -c 'x = bytearray(300 * 2**20)'", timeout=30).status == 137
        assert sandbox.exec("echo well", timeout=10).output == b"well\n"


def test_a_missing_image_says_its_name(engine: Engine, spec: MakeSpec) -> None:
    """Nothing is left behind."""
    made = spec()
    with pytest.raises(SandboxError, match="no-such-image"):
        engine.start(type(made)("no-such-image:1", made.user, (), made.labels))
