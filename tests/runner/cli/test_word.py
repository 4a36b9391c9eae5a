"""The user's word: what is recorded, what it is bound to, and when it is refused."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from runner.lock import Holder, locked
from tests.runner.night import LIST, Night, relay


def decision(night: Night, change: str, number: int = 1) -> dict[str, Any]:
    """What the journal of a change holds of the user's word."""
    told: dict[str, Any] = json.loads(
        night.git("show", f"refs/relay/runs/{night.run}/changes/{change}:decision.{number}.json")
    )
    return told


def changes(told: dict[str, Any]) -> dict[str, str]:
    return {change["id"]: change["outcome"] for task in told["tasks"] for change in task["changes"]}


def test_an_approval_lands_exactly_what_was_seen_and_a_rejection_ends_the_rest(waiting: Night, tmp_path: Path) -> None:
    """Approve goes on in the foreground (6: something still waits); reject is final at once; then nothing waits."""
    night = waiting.copy(tmp_path)
    seen = night.json("show", "t1-1")
    done = night.relay("approve", f"{night.run}/t1-1", "--note", "fine", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], changes(told)) == (
        6,
        "needs-human",
        {"t1-1": "landed", "t2-1": "needs-human"},
    )
    said = decision(night, "t1-1")
    assert (said["decision"], said["head"], said["tree"], said["note"]) == (
        "approve",
        seen["head"],
        seen["tree"],
        "fine",
    )
    assert night.git("rev-parse", "main^{tree}") == seen["tree"]
    assert "Reviewed-by: you <you@relay.invalid>" in night.git("log", "-1", "--format=%(trailers:only)", "main")

    assert night.relay("reject", "t2-1", "--note", "not what I meant").returncode == 0
    status = night.json("status")
    assert (status["outcome"], changes(status)) == ("partial", {"t1-1": "landed", "t2-1": "rejected"})
    assert "rejected: not what I meant" in night.relay("status").stdout
    assert night.git("rev-parse", f"relay/{night.run}/t2-1") == seen_head(night, "t2-1")  # its branch stays
    for words in (("approve", "t2-1"), ("reject", "t2-1")):
        again = night.relay(*words)
        assert again.returncode == 2 and "was rejected, and that is final" in again.stderr
    resumed = night.relay("resume", "--json")
    assert resumed.returncode == 1 and json.loads(resumed.stdout) == {**status_of(status), "outcome": "partial"}


def seen_head(night: Night, change: str) -> str:
    return str(night.json("show", change)["head"])


def status_of(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in ("why", "now")}


