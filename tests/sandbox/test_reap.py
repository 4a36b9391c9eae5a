"""What a killed process left is found by its labels and removed; what lives, or is not ours, is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

from sandbox.docker import Engine
from sandbox.reap import Owner, is_alive, owner_labels, reap
from tests.sandbox.conftest import MakeSpec

ROOT = Path(__file__).parent.parent.parent
LEAVE = """
import os, sys
from sandbox.base import SandboxSpec
from sandbox.command import IDLE
from sandbox.docker import connect
engine = connect()
spec = SandboxSpec(sys.argv[1], "58271:58271", (), {"relay.run": sys.argv[2], "relay.kind": "gate"}, workdir="/tmp")
options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
engine.create_volume(sys.argv[2], options, labels={"relay.run": sys.argv[2]})
engine.start_container(engine.create(spec, IDLE))
sandbox = engine.start(spec)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_removed(engine: Engine, image: str) -> None:
    """Its containers and volumes; a turn's container has already ended with the stream."""
    run = f"relay-test-{uuid.uuid4().hex[:12]}"
    killed = subprocess.run([sys.executable, "-c", LEAVE, image, run], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert engine.containers(f"relay.run={run}")
    mine = {each.id for each in engine.containers(f"relay.run={run}")} | {run}
    assert mine <= set(reap(engine, is_alive=lambda owner: owner.run != run or is_alive(owner)))
    assert engine.containers(f"relay.run={run}") == () and engine.volumes(f"relay.run={run}") == ()


def test_what_lives_is_left_alone(engine: Engine, spec: MakeSpec) -> None:
    """A container of this process, and one whose labels say nothing."""
    nameless = {"relay.host": "", "relay.pid": "", "relay.run": "", "relay.kind": ""}
    with engine.start(spec()) as ours, engine.start(replace(spec(), labels=nameless)) as foreign:
        gone = reap(engine, is_alive=lambda owner: owner.pid == os.getpid() or is_alive(owner))
        assert ours.id not in gone and foreign.id not in gone


def test_a_later_process_of_the_same_number_is_another() -> None:
    """By start time and boot; a process of another host counts as alive."""
    mine = owner_labels()
    owner = Owner("r", mine["relay.host"], int(mine["relay.pid"]), mine["relay.start"])
    assert is_alive(owner)
    assert not is_alive(replace(owner, start=owner.start + "1"))
    assert is_alive(replace(owner, host="another-host", start="x"))
