"""One night for many tests: a real run in which something lands, something waits, something fails, all of it hostile.

Made once per test session (by whichever worker comes first); a test that changes anything works on a copy.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.runner.git.support import git, make
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Request, chat, error, sse

RELAY = Path(__file__).parents[2] / ".venv" / "bin" / "relay"

# What no record may hold. The first has the shape of a key, the second is one only since the environment says so.
SHAPED = "sk-ant-api03-" + "A1b2C3d4" * 4
KNOWN = "correct-horse-battery-staple"
# What no view may pass on as it is: a title that takes over a terminal, and one that takes over a page.
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x1b[2J \u202etxt.exe\u2066 \x9b1m"
MARKUP = "</title></script><script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"

FILES = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "tests/test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
    "Makefile": "test:\n\tpython -m pytest -q\n",
}
PIPELINE = """version: 1
roles:
  architect:   {model: scripted/replies.yaml}
  implementer: {model: scripted/replies.yaml}
  second:      {model: openai-compatible/odd-model, base-url: "BASE_URL", api-key-env: ODD_KEY}
gates:
  tests: {run: python -m pytest -q}
stages:
  - {name: spec, plan: architect}
  - {name: code, implement: implementer, max-rounds: 2}
  - {name: check, test: tests}
  - {name: look, review: [architect, second]}
  - {name: land, merge: squash}
tasks: [tasks/power.md, tasks/hard.md, tasks/same.md]
"""
PRINTABLE = "".join(character for character in ESCAPES if character not in "\x1b\x07\x9b")
TASKS = {
    "power.md": f"---\nid: power\n---\n# Multiply numbers\n\nThe service answers to {SHAPED} and {KNOWN}.\n",
    "hard.md": f"---\nid: hard\npriority: -1\n---\n# Divide {MARKUP} {PRINTABLE}\n",
    "same.md": "---\nid: same\npriority: -2\n---\n# Keep it as it is\n",
}
BAD_TEST = f"""import pytest
from calc import divide

KEY = "sk-ant-api03-" + "A1b2C3d4" * 4 + " correct-horse-" + "battery-staple"


@pytest.mark.parametrize("what", ["<img src=x onerror=alert(1)>", "x" * 10_000], ids=str)
def test_divide(what):
    print(KEY, {ESCAPES!r})
    # A mask of the JSON instead of the values in it would end in the middle of this.
    cut_off = 'Authorization: "Bearer x"' + "-----BEGIN RSA " + "PRIVATE KEY-----"
    assert divide(1, 2) == 0.5, {MARKUP!r} + {ESCAPES!r} + KEY + cut_off
"""
GOOD_TEST = "from calc import times\n\n\ndef test_times():\n    assert times(2, 3) == 6\n"


@dataclass(frozen=True)
class Night:
    """A repository after its night. `ran` is what `pipeline run --json` did; `run` the id of the run."""

    folder: Path
    code: int
    stdout: str
    stderr: str

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.stdout)
        return told

    @property
    def run(self) -> str:
        return str(self.told["run"])

    def relay(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return relay(self.folder, *arguments, **more)

    def json(self, *arguments: str) -> Any:
        done = self.relay(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def git(self, *arguments: str, input: str = "") -> str:
        return git(self.repo, *arguments, input=input.encode())

    def copy(self, to: Path) -> Night:
        """The same night elsewhere, for a test that goes on with it."""
        shutil.copytree(self.folder, to, symlinks=True, dirs_exist_ok=True)
        return Night(to, self.code, self.stdout, self.stderr)


def relay(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The command, in the repository of a folder, with a cache of its own."""
    return subprocess.run(
        [str(RELAY), *arguments],
        cwd=folder / "repo",
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        **more,
    )


def environment(folder: Path) -> dict[str, str]:
    """Where a machine's own settings do not matter."""
    return {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "ODD_KEY": KNOWN, "TZ": "UTC"}


def once(shared: Path, build: Callable[[Path], Night]) -> Night:
    """The night in `shared`, built by the first of all workers that asks."""
    shared.mkdir(parents=True, exist_ok=True)
    result = shared / "result.json"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            night = build(shared / "night")
            result.write_text(json.dumps([night.code, night.stdout, night.stderr]))
    return Night(shared / "night", *json.loads(result.read_text()))


def play(folder: Path, files: Mapping[str, str] | None, pipeline: str, replies: list[Any], *options: str) -> Night:
    """A repository with `files`, a pipeline beside it, and one run of it."""
    if files is not None:
        make(folder / "repo", files)
    (folder / "pipeline.yaml").write_text(pipeline)
    (folder / "replies.yaml").write_text(yaml.safe_dump({"replies": replies}, allow_unicode=True))
    done = relay(folder, "pipeline", "run", str(folder / "pipeline.yaml"), "--json", *options)
    return Night(folder, done.returncode, done.stdout, done.stderr)


def real_night(folder: Path) -> Night:
    """Five changes: landed, needs-human, gave-up, skipped, no-change; the price of one model is unknown."""
    vendor = FakeVendor()
    vendor.answer(error(429, {"error": {"message": f"slow down, {SHAPED} {KNOWN}"}}, retry_after="0"))
    vendor.respond = _approves
    (folder / "tasks").mkdir(parents=True)
    for name, text in TASKS.items():
        (folder / "tasks" / name).write_text(text)
    try:
        return play(folder, FILES, PIPELINE.replace("BASE_URL", f"{vendor.url}/v1"), replies())
    finally:
        vendor.close()


