"""Each shipped pipeline, run as it is but for its models, whose place scripted ones take."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from pipelines.find import shipped

RELAY = Path(__file__).parent.parent / ".venv" / "bin" / "relay"

_REPLIES = """
replies:
  - role: architect
    step: 1
    calls: [{tool: bash, args: {command: python -m pytest -q}}]
  - role: architect
    step: 2
    calls:
      - tool: spec
        args: {title: Mend add, body: add must add., changes: [{title: Mend add, body: "add(1, 2) is 3; test it."}]}
  - role: implementer
    step: 1
    calls:
      - {tool: edit, args: {path: calc.py, old: a - b, new: a + b}}
      - tool: write
        args:
          path: tests/test_add.py
          content: "from calc import add\\n\\n\\ndef test_add():\\n    assert add(1, 2) == 3\\n"
  - {role: implementer, step: 2, calls: [{tool: done, args: {summary: add adds}}]}
"""
_REVIEW = """
  - {{role: {role}, change: t1-1, step: 1, calls: [{{tool: read, args: {{path: calc.py}}}}]}}
  - {{role: {role}, change: t1-1, step: 2, calls: [{{tool: review, args: {{decision: approve, summary: right}}}}]}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with a bug, its main branch not checked out."""
    repo = tmp_path / "repo"
    (repo / "tests").mkdir(parents=True)
    (repo / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (repo / "tests" / "test_calc.py").write_text(
        "from calc import add\n\n\ndef test_zero():\n    assert add(0, 0) == 0\n"
    )
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    for command in (
        ("init", "-qb", "main"),
        ("add", "-A"),
        (*identity, "commit", "-qm", "begin"),
        ("switch", "-qc", "x"),
    ):
        subprocess.run(["git", "-C", repo, *command], check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "reviewers"), [("solo", ["architect"]), ("duo", ["architect", "second"]), ("fix", ["reviewer"])]
)
def test_a_shipped_pipeline_lands_a_fix(place: Path, name: str, reviewers: list[str]) -> None:
    """From a task's text to a landed commit that every reviewer of the file has approved."""
    text, models = re.subn(r"model: [a-z]+/[\w.-]+", "model: scripted/play.yaml", shipped()[name].read_text())
    assert models == len(set(re.findall(r"^  (\w+): +\{model", text, re.MULTILINE)))
    (place / "pipeline.yaml").write_text(text.replace("version: 1", "version: 1\ntarget: main"))
    (place / "play.yaml").write_text(_REPLIES + "".join(_REVIEW.format(role=role) for role in reviewers))
    ran = subprocess.run(
        [RELAY, "pipeline", "run", "pipeline.yaml", "--repo", "repo", "--task", "add is wrong", "--json"],
        cwd=place,
        env={**os.environ, "XDG_CACHE_HOME": str(place / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    (change,) = json.loads(ran.stdout)["tasks"][0]["changes"]
    assert (change["outcome"], change["rounds"]) == ("landed", 1)
    log = subprocess.run(
        ["git", "-C", place / "repo", "log", "-1", "--format=%(trailers:key=Reviewed-by,valueonly)", "main"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [line.split(" ")[0] for line in log.split("\n") if line] == reviewers
