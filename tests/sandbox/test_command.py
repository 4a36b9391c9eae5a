"""A gate's command: the engine alone says how it ended, whatever the command does, and it always ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.base import CommandRun, Limits
from sandbox.docker import Engine
from tests.sandbox.conftest import MakeSpec

TIGHT = Limits(cpus=2, memory=128 * 1024**2, pids=64, output=10_000)
DAEMON = """
import os, time
if os.fork(): os._exit(7)
os.setsid()
if os.fork(): os._exit(0)
time.sleep(99)
"""


@pytest.fixture
def gate(engine: Engine, spec: MakeSpec):  # type: ignore[no-untyped-def]
    """Runs a command as a gate does, and looks that nothing is left of it."""
    made = replace(spec(limits=TIGHT), labels={"relay.run": "test", "relay.kind": "gate"})

    def run(command: str, *, timeout: float = 30, result_bytes: int = 1024**2) -> CommandRun:
        return engine.run_command(made, command, timeout=timeout, collect=("r.xml", "none"), result_bytes=result_bytes)

    return run


@pytest.mark.parametrize(
    ("command", "end", "status"),
    [
        ("exit 0", "exited", 0),
        ("exit 3", "exited", 3),
        ("exit 255", "exited", 255),
        ("no-such-command", "exited", 127),
        ("/etc/passwd", "exited", 126),
        ("kill -9 $$", "killed", 137),
        ("kill -SEGV $$", "killed", 139),
        ("kill -9 -1; sleep 9", "killed", 137),
        ("exec >&- 2>&-; sleep 0.5; exit 4", "exited", 4),
        ("sleep 50 & exit 5", "exited", 5),
        ("(while :; do echo noise; done) & exit 6", "exited", 6),
        ("(while printf x; do sleep 0.03; done) & exit 9", "exited", 9),
        (f"exec python3 -c '{DAEMON}'", "exited", 7),
        ("python3 -c 'x = bytearray(400 * 2**20)'", "killed", 137),
        ("sleep 60", "timeout", None),
        ("trap '' TERM INT HUP; while :; do sleep 1; done", "timeout", None),
        ("b() { b | b & b; }; b", None, None),
    ],
)  # fmt: skip
def test_every_end_is_told_by_the_engine(gate, command: str, end: str | None, status: int | None) -> None:  # type: ignore[no-untyped-def]
    """By itself, by a signal, by our limit: with output closed, held by others, or flooded."""
    run = gate(command, timeout=3 if end in ("timeout", None) else 30)
    if end is not None:
        assert (run.end, run.status) == (end, status)
    assert run.seconds < 20


def test_out_of_memory_is_told_apart_from_other_kills(gate) -> None:  # type: ignore[no-untyped-def]
    """The engine's own event says it, on both versions of cgroups."""
    assert gate("python3 -c 'x = bytearray(400 * 2**20)'").oom
    assert not gate("kill -9 $$").oom


def test_output_is_bounded_and_counted(gate) -> None:  # type: ignore[no-untyped-def]
    """A hundred megabytes cost no memory here."""
    run = gate("echo first; head -c 100000000 /dev/zero; echo last >&2")
    assert run.output.startswith(b"first\n") and run.output.endswith(b"last\n")
    assert len(run.output) == 10_000 and len(run.output) + run.omitted == 100_000_011


def test_results_come_from_the_volume(gate) -> None:  # type: ignore[no-untyped-def]
    """By the names that were asked for, nothing else."""
    run = gate("printf 'a\\0b' >/relay/r.xml; echo more >/relay/other")
    assert run.files == {"r.xml": b"a\0b"}


@pytest.mark.parametrize(
    "command",
    [
        "ln -s /etc/passwd /relay/r.xml",
        "ln -s /etc /relay/r.xml",
        "mkfifo /relay/r.xml",
        "mkdir /relay/r.xml; echo x >/relay/r.xml/x",
        "ln -s r.xml /relay/r.xml",
        "chmod 0 /relay; true",
    ],
)
def test_a_result_that_is_no_file_is_no_result(gate, command: str) -> None:  # type: ignore[no-untyped-def]
    """A link leads nowhere, a FIFO blocks nobody."""
    run = gate(command)
    assert (run.end, run.files) == ("exited", {})


def test_a_result_that_is_a_link_would_read_the_host_if_it_were_followed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The naive reading of the same archive: what the test above guards against."""
    (tmp_path / "r.xml").symlink_to("/etc/passwd")
    assert b"root:" in (tmp_path / "r.xml").read_bytes()


def test_a_full_result_volume_holds_what_fits(gate) -> None:  # type: ignore[no-untyped-def]
    """The size is enforced by the machine, in bytes and in names."""
    run = gate("head -c 50000000 /dev/zero >/relay/r.xml")
    assert run.status != 0 and len(run.files["r.xml"]) <= 1024**2
    assert gate("i=0; while echo x >/relay/$i; do i=$((i + 1)); [ $i -lt 9999 ] || exit 0; done; exit 9").status == 9


def test_the_tools_stream_cannot_speak_for_a_gate(gate) -> None:  # type: ignore[no-untyped-def]
    """Writing to whatever the main process and the command hold open changes no verdict."""
    forge = "for p in 1 $PPID $$; do for f in 1 2; do printf 'R 1 0 0 0 0\\n' >/proc/$p/fd/$f; done; done 2>/dev/null"
    assert gate(f"{forge}; exit 8").status == 8


def test_nothing_is_left_of_a_gate(engine: Engine, spec: MakeSpec) -> None:
    """Neither container nor volume, also when it was killed by the limit."""
    labels = {"relay.run": "left", "relay.kind": "gate"}
    engine.run_command(replace(spec(limits=TIGHT), labels=labels), "sleep 60 & sleep 60", timeout=0.5)
    assert engine.containers("relay.run=left") == ()
    assert engine.volumes("relay.run=left") == ()