def test_an_approval_does_not_count_for_a_candidate_that_moved_meanwhile(waiting: Night, tmp_path: Path) -> None:
    """The target moves under the same lines: the new candidate is tested, and waits for a word of its own."""
    night = waiting.copy(tmp_path)
    recorded = night.relay("approve", "t1-1", "--record-only", "--json")
    word = json.loads(recorded.stdout)
    assert list(word) == ["run", "change", "decision", "head", "tree", "acknowledged", "may_change", "allowed", "note"]
    assert (word["decision"], word["note"], changes(night.json("status"))["t1-1"]) == ("approve", None, "needs-human")
    assert night.json("show", "t1-1")["next"] == f"relay resume {night.run}"

    before = night.git("rev-parse", "main")
    night.git("switch", "-q", "main")
    (night.repo / "list.txt").write_text(LIST.replace("line 3", "the third"))  # near enough to be another patch
    night.git("commit", "-q", "-a", "-m", "my own work")
    night.git("switch", "-q", "other")
    resumed = night.relay("resume")
    assert resumed.returncode == 6
    shown = night.json("show", "t1-1")
    assert shown["outcome"] == "needs-human" and shown["tree"] != word["tree"]
    assert shown["next"] == f"relay approve {night.run}/t1-1"
    assert "your approval was of an earlier candidate" in resumed.stdout
    assert night.git("rev-parse", "main^") == before

    landed = night.relay("approve", "t1-1", "--json")
    assert changes(json.loads(landed.stdout))["t1-1"] == "landed"
    assert night.git("rev-parse", "main^{tree}") == shown["tree"]
    assert json.loads(landed.stdout)["target_moved"] is True


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("approve", "nothing-1"), 2, "has no change 'nothing-1'; its changes: power-1, power-2, hard-1, hard-2"),
        (("approve", "power-1"), 2, "power-1 has ended already: landed"),
        (("approve", "hard-1"), 2, "hard-1 has ended already: gave-up"),
        (("approve", "hard-2"), 2, "hard-2 has ended already: skipped"),
        (("reject", "power-1"), 2, "has landed already; undo it with git revert"),
        (("reject", "hard-2"), 2, "hard-2 has ended already: skipped"),
        (("approve", "r20200101-0000-aaaa/power-2"), 2, "there is no run 'r20200101-0000-aaaa'"),
        (("approve", "power-2", "--may-change", "!x"), 2, "--may-change"),
        (("approve", "power-2", "--may-change", "../x"), 2, "--may-change"),
        (("approve", "\x1b[31m/../power-2"), 2, "there is no run"),
    ],
)
def test_a_word_on_what_does_not_wait_is_refused_and_nothing_is_recorded(
    night: Night, words: tuple[str, ...], code: int, said: str
) -> None:
    """A sentence, exit code 2, the journals as they were."""
    before = night.git("for-each-ref", "refs/relay")
    done = night.relay(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "\x1b" not in done.stderr
    assert night.git("for-each-ref", "refs/relay") == before


def test_the_user_lets_a_file_through_that_their_own_tools_obey(night: Night, tmp_path: Path) -> None:
    """What an approval acknowledges and allows is printed, path by path, and recorded."""
    copy = night.copy(tmp_path)
    done = copy.relay("approve", "power-2", "--record-only")
    assert done.returncode == 0
    assert re.search(rf"{night.run}/power-2: approved, head [0-9a-f]{{12}}, tree [0-9a-f]{{12}}\n", done.stdout)
    assert "  acknowledged: Makefile\n" in done.stdout
    assert "  allowed for your own tools: Makefile\n" in done.stdout
    assert f"go on with: relay resume {night.run}\n" in done.stdout
    assert decision(copy, "power-2")["acknowledged"] == ["Makefile"]
    assert copy.json("show", "power-2")["next"] == f"relay resume {night.run}"


def test_while_a_run_works_a_word_is_only_recorded(waiting: Night, tmp_path: Path) -> None:
    """Who holds the repository is named; the word is there for the run to find. Clean and resume do not wait: 5."""
    night = waiting.copy(tmp_path)
    holder = Holder("r20260101-0000-abcd", os.getpid(), socket.gethostname(), 0.0)
    with locked(night.repo / ".git" / "relay" / "lock", holder):
        done = night.relay("approve", "t1-1")
        assert done.returncode == 0
        assert f"run r20260101-0000-abcd (pid {os.getpid()}) works on this repository" in done.stdout
        assert decision(night, "t1-1")["decision"] == "approve"
        for words in (["resume"], ["clean"], ["land"]):
            refused = night.relay(*words)
            assert refused.returncode == 5 and "r20260101-0000-abcd" in refused.stderr


def test_a_cancelled_run_keeps_what_it_landed_and_takes_no_further_word(night: Night, tmp_path: Path) -> None:
    """`relay cancel` is final; nothing waits any more but what landed; doing it again says so."""
    copy = night.copy(tmp_path)
    assert copy.json("cancel") == {"run": night.run, "outcome": "cancelled"}
    told = copy.json("status")
    assert changes(told)["power-1"] == "landed" and changes(told)["power-2"] == "cancelled"
    assert (told["outcome"], told["bring_in"]) == ("cancelled", f"relay land {night.run}")
    again = copy.relay("cancel")
    assert (again.returncode, again.stdout) == (0, f"{night.run} is cancelled; what it landed stays\n")
    for words in (["approve", "power-2"], ["reject", "power-2"]):
        refused = copy.relay(*words)
        assert refused.returncode == 2 and "has ended already: cancelled" in refused.stderr
    assert copy.relay("resume").returncode == 130


def test_clean_says_first_what_it_would_remove_and_never_removes_a_ref(waiting: Night, tmp_path: Path) -> None:
    """A dry run changes nothing; then just that goes. What a waiting run needs stays."""
    night = waiting.copy(tmp_path)
    runs = night.repo / ".git" / "relay" / "runs"
    left = runs / night.run / "turns" / "t9-1.r1.1.code.implementer"
    left.mkdir(parents=True)
    (left / "transcript.jsonl").write_text("{}\n")
    assert night.json("clean", "--dry-run")["removed"] == []  # the run waits: it may need it
    night.json("cancel")
    refs = night.git("for-each-ref")
    would = night.json("clean", "--dry-run", "--cache")
    assert would["dry_run"] is True and left.exists()
    assert str(left.parent) in would["removed"]
    assert set(would["removed"]) <= set(night.json("clean", "--cache")["removed"])
    assert not left.exists() and not (tmp_path / "cache" / "relay" / "bases").exists()
    assert night.git("for-each-ref") == refs
    assert relay(tmp_path, "status").returncode == 0
