"""A whole run of one change from the command to the landed commit, by relay alone: how it grows with the repository.

The models are scripted and answer at once, so that what is left is relay's own work and the test command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.ground import Ground
from benchmarks.measure import Phases, Way, check
from benchmarks.repos import make
from runner.report.events import parse_line

SMALL = 1000
BASE = f"{SMALL} files"
RELAY = Path(sys.executable).parent / "relay"
# What ends each phase, in order.
PHASES = {
    "start": "run-started",
    "tests of the target": "planned",
    "before the turn": "turn-started",
    "turn": "turn-ended",
    "gate": "gate-ended",
    "review": "review-ended",
    "landing": "run-ended",
}
PIPELINE = """\
version: 1
target: main
roles:
  implementer: {model: scripted/replies.yaml}
  reviewer: {model: scripted/replies.yaml}
sandbox: {image: debian}
gates:
  tests: {run: python -B -m pytest -q tests}
stages:
  - implement: implementer
  - test: tests
  - review: reviewer
  - merge: squash
budget: {max-time: 30m}
"""
REPLIES = """\
replies:
  - role: implementer
    step: 1
    calls:
      - {tool: read, args: {path: pkg0/module_0.py}}
      - {tool: bash, args: {command: "date +%s%N > pkg0/stamp.txt"}}
      - {tool: done, args: {summary: "A stamp."}}
  - role: reviewer
    step: 1
    calls:
      - {tool: review, args: {decision: approve, summary: "Fine.", comments: []}}
"""


def ways(ground: Ground, files: int) -> list[Way]:
    """The same run on a small and on a large repository; each round lands one more change."""
    (ground.folder / "pipeline.yaml").write_text(PIPELINE)
    (ground.folder / "replies.yaml").write_text(REPLIES)
    return [_way(ground, size) for size in dict.fromkeys((SMALL, files))]


def _way(ground: Ground, files: int) -> Way:
    repository = make(ground.folder / f"whole-{files}.git", files)
    return Way(f"{files} files", lambda: _run(ground, repository))


def _run(ground: Ground, repository: Path) -> Phases:
    before = set((repository / "relay" / "runs").glob("*"))
    began = time.time()
    where = ["--repo", str(repository), "--task", "A stamp"]
    command = [str(RELAY), "pipeline", "run", str(ground.folder / "pipeline.yaml"), *where]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "XDG_CACHE_HOME": str(ground.folder / "cache")}
    )
    ended = time.time()
    check(done.returncode == 0, done.stdout + done.stderr)
    (folder,) = set((repository / "relay" / "runs").glob("*")) - before
    events = [event for line in (folder / "log.jsonl").read_bytes().splitlines() if (event := parse_line(line))]
    at = {name: next(event.at for event in events if event.name == end) or 0.0 for name, end in PHASES.items()}
    stamps = [began, *at.values()]
    phases = {name: stamps[number + 1] - stamps[number] for number, name in enumerate(at)}
    return {**phases, "end": ended - stamps[-1], "total": ended - began}
