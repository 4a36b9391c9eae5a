"""A turn that is killed at any moment goes on where it was: nothing lost, nothing done twice, no reply paid again."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.models.base import ModelError, Reply, ToolCall
from tests.runner.agent.play import DONE, Killed, Player, Table, says

ROOT = Path(__file__).parents[3]
EDIT = {"path": "a.py", "old": "x = 1\n", "new": "x = 1\ny = 2\n"}  # `new` holds `old`: doing it twice would show

SCRIPT: list[Reply | BaseException] = [
    says(("write", {"path": "a.py", "content": "x = 1\n"}), ("edit", EDIT)),
    says(text="Let me think."),
    says(("bash", {"command": "cat a.py"}), ("edit", {"path": "a.py", "old": "y = 2\n", "new": ""})),
    says(("bash", {"command": "wc -l < a.py"}), DONE),
]


def play_through_kills(table: Table, player: Player, at: int, *, where: str) -> int:
    """Play with one kill at the given point, then to the end; how many sessions it took."""
    if where == "event":
        table.kill_at_event = at
    else:
        table.kill_after = at
    try:
        table.play()
    except Killed:
        table.kill_at_event = table.kill_after = -1
        result = table.play()
        assert (result.end, result.steps) == ("done", 4)
        return 2
    return 1


@pytest.mark.parametrize("where", ["event", "operation"])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_kill_at_any_point_changes_nothing_of_the_end(tmp_path: Path, at: int, where: str) -> None:
    """Killed after any record, or in a tool between its effect and its record, the turn ends as without the kill."""
    player = Player(SCRIPT)
    table = Table(tmp_path, [player])
    play_through_kills(table, player, at, where=where)
    assert (table.work / "a.py").read_text() == "x = 1\n"
    assert len(player.seen) == 4
    account = table.play()  # an ended turn gives its result again
    assert (account.end, account.tokens.total, account.at_most) == ("done", 440, False)
    assert len(player.seen) == 4


def test_an_interrupted_command_is_run_again_and_says_so(tmp_path: Path) -> None:
    """A model can tell why a command that was not meant to run twice shows what it shows."""
    player = Player([says(("bash", {"command": "echo once >> log; cat log"}), ("bash", {"command": "ls"})), says(DONE)])
    table = Table(tmp_path, [player], kill_after=1)
    with pytest.raises(Killed):
        table.play()
    table.kill_after = -1
    table.play()
    results = [result.text for entry in player.seen[-1] for result in entry.results]
    assert results == [
        "(run again after an interruption)\nonce\nonce\n[exit status 0]",
        "log\n[exit status 0]",
    ]


def test_an_edit_that_was_done_counts_as_applied(tmp_path: Path) -> None:
    """`old` is gone and `new` is there: the edit happened before the kill."""
    player = Player([says(("edit", {"path": "a", "old": "cat", "new": "dog"})), says(DONE)])
    table = Table(tmp_path, [player], kill_after=1)
    (table.work / "a").write_text("the cat\n")
    with pytest.raises(Killed):
        table.play()
    table.kill_after = -1
    assert table.play().end == "done"
    assert (table.work / "a").read_text() == "the dog\n"
    assert "already done" in player.seen[-1][-1].results[0].text


def test_a_line_that_was_being_written_is_forgotten(tmp_path: Path) -> None:
    """A kill in the middle of a write leaves half a line: the reply in it is asked for again."""
    player = Player(SCRIPT)
    table = Table(tmp_path, [player], kill_at_event=5)
    with pytest.raises(Killed):
        table.play()
    whole = table.transcript.read_bytes()
    for cut in (1, 20, 200):
        table.transcript.write_bytes(whole[:-cut])
        again = Table(tmp_path / str(cut), [Player(SCRIPT)])
        again.transcript.parent.mkdir(parents=True)
        again.transcript.write_bytes(whole[:-cut])
        (again.work / "a.py").write_text("x = 1\ny = 2\n")
        assert again.play().end == "done"


def test_the_history_after_a_resume_is_the_one_before(tmp_path: Path) -> None:
    """The vendor's own words are played back verbatim, so its caches and signatures hold."""
    strange = replace(
        says(("bash", {"command": "printf '\\033[31m'"}), text="é\u2028"),
        wire={"z": [1, 2.5, None, {"signature": "AAA="}], "a": "\u0000"},
        thinking="hm",
    )
    player = Player([strange, ModelError("network", "down"), says(DONE)])
    table = Table(tmp_path, [player])
    assert table.play().end == "provider"
    before = player.seen[-1]
    player.answers = [strange, says(DONE)]
    assert table.play().end == "done"
    assert player.seen[-1] == before


def test_a_switch_to_a_fallback_survives_a_kill(tmp_path: Path) -> None:
    """A model that has no quota is not asked again in the same turn."""
    first = Player([ModelError("quota", "no more", status=429)])
    second = Player([says(("bash", {"command": "true"}), model="test/two"), says(DONE, model="test/two")], "test/two")
    table = Table(tmp_path, [first, second], kill_at_event=4)
    with pytest.raises(Killed):
        table.play()
    assert table.play().end == "done"
    assert (len(first.seen), len(second.seen)) == (1, 2)


def test_the_time_before_a_kill_counts(tmp_path: Path) -> None:
    """A resume does not give a turn its time again."""
    table = Table(tmp_path, [], turn={"timeout": 1000.0})

    def slow() -> Reply:
        table.clock[0] += 400
        return says(("bash", {"command": "true"}))

    table.models = [Player([slow])]
    table.kill_at_event = 5
    with pytest.raises(Killed):
        table.play()
    result = table.play()
    assert (result.end, result.steps) == ("timeout", 3)


def test_arguments_that_json_cannot_hold_do_not_end_a_turn(tmp_path: Path) -> None:
    """Huge numbers and half surrogates are written down somehow, and the turn goes on."""
    odd = Reply("\udc80", (ToolCall("c", "read", {"path": "a", "start": 10**30}),), "tools", "", None, [10**30], "m")
    table = Table(tmp_path, [Player([odd, says(DONE)])])
    assert table.play().end == "done"
    assert Table(tmp_path, [Player([])]).play().end == "done"


@pytest.mark.parametrize("at", [2, 4, 7])
def test_a_process_that_is_killed_leaves_what_the_next_one_needs(tmp_path: Path, at: int) -> None:
    """The same with a real kill -9 of a real process, in the middle of a turn."""
    child = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.runner.agent.play import Player, Table\n"
        "from tests.runner.agent.test_resume import SCRIPT\n"
        "class Doomed(Table):\n"
        "    def _emit(self, event, /, **keys):\n"
        "        super()._emit(event, **keys)\n"
        f"        if len(self.events) == {at}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Doomed(Path(sys.argv[1]), [Player(SCRIPT)]).play()\n"
    )
    done = subprocess.run([sys.executable, "-c", child, str(tmp_path)], cwd=ROOT, check=False, env={"PYTHONPATH": "."})
    assert done.returncode == -signal.SIGKILL
    player = Player(SCRIPT)
    table = Table(tmp_path, [player])
    replied = table.transcript.read_bytes().count(b'"kind":"reply"')
    result = table.play()
    assert (result.end, result.steps, result.tokens.total) == ("done", 4, 440)
    assert len(player.seen) == 4 - replied
    assert (table.work / "a.py").read_text() == "x = 1\n"
