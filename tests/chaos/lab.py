"""A repository with everything that a run must leave alone, two changes to make, and models that count who asks."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.docker import connect
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Json, Request, chat, sse

HERE = Path(__file__).parent
RELAY = HERE.parents[1] / ".venv" / "bin" / "relay"
OURS = ("refs/relay/", "refs/heads/relay/", "refs/notes/relay/")

PIPELINE = """\
version: 1
target: main
roles:
  architect: {{model: openai-compatible/architect, base-url: "{url}/v1"}}
  coder: {{model: openai-compatible/coder, base-url: "{url}/v1"}}
sandbox: {{image: debian{sandbox}}}
gates:
  tests: {{run: {gate}, results: exit-code}}
stages:
  - plan: architect
  - implement: coder
  - test: tests
  - review: architect
  - merge: squash
prices:
  openai-compatible/architect: {{input: 1, output: 1}}
  openai-compatible/coder: {{input: 1, output: 1}}
budget: {{max-cost: 10.00}}
"""
GATE = "test ! -e left && touch left && sh check.sh"  # a second run on the same files would be red
CHECK = "set -e\nfor each in double triple; do ! [ -e $each ] || grep -q y $each; done\n"
CHANGES = ("double", "triple")
USAGE = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}


class Models(FakeVendor):
    """An architect and a coder behind one address. What they say follows from what they are told, so a resume fits."""

    def __init__(self) -> None:
        super().__init__()
        self.respond = self._say
        self.hold: str | None = None  # `coder 1`: keep that request waiting
        self.held = threading.Event()
        self.let_go = threading.Event()
        self.refuse: Answer | None = None

    def calls(self) -> list[str]:
        """Who was asked for which reply of a turn, in order: `coder double 1`."""
        return [_place(request.body) for request in self.journal]

    def _say(self, request: Request) -> Answer:
        place = _place(request.body)
        if self.refuse is not None:
            return self.refuse
        if place == self.hold:
            self.hold = None
            self.held.set()
            self.let_go.wait(60)
        who, change, step = place.split()
        return sse(chat("", *self.said(who, change, int(step)), usage=USAGE))

    def said(self, who: str, change: str, step: int) -> list[Call]:
        if who == "planner":
            texts = [{"title": f"Add {name}", "body": f"Write {name}."} for name in CHANGES]
            return [Call("spec", {"title": "Both", "body": "Two files.", "changes": texts})]
        if who == "reviewer" and step == 1:
            return [Call("bash", {"command": f"cat {change}"})]
        if who == "reviewer":
            return [Call("review", {"decision": "approve", "summary": "As asked."})]
        steps = [
            [Call("write", {"path": change, "content": "x\n"}), Call("bash", {"command": "sh check.sh"}, "call_b")],
            [Call("edit", {"path": change, "old": "x\n", "new": f"y {change}\n"})],
            [Call("bash", {"command": "sh check.sh && cat *"})],
            [Call("done", {"summary": f"Wrote {change}."})],
        ]
        return steps[step - 1]


def _place(body: Json) -> str:
    tools = {tool["function"]["name"] for tool in body["tools"]}
    who = "coder" if "done" in tools else "reviewer" if "review" in tools else "planner"
    told = json.dumps(body["messages"][:2])
    change = "both" if who == "planner" else next(n for n in reversed(CHANGES) if f"Write {n}." in told)
    return f"{who} {change} {1 + sum(message['role'] == 'assistant' for message in body['messages'])}"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Json:
        """The object on standard output."""
        found: Json = json.loads(self.out)
        return found


@dataclass
class Lab:
    """The repository, the models, and the command."""

    root: Path
    models: Models
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def state(self) -> Path:
        return self.repo / ".git" / "relay"

    @property
    def run_id(self) -> str:
        (name,) = [path.name for path in (self.state / "runs").iterdir()]
        return name

    def pipeline(self, *, gate: str = GATE, sandbox: str = "") -> Path:
        path = self.root / "pipeline.yaml"
        path.write_text(PIPELINE.format(url=self.models.url, gate=gate, sandbox=sandbox))
        return path

    def start(self, *arguments: str, traps: str = "", **environ: str) -> subprocess.Popen[str]:
        """relay with these arguments, its traps laid."""
        path = {"PYTHONPATH": str(HERE), "CHAOS": traps} if traps else {}
        return subprocess.Popen(
            [RELAY, *arguments, "--repo", self.repo],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(self.root / "cache"), **self.environ, **path, **environ},
        )

    def relay(self, *arguments: str, traps: str = "", **environ: str) -> Ran:
        return ended(self.start(*arguments, traps=traps, **environ))

    def begin(self, traps: str = "", **options: Any) -> Ran:
        return self.relay(*self.beginning(**options), traps=traps)

    def beginning(self, **options: Any) -> tuple[str, ...]:
        return ("pipeline", "run", str(self.pipeline(**options)), "--task", "Add both.", "--json")

    def resume(self, traps: str = "", **environ: str) -> Ran:
        return self.relay("resume", "--json", traps=traps, **environ)

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.repo), *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    def trees(self) -> list[str]:
        """The trees of what landed, oldest first."""
        return self.git("log", "--reverse", "--format=%T", "begin..main").split()

    def untouched(self) -> dict[str, bytes]:
        """All that a run must leave as it was, byte for byte; the reflog of the branch that lands is git's to write."""
        git = self.repo / ".git"
        files = [path for path in self.root.joinpath("linked").rglob("*") if path.is_file()]
        files += [path for path in self.repo.rglob("*") if path.is_file() and git not in path.parents]
        files += [path for part in ("hooks", "info", "logs", "worktrees") for path in (git / part).rglob("*")]
        files += [git / name for name in ("HEAD", "config", "index", "ORIG_HEAD", "description")]
        found = {str(path): path.read_bytes() for path in files if path.is_file()}
        found.pop(str(git / "logs" / "refs" / "heads" / "main"))
        refs = self.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        mine = [ref for ref in refs if not ref.split(" ")[1].startswith((*OURS, "refs/heads/main"))]
        return {**found, "refs": "\n".join(mine).encode()}

    def left_over(self) -> list[str]:
        """Containers, volumes and lock files of this lab's runs that should not be there."""
        runs = [path.name for path in (self.state / "runs").iterdir()]
        with connect() as engine:
            found = [each.id for run in runs for each in engine.containers(f"relay.run={run}")]
            found += [each.id for each in engine.volumes("relay.host") if any(run in each.id for run in runs)]
            found += [each.id for run in runs for each in engine.volumes(f"relay.run={run}")]
        return found + [str(path) for path in (self.repo / ".git").rglob("*.lock")]


