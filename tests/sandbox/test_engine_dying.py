"""An engine that dies or falls silent at any moment: a sentence with what to do, no hang, and the next one goes on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import shell
from sandbox.access import HostAccess
from sandbox.base import SandboxError, SandboxSpec
from sandbox.docker import Engine, connect
from sandbox.image import build_environment
from tests.sandbox.conftest import MakeSpec
from tests.sandbox.room import GID, UID, Room
from tests.sandbox.wires import Wire

GOES_ON = r"does not answer.*(docker version|systemctl start docker)"


class Cable:
    """Makes wires, and removes what could not be removed over them."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.run = f"relay-test-{uuid.uuid4().hex[:12]}"
        self._engine = engine
        self._folder = folder
        self._wires: list[Wire] = []

    def __call__(self, *, last: int | None = None) -> Wire:
        wire = Wire(self._folder / f"engine{len(self._wires)}", last=last)
        self._wires.append(wire)
        return wire

    def close(self) -> None:
        for wire in self._wires:
            wire.close()
        for container in self._engine.containers(f"relay.run={self.run}"):
            self._engine.remove(container.id)
        for volume in self._engine.volumes(f"relay.run={self.run}"):
            self._engine.remove_volume(volume.id)


@pytest.fixture
def cable(engine: Engine, tmp_path: Path) -> Iterator[Cable]:
    made = Cable(engine, tmp_path)
    yield made
    made.close()


def turn(engine: Engine, spec: SandboxSpec) -> None:
    with engine.start(spec) as sandbox:
        sandbox.exec("echo hi", timeout=10)
        sandbox.write("/tmp/x", b"x")


def gate(engine: Engine, spec: SandboxSpec) -> None:
    engine.run_command(spec, "echo x >/relay/r; echo hi", timeout=10, collect=("r",))


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 6, 8, 10])
@pytest.mark.parametrize("act", [turn, gate])
def test_an_engine_that_dies_at_any_request_is_machinery(
    cable: Cable, spec: MakeSpec, act: Callable[[Engine, SandboxSpec], None], last: int
) -> None:
    """Not the model's doing, no traceback of a library, and no socket is left to the garbage collector."""
    made = replace(spec(), labels={"relay.run": cable.run, "relay.kind": "turn"})
    with (
        pytest.raises(SandboxError, match=GOES_ON),
        connect(environ={"DOCKER_HOST": cable(last=last).address}) as dying,
    ):
        act(dying, made)


def test_an_engine_that_falls_silent_under_a_command_is_told(
    cable: Cable, spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is refused and nothing comes: the wait ends by itself."""
    monkeypatch.setattr(shell, "_SLACK", 0.5)
    made = replace(spec(), labels={"relay.run": cable.run, "relay.kind": "turn"})
    wire = cable()
    with connect(environ={"DOCKER_HOST": wire.address}) as silent:
        sandbox = silent.start(made)
        assert sandbox.exec("echo hi", timeout=10).output == b"hi\n"
        wire.silence()
        monkeypatch.setattr("sandbox.docker.engine._ANSWER", 0.5)
        monkeypatch.setattr(silent._client, "timeout", 0.5)  # what was slow until now may have been
        with pytest.raises(SandboxError, match=GOES_ON):
            sandbox.exec("echo hi", timeout=0.5)
        with pytest.raises(SandboxError, match=GOES_ON):
            silent.run_command(made, "echo hi", timeout=1)
        with pytest.raises(SandboxError, match=GOES_ON):
            connect(environ={"DOCKER_HOST": wire.address})


def test_an_environment_that_was_cut_off_is_built_by_the_next(cable: Cable, room: Room) -> None:
    """Nothing half done is taken for one."""
    wire, lines = cable(), list[str]()

    def cut_at_the_second(line: str) -> None:
        lines.append(line)
        if line == "second":
            wire.cut()

    def build(engine: Engine, on_line: Callable[[str], None]) -> str:
        return build_environment(
            engine,
            base_image=room.image,
            setup="echo first; echo made >made; echo second; echo third",
            key=room.path.name,
            tree=base,
            uid=UID,
            gid=GID,
            cache=room.path / "cache",
            host=HostAccess(),
            on_line=on_line,
            backend="copy",
            labels={"relay.run": cable.run},
        ).key

    base = room.layer("base", {"a": "a"})
    with pytest.raises(SandboxError, match=GOES_ON), connect(environ={"DOCKER_HOST": wire.address}) as dying:
        build(dying, cut_at_the_second)
    key = build(room.engine, lines.append)
    try:
        assert lines[-1] == "third"
        assert (room.path / "cache" / "extras" / key / "made").read_text() == "made\n"
        assert not [path for path in (room.path / "cache" / "extras").iterdir() if path.suffix == ".building"]
    finally:
        with suppress(SandboxError):
            room.engine.remove_image(f"relay/env:{key}")


def test_an_engine_that_is_not_there_says_how_to_have_one(tmp_path: Path) -> None:
    """A sentence with the next step, whether the socket is missing or nobody listens."""
    with pytest.raises(SandboxError, match=r"no Docker engine at .*make engine"):
        connect(environ={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    wire = Wire(tmp_path / "dead")
    wire.close()
    with pytest.raises(SandboxError, match=r"does not answer.*systemctl start docker"):
        connect(environ={"DOCKER_HOST": wire.address})
