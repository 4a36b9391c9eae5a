"""How a run may end: each outcome with its one object on standard output and its exit code."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runner.git.support import git, make
from tests.runner.models.fake_vendor import Answer, FakeVendor
from tests.runner.night import PLAIN_FILES, RELAY, SHORT, Night, environment, play, relay, reply, short_replies

RUN_KEYS = ["run", "outcome", "landing_branch", "target_moved", "bring_in", "cost_usd", "tasks"]
DIRECT = SHORT.replace("approve: human", "review: reviewer").replace(
    "roles:\n", "roles:\n  reviewer:    {model: scripted/replies.yaml}\n"
)


def one_object(night: Night, outcome: str, code: int) -> dict[str, Any]:
    """The object of a run that ended so; nothing else is on standard output."""
    told, end = json.JSONDecoder().raw_decode(night.stdout)
    assert (told["outcome"], night.code, night.stdout[end:]) == (outcome, code, "\n"), night.stderr
    assert list(told) == RUN_KEYS
    status = json.loads(relay(night.folder, "status", "--json").stdout)
    assert {key: status[key] for key in RUN_KEYS} == told
    (journal,) = [ref for ref in night.git("for-each-ref", "--format=%(refname)").splitlines() if "/journal" in ref]
    assert told["run"] in journal
    return dict(told)


def approves(change: str) -> dict[str, Any]:
    fine = {"decision": "approve", "summary": "Fine.", "comments": []}
    return reply("reviewer", 1, ("review", fine), change=change)


def test_one_lands_one_does_not_and_one_has_nothing_to_do(tmp_path: Path) -> None:
    """`partial`, 1, with each task's own outcome. A run that cannot begin is an error, 2, and no run."""
    replies = [*short_replies(t1_1="good\n", t2_1="bad\n"), approves("t1-1")]
    replies.append(reply("implementer", 1, ("done", {"summary": "Is so already."}), change="t3-1"))
    tasks = ("--task", "One", "--task", "Two", "--task", "Three")
    night = play(tmp_path, PLAIN_FILES, DIRECT, replies, *tasks)
    told = one_object(night, "partial", 1)
    assert [(task["id"], task["outcome"]) for task in told["tasks"]] == [
        ("t1", "landed"),
        ("t2", "partial"),
        ("t3", "nothing-to-do"),
    ]
    assert told["cost_usd"] == 0.0
    status = night.relay("status").stdout
    assert "gave-up: 1 round used; the last one:" in status
    none = night.relay("pipeline", "run", str(tmp_path / "pipeline.yaml"), "--json")
    assert (none.returncode, list(json.loads(none.stdout))) == (2, ["error", "exit_code"])
    assert len(night.json("runs")["runs"]) == 1


def test_nothing_to_do_is_no_failure(tmp_path: Path) -> None:
    """`nothing-to-do`, 0."""
    replies = [reply("implementer", 1, ("done", {"summary": "Is so already."}))]
    night = play(tmp_path, PLAIN_FILES, DIRECT, replies, "--task", "One")
    told = one_object(night, "nothing-to-do", 0)
    assert told["tasks"][0]["changes"][0]["outcome"] == "no-change"


def test_a_budget_that_is_reached_is_said_as_that(tmp_path: Path) -> None:
    """`budget`, 7: the run can go on with more; what the limit was is in the sentence."""
    pipeline = DIRECT.replace("{max-cost: 1.00}", "{max-tokens: 1k}")
    night = play(tmp_path, PLAIN_FILES, pipeline, short_replies(t1_1="good\n"), "--task", "One", "--task", "Two")
    told = one_object(night, "budget", 7)
    assert [task["outcome"] for task in told["tasks"]] == ["budget", None]
    assert told["tasks"][0]["changes"][0]["outcome"] == "budget"
    shown = night.relay("status").stdout
    assert f"relay resume {told['run']}" in shown and "the budget is reached" in shown


