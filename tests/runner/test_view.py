"""What every view reads: one object for a run, the same facts for each command, null where something is unknown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.runner.night import Night

RUN_KEYS = ["run", "outcome", "landing_branch", "target_moved", "bring_in", "cost_usd", "tasks"]
CHANGE_KEYS = ["id", "title", "outcome", "rounds", "branch", "head", "tree", "landed", "tokens", "cost_usd"]
ID = re.compile(r"[0-9a-f]{40}")
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def changes_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {change["id"]: change for task in told["tasks"] for change in task["changes"]}


def test_a_run_ends_with_exactly_one_object_on_standard_output(night: Night) -> None:
    """Field by field as documented; events and warnings are on standard error; exit code 6 while something waits."""
    told, end = json.JSONDecoder().raw_decode(night.stdout)
    assert night.stdout[end:] == "\n"
    assert list(told) == RUN_KEYS
    assert (night.code, told["outcome"]) == (6, "needs-human")
    assert (told["landing_branch"], told["target_moved"]) == (f"relay/{night.run}/landed", False)
    assert told["bring_in"] == f"relay land {night.run}"
    assert told["cost_usd"] is None  # the second reviewer's price is unknown
    assert [list(task) for task in told["tasks"]] == [["id", "title", "outcome", "changes"]] * 3
    assert [(task["id"], task["outcome"]) for task in told["tasks"]] == [
        ("power", "needs-human"),
        ("hard", "partial"),
        ("same", "nothing-to-do"),
    ]
    assert "the run is over: needs-human, cost unknown" in night.stderr


def test_each_change_says_how_it_ended_and_where_it_is(night: Night) -> None:
    """Ids resolve in the repository; what is unknown is null, and never 0."""
    changes = changes_of(night.told)
    assert all(list(change) == CHANGE_KEYS for change in changes.values())
    assert {name: (change["outcome"], change["rounds"]) for name, change in changes.items()} == {
        "power-1": ("landed", 1),
        "power-2": ("needs-human", 1),
        "hard-1": ("gave-up", 2),
        "hard-2": ("skipped", 0),
        "same-1": ("no-change", 1),
    }
    landed, waits, skipped = changes["power-1"], changes["power-2"], changes["hard-2"]
    assert landed["branch"] == f"refs/relay/runs/{night.run}/heads/power-1"
    assert waits["branch"] == f"relay/{night.run}/power-2"
    for change in (landed, waits, changes["hard-1"], changes["same-1"]):
        assert night.git("rev-parse", change["branch"]) == change["head"]
    assert night.git("rev-parse", f"{landed['landed']}^{{tree}}") == landed["tree"]
    assert night.git("cat-file", "-t", waits["tree"]) == "tree"
    assert [skipped[key] for key in ("branch", "head", "tree", "landed")] == [None] * 4
    assert landed["tokens"] == {"input": 1000, "output": 50, "cache_read": 0, "cache_write": 0}
    assert (landed["cost_usd"], changes["hard-1"]["cost_usd"]) == (None, 0.0)


def test_status_runs_and_show_tell_the_same_as_the_run_did(night: Night) -> None:
    """One read model: only what a command adds is different."""
    status = night.json("status")
    assert {key: status[key] for key in RUN_KEYS} == night.told
    assert list(status) == [*RUN_KEYS, "why", "now"] and status["now"] is None
    (listed,) = night.json("runs")["runs"]
    assert {key: listed[key] for key in RUN_KEYS} == night.told
    assert 0 < listed["ended_at"] - listed["started_at"] < 600
    for name, change in changes_of(night.told).items():
        shown = night.json("show", name)
        assert {key: shown[key] for key in CHANGE_KEYS} == change
        assert (shown["run"], f"{shown['task']}-") == (night.run, re.sub(r"\d+$", "", name))


@pytest.mark.parametrize(
    ("change", "kinds", "then"),
    [
        ("power-1", ["turn", "gate", "review", "review", "land", "close"], "relay land {run}"),
        ("power-2", ["turn", "gate", "review", "review", "close"], "relay approve {run}/power-2"),
        ("hard-1", ["turn", "gate", "turn", "gate", "close"], None),
        ("hard-2", [], None),
    ],
)
def test_show_has_the_whole_history_and_the_one_next_command(
    night: Night, change: str, kinds: list[str], then: str | None
) -> None:
    """Turns, verdicts, reviews in order, each with its key; a gate's record names the tests."""
    shown = night.json("show", f"{night.run}/{change}")
    assert [record["kind"] for record in shown["history"]] == kinds
    assert shown["next"] == (then.format(run=night.run) if then else None)
    for record in shown["history"]:
        if record["kind"] == "gate":
            assert ID.fullmatch(record["tree"]) and ID.fullmatch(record["landing"])
            assert len(record["tests"]["failing"]) == (2 if change == "hard-1" else 0)
        if record["kind"] == "review":
            assert (record["head"], record["tree"]) == (shown["head"], shown["tree"])


