"""What a run leaves in git: refs, trailers, notes, journals; readable by plain git, and never holding a key."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from runner.git import notes
from runner.git.journal import Journal
from tests.runner.git.support import opened
from tests.runner.night import KNOWN, PIPELINE, SHAPED, Night

IMPLEMENTER = "implementer (scripted/replies.yaml) <implementer@relay.invalid>"


def trailers(night: Night, commit: str) -> list[str]:
    return night.git("log", "-1", "--format=%(trailers:only)", commit).splitlines()


def test_every_ref_is_where_the_documentation_says(night: Night) -> None:
    """Among the user's branches only what waits for somebody; everything else below refs/relay."""
    refs = night.git("for-each-ref", "--format=%(refname)").splitlines()
    run = f"refs/relay/runs/{night.run}"
    assert refs == [
        "refs/heads/main",
        f"refs/heads/relay/{night.run}/hard-1",
        f"refs/heads/relay/{night.run}/landed",
        f"refs/heads/relay/{night.run}/power-2",
        "refs/notes/relay/gate",
        f"{run}/candidates/power-1",
        *(f"{run}/changes/{change}" for change in ("hard-1", "power-1", "power-2", "same-1")),
        f"{run}/heads/power-1",
        f"{run}/heads/same-1",
        f"{run}/journal",
    ]
    assert night.git("rev-parse", f"{run}/candidates/power-1") == night.git("rev-parse", f"relay/{night.run}/landed")


def test_the_first_commit_of_a_change_is_its_spec_with_an_empty_diff(night: Night) -> None:
    """The planner's, on the landing branch as it was; the turns stand on it."""
    spec, turn = night.git("rev-list", "--reverse", f"main..refs/relay/runs/{night.run}/heads/power-1").splitlines()
    assert night.git("diff-tree", "-r", f"{spec}^", spec) == ""
    assert night.git("rev-parse", f"{spec}^") == night.git("rev-parse", "main")
    assert night.git("log", "-1", "--format=%an <%ae>|%cn <%ce>|%s", spec) == (
        "architect (scripted/replies.yaml) <architect@relay.invalid>|relay <relay@relay.invalid>|Multiply"
    )
    assert f"Relay-Run: {night.run}" in trailers(night, spec)
    assert "`times(a, b)`." in night.git("log", "-1", "--format=%B", spec)
    assert trailers(night, turn) == [
        f"Relay-Run: {night.run}",
        "Relay-Task: power",
        "Relay-Change: power-1",
        "Relay-Round: 1",
        "Relay-Role: implementer",
        "Relay-Model: scripted/replies.yaml",
    ]
    assert night.git("log", "-1", "--format=%an <%ae>", turn) == IMPLEMENTER


def test_the_landed_commit_names_who_made_reviewed_and_tested_it(night: Night) -> None:
    """Exactly the tested tree on exactly the tested parent; trailers and nothing that a model could add to them."""
    landed = f"relay/{night.run}/landed"
    tree = night.git("rev-parse", f"{landed}^{{tree}}")
    assert trailers(night, landed) == [
        f"Relay-Run: {night.run}",
        "Relay-Task: power",
        "Relay-Change: power-1 1/2",
        "Relay-Round: 1",
        "Relay-Role: implementer",
        "Relay-Model: scripted/replies.yaml",
        f"Relay-Gate: tests {tree}",
        "Reviewed-by: architect (scripted/replies.yaml) <architect@relay.invalid>",
        "Reviewed-by: second (openai-compatible/odd-model) <second@relay.invalid>",
        "Tested-by: relay gate tests <gate@relay.invalid>",
    ]
    assert night.git("rev-parse", f"{landed}^") == night.git("rev-parse", "main")
    assert night.git("log", "-1", "--format=%an <%ae>|%cn <%ce>", landed) == (
        f"{IMPLEMENTER}|relay <relay@relay.invalid>"
    )


def test_each_verdict_is_a_note_on_the_tested_tree(night: Night) -> None:
    """Plain git lists them: one line of JSON for each verdict, whatever it was."""
    told = night.told
    noted = {}
    for line in night.git("notes", "--ref=relay/gate", "list").splitlines():
        tree = line.split()[1]
        assert night.git("cat-file", "-t", tree) == "tree"
        for note in night.git("notes", "--ref=relay/gate", "show", tree).splitlines():
            verdict = json.loads(note)
            assert (verdict["run"], verdict["tree"], verdict["gate"]) == (night.run, tree, "tests")
            noted[verdict["change"], verdict["round"]] = (verdict["status"], verdict["reason"], tree)
    assert {key: value[:2] for key, value in noted.items()} == {
        ("power-1", 1): ("passed", None),
        ("power-2", 1): ("passed", None),
        ("hard-1", 1): ("failed", "red"),
        ("hard-1", 2): ("failed", "red"),
    }
    trees = {change["id"]: change["tree"] for task in told["tasks"] for change in task["changes"]}
    assert noted["power-1", 1][2] == trees["power-1"] and noted["hard-1", 2][2] == trees["hard-1"]


