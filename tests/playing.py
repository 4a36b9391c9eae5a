"""A small real repository, a pipeline around it, and what its models say: for stories told through the real command."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.docker import connect

RELAY = Path(__file__).parent.parent / ".venv" / "bin" / "relay"

SHOP = {
    "shop.py": "def total(prices):\n    return sum(prices)\n\n\ndef label(count):\n    return f'{count} items'\n",
    "tests/test_shop.py": (
        "import shop\n\n\ndef test_total():\n    assert shop.total([1, 2]) == 3\n\n\n"
        "def test_label():\n    assert shop.label(2) == '2 items'\n"
    ),
}
"""A tiny project: two functions, two tests, one file each."""

Call = dict[str, Any]


def write(path: str, content: str) -> Call:
    return {"tool": "write", "args": {"path": path, "content": content}}


def edit(path: str, old: str, new: str) -> Call:
    return {"tool": "edit", "args": {"path": path, "old": old, "new": new}}


def bash(command: str) -> Call:
    return {"tool": "bash", "args": {"command": command}}


def done(summary: str = "Done.") -> Call:
    return {"tool": "done", "args": {"summary": summary}}


def spec(*changes: Mapping[str, Any], title: str = "The spec") -> Call:
    """A plan of these changes, each `{title, may_change?, needs?}`."""
    return {
        "tool": "spec",
        "args": {"title": title, "body": "As asked.", "changes": [{"body": "As asked.", **c} for c in changes]},
    }


def approve(*acknowledge: str) -> Call:
    return {
        "tool": "review",
        "args": {"decision": "approve", "summary": "Right.", "acknowledge": list(acknowledge)},
    }


def refuse(body: str, path: str = "shop.py", line: int = 1) -> Call:
    comments = [{"path": path, "line": line, "body": body}]
    return {"tool": "review", "args": {"decision": "request_changes", "summary": body, "comments": comments}}


def permit(*paths: str, reason: str = "As the spec says.") -> Call:
    return {"tool": "permit", "args": {"paths": list(paths), "reason": reason}}


@dataclass(frozen=True)
class Told:
    """What a command said: its exit code, its JSON, and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.out.strip(), self.err
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def outcome(self) -> str:
        return str(self.json["outcome"])

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """The changes of all tasks by id."""
        return {change["id"]: change for task in self.json["tasks"] for change in task["changes"]}

    @property
    def change(self) -> dict[str, Any]:
        """The only change."""
        (only,) = self.changes.values()
        return only


@dataclass
class Play:
    """One story: `root/repo` on branch `elsewhere`, target `main`; the pipeline `root/<file>` and its replies."""

    root: Path
    file: str
    pipeline: dict[str, Any] = field(default_factory=dict)
    replies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    def says(self, role: str, *steps: Call | Sequence[Call], **where: Any) -> None:
        """What `role` does in a turn, one call or several per reply; `task`, `change`, `round` say in which turn."""
        for number, step in enumerate(steps, start=1):
            calls = [step] if isinstance(step, dict) else list(step)
            self.replies.append({"role": role, "step": number, **where, "calls": calls})

    def run(self, *arguments: str) -> Told:
        """`relay pipeline run --json` on what was said so far."""
        file = self.root / self.file
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(self.pipeline, indent=1))
        (file.parent / "replies.yaml").write_text(json.dumps({"replies": self.replies}, indent=1))
        return self.relay("pipeline", "run", str(file), *arguments, "--json")

    def relay(self, *arguments: str) -> Told:
        """Any command of relay, in the repository."""
        ran = subprocess.run(
            [str(RELAY), *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=self.repo,
            env={**os.environ, "XDG_CACHE_HOME": str(self.root / "cache")},
        )
        return Told(ran.returncode, ran.stdout, ran.stderr)

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.repo), *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, files: Mapping[str, str | None], message: str = "Work by hand", branch: str = "main") -> str:
        """The user commits on a branch, and stands afterwards where they stood before."""
        here = self.git("symbolic-ref", "--short", "HEAD")
        self.git("switch", "-q", branch)
        for name, content in files.items():
            path = self.repo / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("switch", "-q", here)
        return self.git("rev-parse", branch)

    def show(self, path: str, branch: str = "main") -> str:
        """A file as a branch has it."""
        return self.git("show", f"{branch}:{path}")

    def files(self, branch: str = "main") -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", branch).splitlines()

    def trailers(self, key: str, commit: str = "main") -> list[str]:
        return self.git("log", "-1", f"--format=%(trailers:key={key},valueonly)", commit).splitlines()

    def record(self, key: str, change: str = "t1-1") -> dict[str, Any]:
        """An entry of a change's journal, in the newest run that has one."""
        value: dict[str, Any] = json.loads(self.kept(f"{key}.json", change))
        return value

    def kept(self, path: str, change: str = "t1-1") -> str:
        """A file of a change's journal."""
        return self.git("show", f"{self.journal(change)}:{path}")

    def journal(self, change: str = "t1-1") -> str:
        """The ref of a change's journal, in the newest run that has one."""
        form, where = "--format=%(refname)", f"refs/relay/runs/*/changes/{change}"
        return self.git("for-each-ref", "--sort=-creatordate", form, where).splitlines()[0]

    def events(self, name: str, run: str | None = None) -> list[dict[str, Any]]:
        """The events of this name in the log of the newest run (or of `run`)."""
        runs = self.repo / ".git" / "relay" / "runs"
        logs = [runs / run / "log.jsonl"] if run else sorted(runs.glob("*/log.jsonl"), key=lambda p: p.stat().st_mtime)
        lines = [json.loads(line) for line in logs[-1].read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    def verdicts(self) -> list[tuple[str, str | None]]:
        """Status and reason of every gate run of the newest run, in order."""
        return [(event["status"], event["reason"]) for event in self.events("gate ended")]


def forget_environments(root: Path) -> None:
    """Remove the images that the setups of a story left."""
    with connect() as engine:
        for log in (root / "cache" / "relay" / "extras").glob("*.log"):
            engine.remove_image(f"relay/env:{log.stem}")


def play(
    root: Path,
    files: Mapping[str, str] = SHOP,
    *,
    file: str = "pipeline.yaml",
    checked_out: bool = False,
    **pipeline: Any,
) -> Play:
    """A repository that holds `files`, and the shortest pipeline: implement, test, review, merge; all of it scripted.

    Keys of the pipeline file come in by name, and replace its own. `checked_out`: the user stands on the target.
    """
    scripted = {"model": "scripted/replies.yaml"}
    story = Play(
        root,
        file,
        {
            "version": 1,
            "target": "main",
            "roles": dict.fromkeys(("architect", "implementer", "reviewer", "second"), scripted),
            "sandbox": {"image": "debian"},
            "gates": {"tests": {"run": "python -m pytest -q"}},
            "stages": [{"implement": "implementer"}, {"test": "tests"}, {"review": "reviewer"}, {"merge": "squash"}],
            "tasks": ["Work on the shop"],
            **pipeline,
        },
    )
    story.repo.mkdir()
    story.git("init", "-q", "-b", "main")
    for key, value in (("user.name", "You"), ("user.email", "you@example.org"), ("commit.gpgsign", "false")):
        story.git("config", key, value)
    _first(story, files)
    if not checked_out:
        story.git("switch", "-q", "-c", "elsewhere")
    return story


def _first(story: Play, files: Mapping[str, str]) -> None:
    for name, content in {".gitignore": "__pycache__/\n.pytest_cache/\n", **files}.items():
        path = story.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    story.git("add", "-A")
    story.git("commit", "-q", "-m", "Begin")
