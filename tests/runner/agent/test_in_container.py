"""The loop with a real container: the tools do there what they do in the other tests."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.models.base import ModelError
from sandbox.base import Mount, Sandbox, SandboxSpec
from sandbox.docker import Engine, connect
from tests.runner.agent.play import DONE, Killed, LocalSandbox, Player, Table, says

UID = os.getuid() or 58271


@pytest.fixture
def engine() -> Iterator[Engine]:
    with connect() as found:
        yield found


class Contained(Table):
    """A table whose sandboxes are containers over the same directory."""

    engine: Engine
    run: str

    def _sandbox(self) -> LocalSandbox:
        os.chown(self.work, UID, UID if os.getuid() == 0 else os.getgid())
        spec = SandboxSpec(
            image="relay/debian:1",
            user=f"{UID}:{UID if os.getuid() == 0 else os.getgid()}",
            mounts=(Mount("bind", str(self.work), "/work"),),
            labels={"relay.kind": "test", "relay.run": self.run},
            env={"PATH": "/opt/venv/bin:/usr/bin:/bin", "HOME": "/tmp"},
        )
        started: Sandbox = self.engine.start(spec)
        return started  # type: ignore[return-value]


def test_a_turn_in_a_container_survives_its_death_and_an_interruption(engine: Engine, tmp_path: Path) -> None:
    """Write, edit, run, kill the container from inside, go on in a fresh one, be interrupted, go on again."""
    tmp_path.chmod(0o755)
    player = Player(
        [
            says(
                ("write", {"path": "a/b.py", "content": "print('one')\n"}), ("bash", {"command": "id -u; ls -a /work"})
            ),
            says(("edit", {"path": "a/b.py", "old": "one", "new": "two"}), ("bash", {"command": "python3 a/b.py"})),
            says(("bash", {"command": "kill -9 -1"})),
            ModelError("network", "down", reached=False),
        ]
    )
    table = Contained(tmp_path, [player])
    table.engine, table.run = engine, uuid.uuid4().hex
    first = table.play()
    assert first.end == "provider"
    player.answers = [
        *player.answers[:3],
        says(("bash", {"command": "cat a/b.py"}), ("read", {"path": "a/b.py"})),
        says(DONE),
    ]
    table.kill_at_event = len(table.events) + 3
    with pytest.raises(Killed):
        table.play()
    result = table.play()
    assert (result.end, result.steps, result.opened) == ("done", 5, ("a/b.py",))
    texts = [each.text for entry in player.seen[-1] for each in entry.results]
    assert texts[1].startswith(f"{UID}\n")
    assert texts[3] == "two\n[exit status 0]"
    assert "You have a fresh one" in texts[4]
    assert texts[5] == "print('two')\n[exit status 0]"
    assert texts[6] == "1\tprint('two')"
    assert (table.work / "a" / "b.py").read_text() == "print('two')\n"
    assert engine.containers(f"relay.run={table.run}") == ()


def test_a_turn_that_is_cancelled_during_a_command_leaves_nothing_behind(engine: Engine, tmp_path: Path) -> None:
    """Ctrl-C while a command runs: the turn ends at once, and its container is gone."""
    tmp_path.chmod(0o755)
    table = Contained(tmp_path, [Player([says(("bash", {"command": "touch started; sleep 300"}))])])
    table.engine, table.run = engine, uuid.uuid4().hex
    table.cancelled = lambda: (table.work / "started").exists()
    begun = time.monotonic()
    assert table.play().end == "cancelled"
    assert time.monotonic() - begun < 30
    assert engine.containers(f"relay.run={table.run}") == ()