def test_a_target_that_is_red_is_broken_before_anything_is_asked(tmp_path: Path) -> None:
    """`broken`, 4: the reason names the gate's command; no task was begun, and what is not over is null."""
    night = play(tmp_path, {**PLAIN_FILES, "state.txt": "bad\n"}, DIRECT, [], "--task", "One")
    told = one_object(night, "broken", 4)
    assert told["tasks"] == [{"id": "t1", "title": "One", "outcome": None, "changes": []}]
    assert night.json("status")["why"].startswith("`sh check.sh` is red on the landing branch itself (status 1)")
    assert f"relay resume {told['run']}" in night.stderr


def test_a_provider_that_does_not_answer_is_broken_and_can_go_on(tmp_path: Path) -> None:
    """`broken`, 4, naming the reply that was looked for; the change is not over and says how to go on."""
    night = play(tmp_path, PLAIN_FILES, DIRECT, short_replies(t1_1="good\n"), "--task", "One")
    told = one_object(night, "broken", 4)
    change = told["tasks"][0]["changes"][0]
    assert (change["outcome"], change["rounds"], change["landed"]) == (None, 1, None)
    why = json.loads(relay(tmp_path, "status", "--json").stdout)["why"]
    assert "no scripted reply for" in why and "start another run" in why
    assert night.json("show", "t1-1")["next"] == f"relay resume {told['run']}"


@pytest.fixture
def working(tmp_path: Path) -> Callable[[], tuple[subprocess.Popen[str], FakeVendor]]:
    """Starts a run whose implementer waits for a model that never answers."""

    def start() -> tuple[subprocess.Popen[str], FakeVendor]:
        vendor = FakeVendor()
        asked = vendor.asked
        vendor.answer(Answer(b": still thinking\n\n", hang=True))
        model = f"{{model: openai-compatible/slow, base-url: '{vendor.url}/v1'}}"
        make(tmp_path / "repo", PLAIN_FILES)
        pipeline = DIRECT.replace("implementer: {model: scripted/replies.yaml}", f"implementer: {model}")
        (tmp_path / "pipeline.yaml").write_text(pipeline.replace("budget: {max-cost: 1.00}\n", ""))
        (tmp_path / "replies.yaml").write_text("replies: []\n")
        process = subprocess.Popen(
            [str(RELAY), "pipeline", "run", str(tmp_path / "pipeline.yaml"), "--task", "One", "--json"],
            cwd=tmp_path / "repo",
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert asked.wait(120)
        return process, vendor

    return start


@pytest.mark.parametrize("by", ["interrupted", "cancelled"])
def test_a_run_at_work_is_seen_followed_and_stopped(
    tmp_path: Path, working: Callable[[], tuple[subprocess.Popen[str], FakeVendor]], by: str
) -> None:
    """`status` says what goes on; `log -f` ends with the run; Ctrl-C can be resumed, `relay cancel` is final: 130."""
    process, vendor = working()
    try:
        status = json.loads(relay(tmp_path, "status", "--json").stdout)
        assert (status["outcome"], status["now"]["change"], status["now"]["stage"]) == ("running", "t1-1", "code")
        assert "Now: t1-1: code, round 1, implementer (openai-compatible/slow)" in relay(tmp_path, "status").stdout
        assert relay(tmp_path, "resume").returncode == 5
        follower = subprocess.Popen(
            [str(RELAY), "log", "-f"],
            cwd=tmp_path / "repo",
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert follower.stdout is not None and "the run begins" in follower.stdout.readline()
        if by == "cancelled":
            assert json.loads(relay(tmp_path, "cancel", "--json").stdout)["outcome"] == "cancelled"
        else:
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        rest, _ = follower.communicate(timeout=60)
    finally:
        vendor.close()
        process.kill()
    assert f"the run is over: {by}" in rest.splitlines()[-1] and follower.returncode == 0
    told = one_object(Night(tmp_path, process.returncode, stdout, stderr), by, 130)
    ended = "cancelled" if by == "cancelled" else None
    assert [change["outcome"] for change in told["tasks"][0]["changes"]] == [ended]
    assert not (tmp_path / "repo" / ".git" / "relay" / "runs" / told["run"] / "cancel").exists()
    with_owner = git(tmp_path / "repo", "for-each-ref", "--format=%(refname)", "refs/heads/relay")
    assert with_owner == f"refs/heads/relay/{told['run']}/t1-1"
    assert (tmp_path / "repo" / ".git" / "relay" / "lock").read_bytes() == b""
