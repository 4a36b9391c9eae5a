"""The benchmarks run and tell the truth about samples; no time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Way, Wrong, check, interleaved, rows

ROOT = Path(__file__).parent.parent


def test_a_benchmark_prints_a_table_and_writes_what_it_measured(tmp_path: Path) -> None:
    """Beside the peers that are here, every answer checked, nothing left behind."""
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "call", "--rounds", "1", "--json", str(out)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(out.read_text())
    assert "Docker" in told["machine"]["engine"] and "cgroup" in told["machine"]["engine"]
    found = {(row["phase"], row["way"]): row for row in told["benchmarks"]["call"]["rows"]}
    assert found["command", "relay"]["ratio"] == 1.0
    assert {phase for phase, way in found if way == "docker-py"} == {phase for phase, way in found if way == "relay"}
    assert "call: one tool call" in ran.stdout and "docker-py" in ran.stdout


def test_an_unknown_benchmark_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    ran = subprocess.run([sys.executable, "-m", "benchmarks", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "nonsense" in ran.stderr and ran.stdout == ""


def test_the_first_round_is_dropped_and_ways_take_turns() -> None:
    """Every way is asked once in every round."""
    asked: list[str] = []

    def way(name: str, seconds: list[float]) -> Way:
        left = iter(seconds)

        def once() -> dict[str, float]:
            asked.append(name)
            return {"work": next(left)}

        return Way(name, once)

    taken = interleaved([way("a", [99, 1, 2, 3]), way("b", [99, 4, 4, 4])], 3)
    assert all({*asked[at : at + 2]} == {"a", "b"} for at in range(0, 8, 2))
    found = {row.way: row for row in rows(taken, "a")}
    assert (found["a"].n, found["a"].median, found["b"].ratio) == (3, 2000, 2)


def test_a_wrong_answer_is_no_result() -> None:
    """However fast it was."""
    with pytest.raises(Wrong, match="three"):
        check(1 + 1 == 3, "three")