def ended(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


@contextmanager
def lab(root: Path) -> Iterator[Lab]:
    """A lab below `root`; its models are gone after the block."""
    models = Models()
    try:
        made = Lab(root, models)
        _lay_out(made)
        yield made
    finally:
        models.let_go.set()
        models.close()


def _lay_out(made: Lab) -> None:
    """Two commits on main, another branch checked out, a stash, a linked work tree, foreign refs, a dirty file."""
    made.repo.mkdir()
    made.git("init", "-q", "-b", "main")
    for key, value in (("user.name", "U"), ("user.email", "u@example.org"), ("alias.x", "!false")):
        made.git("config", key, value)
    (made.repo / "check.sh").write_text(CHECK)
    made.git("add", "-A")
    made.git("commit", "-qm", "First")
    (made.repo / "README").write_text("two words\n")
    made.git("add", "-A")
    made.git("commit", "-qm", "Second")
    made.git("tag", "begin")
    made.git("switch", "-qc", "mine")
    (made.repo / "README").write_text("stashed\n")
    made.git("stash", "-q")
    made.git("update-ref", "refs/foreign/thing", "HEAD")
    made.git("notes", "add", "-m", "a note of mine", "HEAD")
    made.git("worktree", "add", "-q", str(made.root / "linked"), "-b", "linked")
    (made.repo / "README").write_text("dirty\n")
    (made.repo / "untracked").write_text("mine\n")
    hook = made.repo / ".git" / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\necho ran >> {made.root}/hooked\n")
    hook.chmod(0o755)
