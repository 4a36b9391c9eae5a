"""What a person sees of a run while it goes on: a table in a terminal, plain lines elsewhere, nothing that bites."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from rich.console import Console

from runner.report.board import Board
from runner.report.events import Event, event_of
from runner.report.live import shown, table
from runner.report.plain import plain_line
from tests.runner.git.support import make
from tests.runner.night import ESCAPES, MARKUP, PLAIN_FILES, RELAY, SHORT, Night, environment, short_replies

TURN = "t1-1.r2.1.code.implementer"
STORY = [
    event_of("planned", {"task": "t1", "changes": ["t1-1 First", f"t1-2 {MARKUP} {ESCAPES}\nmore"]}, 100.0),
    event_of("turn started", {"turn": TURN, "role": "implementer", "model": "google/gemini-3.5-flash"}, 100.0),
    event_of(
        "model replied",
        {"turn": TURN, "step": 7, "model": "google/gemini-3.5-flash", "tokens": 12345, "cost": "0.5"},
        110.0,
    ),
    event_of("model waits", {"turn": TURN, "seconds": 31.0, "why": f"slow down {ESCAPES}"}, 120.0),
]
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def screen(events: list[Event], width: int, now: float = 165.0, most: int = 20) -> list[str]:
    """The table as lines of a terminal of this width."""
    board = Board()
    for event in events:
        board.take(event)
    console = Console(file=io.StringIO(), width=width)
    console.print(table(shown(list(board.rows.values()), board.current, most), now, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_table_says_where_each_change_is_and_what_it_waits_for() -> None:
    """Change, stage, round, model, steps, tokens, money, elapsed time, and what goes on now."""
    head, first, second = screen(STORY, 160)
    assert head.split() == ["change", "stage", "round", "model", "steps", "tokens", "cost", "time", "now"]
    assert first.split()[:10] == [
        "t1-1",
        "code",
        "2",
        "google/gemini-3.5-flash",
        "7",
        "12.3k",
        "$0.50",
        "1",
        "min",
        "5",
    ]
    assert "waits 31.0 s: slow down" in first
    assert second.startswith("t1-2 ") and MARKUP[:20] in second


def test_an_unknown_price_is_unknown_and_what_is_over_says_how() -> None:
    """A cost that is null once stays unknown for that change; money is never 0 by mistake."""
    later = [
        event_of("model replied", {"turn": TURN, "step": 8, "model": "odd", "tokens": 1, "cost": None}, 130.0),
        event_of(
            "change ended", {"change": "t1-1", "outcome": "needs-human", "why": "it waits for your approval"}, 140.0
        ),
    ]
    _, first, _ = screen([*STORY, *later], 160)
    assert first.split()[:2] == ["t1-1", "needs-human"] and " unknown " in first
    assert "it waits for your approval" in first


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_a_narrow_terminal_leaves_out_what_is_missed_least(width: int) -> None:
    """Never a second line, never a number cut off; change and stage are always there."""
    lines = screen(STORY, width)
    assert len(lines) == 3 and all(len(line) <= width for line in lines)
    assert lines[0].split()[:2] == ["change", "stage"]
    for name, value in (
        ("cost", "$0.50"),
        ("tokens", "12.3k"),
        ("model", "google/gemini-3.5-flash"),
        ("now", "waits "),
    ):
        assert (name in lines[0].split()) == (value in lines[1])
    assert UNSAFE.findall("".join(lines)) == []


def test_many_changes_fit_by_leaving_out_the_first_that_are_over() -> None:
    """A night of forty changes does not push the one at work off the screen."""
    names = [f"t1-{number}" for number in range(1, 41)]
    story = [event_of("planned", {"task": "t1", "changes": [f"{name} x" for name in names]}, 1.0)]
    for name in names[:30]:
        story.append(event_of("change ended", {"change": name, "outcome": "landed"}, 2.0))
    lines = screen(story, 100, most=20)
    assert [line.split()[0] for line in lines[1:]] == names[20:]


@pytest.mark.parametrize("text", [ESCAPES, MARKUP, "x" * 10_000, "a\nb\r\nc", "\u202egpj.exe", "\ud800"])
def test_a_plain_line_is_one_line_whatever_is_in_it(text: str) -> None:
    """Escaped, folded, bounded: for every kind of event and every place in it."""
    for name in ("planned", "turn ended", "gate ended", "change ended", "notice", "setup", "waiting", "never heard of"):
        keys = dict.fromkeys(("change", "why", "text", "line", "gate", "role", "reason", "outcome", "end", text), text)
        line = plain_line(event_of(name, {**keys, "changes": [f"t1-1 {text}"]}, 0.0))
        assert "\n" not in line and UNSAFE.findall(line) == [] and len(line) < 700
        line.encode()


def test_in_a_terminal_a_run_shows_a_table_and_then_what_it_came_to(tmp_path: Path) -> None:
    """The real command on a terminal of 70 columns: only its own sequences reach it, the end is the digest."""
    make(tmp_path / "repo", PLAIN_FILES)
    (tmp_path / "pipeline.yaml").write_text(SHORT)
    (tmp_path / "replies.yaml").write_text(f"replies: {short_replies(t1_1='good')!r}\n".replace("'", '"'))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    process = subprocess.Popen(
        [str(RELAY), "pipeline", "run", str(tmp_path / "pipeline.yaml"), "--task", f"Do {MARKUP} {ESCAPES}"],
        cwd=tmp_path / "repo",
        env={**environment(tmp_path), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = read_all(ours).decode()
    assert process.wait(60) == 6
    assert "\x1b]0;" not in seen and "\x1b[31mred" not in seen and "\u202e" not in seen
    bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    rows = {line.split()[1] for line in bare.replace("\r", "\n").splitlines() if re.match(r"t1-1 +\S+ +1 ", line)}
    assert {"code", "tests", "needs-human"} & rows and "change  stage" in bare
    told = Night(tmp_path, 6, "", "").json("status")
    assert f"    relay approve {told['run']}/t1-1" in bare
    assert bare.rstrip().splitlines()[-1].endswith("report.html") or "report: " in bare


def read_all(terminal: int) -> bytes:
    """All that was written, until the last writer is gone."""
    seen = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux: EIO when nobody has the other side any more
            part = b""
        if not part:
            os.close(terminal)
            return seen
        seen += part
