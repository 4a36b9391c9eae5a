"""A repository with everything that a run must leave alone, two changes to make, and models that count who asks."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any

from sandbox.docker import connect
from tests.playing import forget_environments
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Json, Request, chat, sse

HERE = Path(__file__).parent
RELAY = HERE.parents[1] / ".venv" / "bin" / "relay"
PATIENCE = 300  # seconds, on a machine that is busy with other tests
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
budget: {{max-cost: {money}}}
"""
GATE = "test ! -e left && touch left && sh check.sh"  # a second run on the same files would be red
CHECK = "set -e\nfor each in double triple; do ! [ -e $each ] || grep -q y $each; done\n"
CHANGES = ("double", "triple")
PLAIN = [
    "planner both 1",
    *(
        f"{who} {name} {step}"
        for name in CHANGES
        for who, steps in (("coder", 4), ("reviewer", 2))
        for step in range(1, steps + 1)
    ),
]  # who is asked for what when nothing goes wrong
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

    def keep_waiting(self, place: str) -> None:
        """Do not answer that request; `held` is set when it is there, `let_go` answers it."""
        self.held.clear()
        self.let_go.clear()
        self.hold = place

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
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

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

    def pipeline(self, *, gate: str = GATE, sandbox: str = "", money: str = "10.00") -> Path:
        path = self.root / "pipeline.yaml"
        path.write_text(PIPELINE.format(url=self.models.url, gate=gate, sandbox=sandbox, money=money))
        return path

    def start(self, *arguments: str, traps: str = "", **environ: str) -> subprocess.Popen[str]:
        """relay with these arguments, its traps laid."""
        path = {"PYTHONPATH": str(HERE), "CHAOS": traps} if traps else {}
        process = subprocess.Popen(
            [RELAY, *arguments, "--repo", self.repo],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(self.root / "cache"), **self.environ, **path, **environ},
        )
        self.processes.append(process)
        return process

    def at(self, point: str, arguments: tuple[str, ...], signal: str = "KILL") -> Ran:
        """Run a command that gets `signal` at a point: `asked coder double 2`, or a trap without its signal."""
        if not point.startswith("asked "):
            return ended(self.start(*arguments, traps=f"{point}:{signal}"))
        self.models.keep_waiting(point.removeprefix("asked "))
        process = self.start(*arguments)
        assert self.models.held.wait(PATIENCE), ended(process)
        process.send_signal(Signals[f"SIG{signal}"])
        if signal != "KILL":
            return ended(process)
        ran = ended(process)
        self.models.let_go.set()
        return ran

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
        """Containers and volumes of this lab's processes, lock files of git's, and workspaces."""
        mine = {str(process.pid) for process in self.processes}
        with connect() as engine:
            made = [*engine.containers("relay.host"), *engine.volumes("relay.host")]
        found = [f"{each.id} {each.labels}" for each in made if each.labels.get("relay.pid") in mine]
        return found + [str(path) for path in (self.repo / ".git").rglob("*.lock")]

    def assert_landed(self, ran: Ran) -> None:
        """Both changes, once, as a plain run lands them; sound, and without a trace of what happened on the way."""
        assert ran.code == 0, ran
        assert ran.told["outcome"] == "landed"
        assert [change["outcome"] for change in ran.told["tasks"][0]["changes"]] == ["landed", "landed"]
        with_both = self.git("ls-tree", "-r", "main").splitlines()
        assert [line.split("\t")[1] for line in with_both] == ["README", "check.sh", "double", "triple"]
        assert [self.git("show", f"main:{name}") for name in CHANGES] == [f"y {name}" for name in CHANGES]
        landed = self.git("log", "--reverse", "--format=%(trailers:key=Relay-Change,valueonly)", "begin..main").split(
            "\n"
        )
        assert [line for line in landed if line] == ["t1-1 1/2", "t1-2 2/2"]
        assert self.left_over() == []
        assert [path.name for path in (self.state / "runs").glob("*/turns/*")] == []
        assert self.git("branch", "--list", "relay/*") == ""
        fsck = subprocess.run(["git", "-C", self.repo, "fsck", "--strict"], capture_output=True, text=True, check=True)
        assert "missing" not in fsck.stdout + fsck.stderr


def ended(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=PATIENCE)
    return Ran(process.returncode, out, err)


@contextmanager
def lab(root: Path) -> Iterator[Lab]:
    """A lab below `root`; its models are gone after the block."""
    models = Models()
    made = Lab(root, models)
    try:
        _lay_out(made)
        yield made
    finally:
        models.let_go.set()
        for process in made.processes:
            if process.poll() is None:  # of a test that failed
                process.terminate()
                process.communicate()
        models.close()
        forget_environments(root)


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
    (made.repo / "README").write_text("three words now\n")
    made.git("commit", "-qam", "Third")
    made.git("tag", "later")  # where a test may move main to, while a run goes on
    made.git("reset", "-q", "--hard", "begin")
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