def test_diff_is_the_patch_from_the_landing_branch_to_what_lands(night: Night) -> None:
    """It applies to the one and gives the other; JSON names both."""
    told = night.json("diff", "power-1")
    assert list(told) == ["run", "change", "old", "new", "patch"]
    patch = night.git("diff-tree", "-p", "--full-index", "--binary", told["old"], told["new"])
    assert patch.strip() in told["patch"].strip() and "+def times(a, b):" in told["patch"]
    assert night.git("rev-parse", f"{changes_of(night.told)['power-1']['landed']}^") == told["old"]
    assert night.relay("diff", "power-1").stdout == told["patch"]
    none = night.json("diff", "hard-2")
    assert (none["old"], none["new"], none["patch"]) == (None, None, "")


def test_log_prints_every_event_as_a_line_or_as_an_object(night: Night) -> None:
    """The same number of each, in the order in which they happened, with the run's own words."""
    lines = night.relay("log").stdout.splitlines()
    objects = [json.loads(line) for line in night.relay("log", "--json").stdout.splitlines()]
    assert len(lines) == len(objects) > 40
    assert objects[0]["event"] == "run started" and objects[-1]["event"] == "run ended"
    assert all(one["run"] == night.run for one in objects)
    assert objects[-1]["cost_usd"] is None and lines[-1].endswith("the run is over: needs-human, cost unknown")
    assert len([line for line in lines if "waits" in line and "HTTP 429" in line]) == 1  # said once, of the change


VIEWS = (["status"], ["runs"], ["log"], ["cancel"], *(["show", change] for change in ("power-1", "power-2", "hard-1")))


def test_nothing_that_a_model_or_a_test_wrote_steers_a_terminal(night: Night, tmp_path: Path) -> None:
    """Titles, summaries, names and messages are escaped in every view; JSON is plain ASCII."""
    copy = night.copy(tmp_path)
    for words in VIEWS:
        text = copy.relay(*words).stdout
        assert UNSAFE.findall(text) == [], words
        assert max(len(line) for line in text.splitlines()) < 1_100, words
        assert copy.relay(*words, "--json").stdout.isascii()
    assert UNSAFE.findall(night.stderr) == [] and night.stdout.isascii()
    shown = copy.relay("show", "hard-1").stdout
    assert r"\x1b]0;owned\x07" in shown and r"\u202etxt.exe" in shown
    assert "failed  tests/test_divide.py::test_divide[<img src=x onerror=alert(1)>]" in shown


def test_what_is_not_there_is_named_with_what_is(night: Night, tmp_path: Path) -> None:
    """A run, a change, a log of another machine: exit code 2, never a traceback."""
    copy = night.copy(tmp_path)
    for words, said in (
        (["status", "r20200101-0000-aaaa"], f"there is no run 'r20200101-0000-aaaa'; the runs here: {night.run}"),
        (
            ["show", "t9-9"],
            f"run {night.run} has no change 't9-9'; its changes: power-1, power-2, hard-1, hard-2, same-1",
        ),
        (["diff", "../../x"], "there is no run '../..'"),
        (["report", "--output"], "requires an argument"),
    ):
        done = copy.relay(*words)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    (copy.repo / ".git" / "relay" / "runs" / night.run / "log.jsonl").unlink()
    gone = copy.relay("log")
    assert gone.returncode == 2 and f"its records are: relay status {night.run}" in gone.stderr
    (copy.repo / ".git" / "relay" / "runs" / night.run / "frozen.json").unlink()
    stuck = copy.relay("resume")
    assert stuck.returncode == 4 and "cannot go on here" in stuck.stderr
    assert copy.json("status")["outcome"] == "needs-human"
