"""The tools that touch files and run commands, against a workspace on this machine."""

import threading
from pathlib import Path
from typing import Any

import pytest

from runner.agent.workbench import Outcome, Workbench
from sandbox.base import ExecResult, SandboxError
from tests.runner.agent.play import LocalSandbox


def run(root: Path, tool: str, limit: int = 32_000, **args: Any) -> Outcome:
    bench = Workbench(lambda: LocalSandbox(root))
    outcome = bench.run(tool, args, seconds=60, limit=limit)
    bench.close()
    return outcome


def test_read_shows_lines_with_their_numbers(tmp_path: Path) -> None:
    """Both ends of a range belong to it."""
    (tmp_path / "a").write_text("one\ntwo\nthree\n")
    assert run(tmp_path, "read", path="a").text == "1\tone\n2\ttwo\n3\tthree"
    assert run(tmp_path, "read", path="/work/a", start=2, end=2).text == "2\ttwo"
    assert run(tmp_path, "read", path="./x/../a", start=3, end=99).text == "3\tthree"
    assert run(tmp_path, "read", path="a").opened == "a"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"path": "a", "start": 9}, "a has 3 lines, so there is no line 9"),
        ({"path": "a", "start": 3, "end": 2}, "end 2 lies before start 3"),
        ({"path": "none"}, "No such file"),
        ({"path": "/etc/passwd"}, "/etc/passwd is not a file below /work; for other places use bash"),
        ({"path": "/workshop/a"}, "is not a file below /work"),
        ({"path": "."}, "is not a file below /work"),
    ],
)
def test_what_cannot_be_read_is_explained(tmp_path: Path, args: dict[str, Any], told: str) -> None:
    """An error for the model, never an exception."""
    (tmp_path / "a").write_text("1\n2\n3\n")
    outcome = run(tmp_path, "read", **args)
    assert (outcome.is_error, outcome.opened) == (True, "")
    assert told in outcome.text


def test_a_long_file_tells_where_to_read_on(tmp_path: Path) -> None:
    """The model can go on without guessing."""
    (tmp_path / "a").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    text = run(tmp_path, "read", limit=2_000, path="a").text
    last, note = text.rsplit("\n", 1)
    start = int(last.rsplit("\n", 1)[1].split("\t")[0]) + 1
    assert note == f"[lines {start} to 1000 left out: read on with start={start}]"
    assert len(text) < 2_200


def test_strange_files_are_shown_for_what_they_are(tmp_path: Path) -> None:
    """Empty, binary, CR LF, no last newline, one huge line."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "windows").write_bytes(b"a\r\nb\r\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "wide").write_text("x" * 100_000)
    assert run(tmp_path, "read", path="empty").text == "[empty is empty]"
    assert "binary file, 6 bytes" in run(tmp_path, "read", path="binary").text
    assert run(tmp_path, "read", path="windows").text == "1\ta\n2\tb\n[its lines end in CR LF]"
    assert run(tmp_path, "read", path="latin").text == "1\tcaf\\xe9"
    assert "98000 bytes left out" in run(tmp_path, "read", path="wide").text


def test_an_edit_keeps_bytes_that_are_no_text(tmp_path: Path) -> None:
    """What it does not touch stays, whatever it is."""
    (tmp_path / "a").write_bytes(b"caf\xe9\r\nold\r\n")
    assert run(tmp_path, "edit", path="a", old="old", new="new").text == "edited a at line 2"
    assert (tmp_path / "a").read_bytes() == b"caf\xe9\r\nnew\r\n"


def test_write_makes_directories_and_says_how_much(tmp_path: Path) -> None:
    """The count is of bytes."""
    assert run(tmp_path, "write", path="src/deep/a.txt", content="é").text == "wrote src/deep/a.txt: 2 bytes"
    assert run(tmp_path, "write", path="a", content="x" * (4 * 1024**2 + 1)).is_error


def test_a_command_shows_its_output_and_how_it_ended(tmp_path: Path) -> None:
    """A failing command is an answer and no error of the tool."""
    outcome = run(tmp_path, "bash", command="echo out; echo err >&2; exit 3")
    assert (outcome.text, outcome.is_error) == ("out\nerr\n[exit status 3]", False)
    assert run(tmp_path, "bash", command="true").text == "[exit status 0]"
    assert run(tmp_path, "bash", command="printf x").text == "x\n[exit status 0]"
    assert run(tmp_path, "bash", command="a\0b").is_error


def test_a_time_limit_is_told_and_never_beyond_the_turn(tmp_path: Path) -> None:
    """The command gets what it asked for, or what the turn has left."""
    asked: list[float] = []

    class Slow(LocalSandbox):
        def exec(self, command: str, *, timeout: float) -> ExecResult:
            asked.append(timeout)
            return ExecResult(124, b"partly", 70, True, timeout)

    bench = Workbench(lambda: Slow(tmp_path))
    text = bench.run("bash", {"command": "x", "timeout_s": 900}, seconds=50, limit=1000).text
    bench.run("bash", {"command": "x", "timeout_s": 9}, seconds=50, limit=1000)
    bench.run("bash", {"command": "x"}, seconds=500, limit=1000)
    bench.close()
    assert asked == [50, 9, 120]
    assert "[... 70 bytes left out ...]" in text and text.endswith("[ended by the time limit of 50 s]")


def test_a_bench_that_is_closed_leaves_no_sandbox_behind(tmp_path: Path) -> None:
    """A sandbox that was being started when the turn ended is closed at once."""
    started: list[LocalSandbox] = []

    def late() -> LocalSandbox:
        bench.close()
        started.append(LocalSandbox(tmp_path))
        return started[0]

    bench = Workbench(late)
    with pytest.raises(SandboxError):
        bench.run("bash", {"command": "true"}, seconds=1, limit=1000)
    assert started[0].closed == 1


def test_the_sandbox_starts_while_the_model_thinks(tmp_path: Path) -> None:
    """Once for the turn, whoever is first; and it is closed although no call ever needed it."""
    (tmp_path / "a").write_text("one\n")
    started: list[LocalSandbox] = []
    begun, closed = threading.Event(), threading.Event()

    class Seen(LocalSandbox):
        def close(self) -> None:
            closed.set()

    def sandbox_for() -> LocalSandbox:
        started.append(Seen(tmp_path))
        begun.set()
        return started[-1]

    bench = Workbench(sandbox_for)
    bench.ahead()
    assert begun.wait(60) and not closed.is_set()
    bench.ahead()
    assert bench.run("read", {"path": "a"}, seconds=60, limit=1000).text == "1\tone"
    assert len(started) == 1
    bench.close()
    assert closed.is_set()
    idle = Workbench(sandbox_for)
    closed.clear()
    idle.ahead()
    idle.close()
    assert closed.is_set() and len(started) == 2


def test_a_start_ahead_that_fails_is_the_first_calls_to_tell(tmp_path: Path) -> None:
    """A turn that never calls a tool does not die of it; one that does tries again."""
    answers = iter([SandboxError("down"), LocalSandbox(tmp_path), SandboxError("down"), SandboxError("still down")])

    def sandbox_for() -> LocalSandbox:
        answer = next(answers)
        if isinstance(answer, SandboxError):
            raise answer
        return answer

    bench = Workbench(sandbox_for)
    bench.ahead()
    assert bench.run("bash", {"command": "echo hi"}, seconds=60, limit=1000).text.startswith("hi")
    bench.close()
    bench = Workbench(sandbox_for)
    bench.ahead()
    with pytest.raises(SandboxError, match="still down"):
        bench.run("bash", {"command": "echo hi"}, seconds=60, limit=1000)
    bench.close()