def test_the_journal_holds_the_pipeline_as_run_with_every_file_and_each_turn(night: Night) -> None:
    """What was run can be read years later: `git show`, nothing else."""
    journal = f"refs/relay/runs/{night.run}/journal"
    start = json.loads(night.git("show", f"{journal}:start.json"))
    assert start["files"] == ["replies.yaml", "tasks/hard.md", "tasks/power.md", "tasks/same.md"]
    for number in range(1, 5):
        night.git("show", f"{journal}:start/file.{number}")
    base_url = night.git("show", f"{journal}:start/pipeline").split('base-url: "')[1].split('"')[0]
    assert night.git("show", f"{journal}:start/pipeline") == PIPELINE.replace("BASE_URL", base_url).strip()
    assert night.git("log", "--reverse", "--format=%s", journal).split() == [
        "start",
        "plan.power",
        "plan.hard",
        "plan.same",
        "end.1",
    ]
    names = night.git("ls-tree", "-r", "--name-only", f"refs/relay/runs/{night.run}/changes/power-1").splitlines()
    turns = [name for name in names if name.endswith("transcript.jsonl")]
    assert turns == [
        "r1.1.code/transcript.jsonl",
        "r1.1.look.architect/transcript.jsonl",
        "r1.1.look.second/transcript.jsonl",
    ]
    assert {"r1.1.check.tests/verdict", "r1.1.check.tests/evidence", "r1.1.check.tests/report.xml"} <= set(names)
    for name in turns:
        lines = night.git("show", f"refs/relay/runs/{night.run}/changes/power-1:{name}").splitlines()
        kinds = [json.loads(line)["kind"] for line in lines]
        assert kinds[0] == "opening" and kinds[-1] == "end" and "reply" in kinds


@pytest.mark.parametrize("secret", [SHAPED, KNOWN], ids=["shape of a key", "value of a key"])
def test_no_object_and_no_file_of_relay_holds_a_key(night: Night, secret: str) -> None:
    """It was in a task, a reply, a tool's output, a test's output and an error's body. Every byte is searched."""
    listed = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    every = subprocess.run(listed, cwd=night.repo, capture_output=True, check=True).stdout
    assert every.count(b"***") > 10
    assert [every[at - 80 : at + 20] for at in found(every, secret.encode())] == []
    state = night.repo / ".git" / "relay"
    assert [path for path in state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []
    for shown in (night.stdout, night.stderr, night.relay("show", "power-1").stdout, night.relay("log").stdout):
        assert secret not in shown
    assert "***" in night.stderr


def found(text: bytes, part: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(part), text)]


def test_other_writers_and_relay_lose_no_line_of_a_note(night: Night, tmp_path: Path) -> None:
    """A user's own note on the same tree stands beside the verdict."""
    copy = night.copy(tmp_path)
    repository = opened(copy.repo)
    tree = copy.git("rev-parse", f"relay/{night.run}/landed^{{tree}}")
    copy.git("notes", "--ref=relay/gate", "append", "-m", "seen by me", tree)
    notes.add(repository, "refs/notes/relay/gate", tree, '{"more": 1}')
    lines = copy.git("notes", "--ref=relay/gate", "show", tree).splitlines()
    assert [line for line in lines if line][1:] == ["seen by me", '{"more": 1}']
    assert json.loads(lines[0])["status"] == "passed"


READERS = (["status"], ["report"], ["approve", "power-2", "--record-only"])


@pytest.mark.parametrize("damage", ["later version", "no JSON", "not an object", "foreign commit", "lost blob"])
def test_a_journal_that_cannot_be_read_is_said_in_a_sentence(night: Night, tmp_path: Path, damage: str) -> None:
    """Exit code 4 and the ref's name, from every view; no traceback."""
    copy = night.copy(tmp_path)
    ref = f"refs/relay/runs/{night.run}/changes/power-1"
    spoil(copy, ref, damage)
    for words in READERS:
        done = copy.relay(*words)
        assert (done.returncode, done.stdout) == (4, ""), (words, done)
        assert done.stderr.startswith("relay: ") and "Traceback" not in done.stderr
        assert ref in done.stderr or (damage == "lost blob" and "is missing in this repository" in done.stderr)


def spoil(night: Night, ref: str, damage: str) -> None:
    if damage == "foreign commit":
        empty = night.git("commit-tree", "-m", "hello", "-p", ref, f"{ref}^{{tree}}")
        night.git("update-ref", ref, empty)
    elif damage == "later version":
        Journal(opened(night.repo), ref).append("close.9", {"kind": "close", "outcome": ["landed"], "rounds": "many"})
    elif damage == "lost blob":
        blob = night.git("rev-parse", f"{ref}:open.json")
        (night.repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    else:
        content = "{" if damage == "no JSON" else "[1]"
        blob = night.git("hash-object", "-w", "--stdin", input=content)
        listing = night.git("ls-tree", ref)
        lines = [
            f"100644 blob {blob}\topen.json" if line.endswith("\topen.json") else line for line in listing.splitlines()
        ]
        tree = night.git("mktree", input="\n".join(lines))
        commit = night.git("commit-tree", "-m", "open", tree)
        night.git("update-ref", ref, commit)


def test_an_entry_of_a_kind_that_a_later_version_brings_is_passed_over(night: Night, tmp_path: Path) -> None:
    """What this version knows is shown as before."""
    copy = night.copy(tmp_path)
    for ref in (f"refs/relay/runs/{night.run}/changes/power-1", f"refs/relay/runs/{night.run}/journal"):
        Journal(opened(copy.repo), ref).append("dream.1", {"kind": "dream", "what": [1, 2]})
    status = copy.json("status")
    assert {key: status[key] for key in night.told} == night.told