def _approves(request: Request) -> Answer:
    named = ["Makefile"] if "Make help" in json.dumps(request.body) else []
    args = {"decision": "approve", "summary": f"Fine. {MARKUP} {SHAPED} {KNOWN}", "comments": [], "acknowledge": named}
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
    return sse(chat("", Call("review", args), usage=usage))


def reply(role: str, step: int, *calls: tuple[str, dict[str, Any]], text: str = "", **where: Any) -> dict[str, Any]:
    """One line of a script."""
    return {
        "role": role,
        "step": step,
        "text": text,
        "calls": [{"tool": tool, "args": args} for tool, args in calls],
        **where,
    }


def replies() -> list[dict[str, Any]]:
    """What the scripted roles say."""
    leak = f"printf '%s%s correct-horse-%s\\n' sk-ant-api03- {'A1b2C3d4' * 4} battery-staple"
    power = [
        {"title": "Multiply", "body": f"`times(a, b)`. {MARKUP}\n\nThe key is {SHAPED}."},
        {"title": "Make help", "body": "A help target."},
    ]
    hard = [{"title": f"Divide {MARKUP} {ESCAPES}\nsecond line", "body": "x" * 10_000}, {"title": "Root", "body": "r"}]
    times = {
        "path": "calc.py",
        "old": "    return a + b\n",
        "new": "    return a + b\n\n\ndef times(a, b):\n    return a * b\n",
    }
    halves = {
        "path": "calc.py",
        "old": "    return a + b\n",
        "new": "    return a + b\n\n\ndef divide(a, b):\n    return a // b\n",
    }
    make_help = {"path": "Makefile", "content": "test:\n\tpython -m pytest -q\nhelp:\n\t@echo test\n"}
    fine = {"decision": "approve", "summary": "Good.", "comments": []}
    known = {**fine, "acknowledge": ["Makefile"]}
    return [
        reply(
            "architect",
            1,
            ("spec", {"title": "Multiply", "body": f"All of it: {SHAPED} {KNOWN}", "changes": power}),
            task="power",
        ),
        reply("architect", 1, ("spec", {"title": "Divide", "body": MARKUP, "changes": hard}), task="hard"),
        reply(
            "architect",
            1,
            ("spec", {"title": "Same", "body": "Same.", "changes": [{"title": "Same", "body": "s"}]}),
            task="same",
        ),
        reply(
            "implementer",
            1,
            ("bash", {"command": leak}),
            text=f"My key is {SHAPED}, or {KNOWN}.",
            task="power",
            change="power-1",
        ),
        reply(
            "implementer",
            2,
            ("edit", times),
            ("write", {"path": "tests/test_times.py", "content": GOOD_TEST}),
            task="power",
            change="power-1",
        ),
        reply(
            "implementer", 3, ("done", {"summary": f"Multiplies. {SHAPED} {MARKUP}"}), task="power", change="power-1"
        ),
        reply("implementer", 1, ("write", make_help), ("done", {"summary": "Help."}), task="power", change="power-2"),
        reply(
            "implementer",
            1,
            ("edit", halves),
            ("write", {"path": "tests/test_divide.py", "content": BAD_TEST}),
            change="hard-1",
            round=1,
        ),
        reply("implementer", 2, ("done", {"summary": f"Divides {ESCAPES}"}), change="hard-1", round=1),
        reply(
            "implementer",
            1,
            ("edit", {"path": "calc.py", "old": "a // b", "new": "a // b  # sic"}),
            change="hard-1",
            round=2,
        ),
        reply("implementer", 2, ("done", {"summary": "Now."}), change="hard-1", round=2),
        reply("implementer", 1, ("done", {"summary": "Nothing to do."}), change="same-1"),
        reply("architect", 1, ("read", {"path": "calc.py"}), task="power", change="power-1"),
        reply("architect", 2, ("review", fine), task="power", change="power-1"),
        reply("architect", 1, ("review", known), task="power", change="power-2"),
    ]


SHORT = """version: 1
target: main
roles:
  implementer: {model: scripted/replies.yaml}
gates:
  tests: {run: sh check.sh, protected-files: [check.sh, "tests/**"]}
stages:
  - {name: code, implement: implementer, max-rounds: 1}
  - {name: check, test: tests}
  - {name: sign-off, approve: human}
  - {name: land, merge: squash}
budget: {max-cost: 1.00}
"""
LIST = "".join(f"line {number}\n" for number in range(1, 10))
PLAIN_FILES = {"check.sh": "! grep -q bad *.txt\n", "state.txt": "good\n", "list.txt": LIST}


def short_replies(**answers: str) -> list[dict[str, Any]]:
    """One turn for each change: it writes a file with the given content; the gate does not like `bad`."""
    return [
        reply(
            "implementer",
            1,
            ("write", {"path": f"{change}.txt", "content": content}),
            ("done", {"summary": f"Wrote {change}."}),
            change=change.replace("_", "-"),
        )
        for change, content in answers.items()
    ]


def waiting_run(folder: Path) -> Night:
    """Two tasks, each one change that passes its gate and waits for the user; `other` is checked out, so main moves."""
    make(folder / "repo", PLAIN_FILES)
    git(folder / "repo", "switch", "-q", "-c", "other")
    options = ("--task", "First thing", "--task", "Second thing")
    fifth = {"path": "list.txt", "old": "line 5\n", "new": "the fifth\n"}
    turn = reply("implementer", 1, ("edit", fifth), ("done", {"summary": "Named the fifth."}), change="t1-1")
    return play(folder, None, SHORT, [turn, *short_replies(t2_1="good two\n")], *options)
