"""The engine: checkpoints that survive kill -9, and stages that are never recorded when they fail."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from pipelines.pipeline import Pipeline, SandboxPolicy, Stage, Task
    from runner.deaths import Deaths, DiedAgain
    from runner.engine import EngineBroken, Session, execute
    from runner.flow import Answered, Implemented, Judged, Landed, Planned, PlannedChange, run_change

    state, die_at, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

    def note(name):
        with open(state / "calls", "a") as file:
            print(name, file=file)
        if name == die_at:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConnectionError("the engine went away")

    STAGES = tuple(Stage(v, v, ()) for v in ("plan", "implement", "test", "review", "merge"))
    PIPELINE = Pipeline("p", "main", {}, SandboxPolicy(), {}, STAGES, (Task("t1", "do it"),))

    class Do:
        def begin(self): note("begin"); return Judged("passed")
        def landed_before(self, task): note("landed_before"); return None
        def plan(self, task): note("plan"); return Planned((PlannedChange("t1-1", "a"), PlannedChange("t1-2", "b")))
        def implement(self, at): note(f"implement {at.change} {at.round}"); return Implemented("done", "h")
        def gate(self, at):
            note(f"gate {at.change} {at.round}")
            return Judged("failed", "red") if at.round == 1 else Judged("passed")
        def permit(self, at): raise AssertionError
        def review(self, at): note(f"review {at.change} {at.round}"); return Answered("yes")
        def approve(self, at): raise AssertionError
        def land(self, at): note(f"land {at.change}"); return Landed("landed", "c")
        def close(self, result, at): note(f"close {result.id}")
        def change(self, change, task): raise AssertionError

    try:
        come = lambda: (state / "come").stat().st_size if (state / "come").exists() else 0
        deaths = Deaths(state / "deaths.jsonl", come)
        result = execute(Session("r1.1", Do(), PIPELINE, deaths), state)
        print(result.outcome, [c.outcome for t in result.tasks for c in t.changes])
        sys.stdout.flush()
        os._exit(0)
    except (ConnectionError, DiedAgain, EngineBroken) as error:
        print("raised", error)
        sys.stdout.flush()
        os._exit(4)
    """
)
CALLS = ["begin", "landed_before", "plan"] + [
    f"{verb} {change}{suffix}"
    for change in ("t1-1", "t1-2")
    for verb, suffix in [
        ("implement", " 1"),
        ("gate", " 1"),
        ("implement", " 2"),
        ("gate", " 2"),
        ("review", " 2"),
        ("land", ""),
        ("close", ""),
    ]
]


def _run(state: Path, die_at: str = "-", how: str = "kill") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(state), die_at, how],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def _calls(state: Path) -> list[str]:
    return (state / "calls").read_text().splitlines()


def test_a_run_calls_every_stage_once_in_order(tmp_path: Path) -> None:
    """Nothing but the flow decides the order."""
    ran = _run(tmp_path)
    assert ran.stdout == "landed ['landed', 'landed']\n", ran.stderr
    assert _calls(tmp_path) == CALLS


def test_after_a_kill_only_the_stage_in_flight_is_called_again(tmp_path: Path) -> None:
    """The next process repeats the killed stage and nothing before it, in the parent as in a change."""
    for stage in ("plan", "gate t1-1 2", "land t1-2"):
        number = CALLS.index(stage)
        state = tmp_path / str(number)
        state.mkdir()
        assert _run(state, stage).returncode == -signal.SIGKILL
        ran = _run(state)
        assert ran.stdout == "landed ['landed', 'landed']\n", ran.stderr
        assert _calls(state) == CALLS[: number + 1] + CALLS[number:]


def test_a_stage_that_raises_is_not_recorded_and_is_called_again(tmp_path: Path) -> None:
    """A dead engine is machinery: the run stops there and goes on there."""
    ran = _run(tmp_path, "gate t1-2 1", "raise")
    assert (ran.returncode, ran.stdout) == (4, "raised the engine went away\n")
    assert _run(tmp_path).stdout == "landed ['landed', 'landed']\n"
    index = CALLS.index("gate t1-2 1")
    assert _calls(tmp_path) == CALLS[: index + 1] + CALLS[index:]


def test_a_finished_session_gives_its_result_again(tmp_path: Path) -> None:
    """Executing a session that ended calls nothing."""
    _run(tmp_path)
    assert _run(tmp_path).stdout == "landed ['landed', 'landed']\n"
    assert _calls(tmp_path) == CALLS


def test_a_checkpoint_in_which_the_process_dies_three_times_is_named(tmp_path: Path) -> None:
    """Not before, and not when something was reached in between; whoever goes on knowingly begins a new session."""
    for _ in range(2):
        assert _run(tmp_path, "gate t1-1 2").returncode == -signal.SIGKILL
    (tmp_path / "come").write_text("a reply")
    for _ in range(3):
        assert _run(tmp_path, "gate t1-1 2").returncode == -signal.SIGKILL
    ran = _run(tmp_path)
    assert (ran.returncode, ran.stdout.startswith("raised relay died 3 times in `gate t1-1 r2.1 test`")) == (4, True)
    (tmp_path / "come").write_text("another reply")
    assert _run(tmp_path).stdout == "landed ['landed', 'landed']\n"


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_a_lost_database_costs_nothing_but_calls_of_stages(tmp_path: Path, lost: str) -> None:
    """Stages are safe to repeat. A damaged file is named, with what to do."""
    assert _run(tmp_path, "review t1-2 2").returncode == -signal.SIGKILL
    database = tmp_path / "engine.sqlite"
    if lost == "damaged":
        for path in tmp_path.glob("engine.sqlite*"):
            path.write_bytes(b"no database" * 1000)
        ran = _run(tmp_path)
        assert (ran.returncode, str(database) in ran.stdout) == (4, True), ran.stderr
    database.unlink()  # and not what belongs to it
    assert _run(tmp_path).stdout == "landed ['landed', 'landed']\n"


def test_a_workflow_that_the_database_gave_up_is_begun_anew(tmp_path: Path) -> None:
    """As after a full disk: its id is used up, the run is not."""
    assert _run(tmp_path, "review t1-2 2").returncode == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / "engine.sqlite")) as database, database:
        assert database.execute("UPDATE workflow_status SET status = 'ERROR'").rowcount == 3
    assert _run(tmp_path).stdout == "landed ['landed', 'landed']\n"
