"""What starting relay costs: CPU of its commands beside `python -c pass`, interleaved: `python -m benchmarks.cli`.

Prints JSON; exits 1 when a goal is missed by more than the margin.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
from pathlib import Path

MARGIN = 1.5
ROUNDS = 21  # the first one is thrown away
RELAY = str(Path(sys.executable).parent / "relay")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "relay --help": [RELAY, "--help"],
    "relay --version": [RELAY, "--version"],
    "relay pipeline validate solo": [RELAY, "pipeline", "validate", "solo"],
}
GOALS = {"relay --help": 6.0, "relay --version": 6.0, "relay pipeline validate solo": 8.0}


def cpu(command: list[str]) -> float:
    """User and system seconds of one run. Raises CalledProcessError when it fails: a fast wrong answer is none."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times() counts in steps of 10 ms
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int = ROUNDS) -> dict[str, object]:
    """Medians, spread and ratios; the order is shuffled in every round."""
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name in random.sample(list(COMMANDS), len(COMMANDS)):
            samples[name].append(cpu(COMMANDS[name]))
    medians = {name: statistics.median(values[1:]) for name, values in samples.items()}
    base = medians["python -c pass"]
    rows = {
        name: {
            "cpu_ms": round(medians[name] * 1000, 1),
            "p95_ms": round(sorted(values[1:])[int(0.95 * (rounds - 2))] * 1000, 1),
            "ratio": round(medians[name] / base, 2),
            "goal": GOALS.get(name),
        }
        for name, values in samples.items()
    }
    return {"n": rounds - 1, "load": os.getloadavg()[0], "rows": rows}


def main() -> int:
    found = measure()
    print(json.dumps(found, indent=2))
    rows = found["rows"]
    assert isinstance(rows, dict)
    return int(any(row["goal"] and row["ratio"] > row["goal"] * MARGIN for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
