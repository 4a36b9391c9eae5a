"""What it costs to start relay's commands, in CPU time of the process, beside `python -c pass`."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.ground import Ground
from benchmarks.measure import Phases, Way
from benchmarks.repos import make

BASE = "python -c pass"
RELAY = str(Path(sys.executable).parent / "relay")


def ways(ground: Ground, files: int) -> list[Way]:
    """Commands that only look; `files` does not matter."""
    repository = str(make(ground.folder / "cli.git", 10))
    commands = {
        BASE: [sys.executable, "-c", "pass"],
        "relay --help": [RELAY, "--help"],
        "relay --version": [RELAY, "--version"],
        "relay pipeline validate solo": [RELAY, "pipeline", "validate", "solo"],
        "relay runs": [RELAY, "runs", "--repo", repository],
    }
    return [Way(name, partial(_cpu, command)) for name, command in commands.items()]


def _cpu(command: list[str]) -> Phases:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times() counts in steps of 10 ms
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
