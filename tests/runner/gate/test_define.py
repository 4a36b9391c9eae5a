"""The gate in effect: the user's file plus what the landing branch showed."""

from runner.gate.baseline import read_baseline
from runner.gate.define import define
from runner.gate.evidence import Baseline
from runner.gate.protect import Protection
from tests.runner.gate.making import gate, run


def test_everything_that_can_change_a_verdict_changes_the_hash() -> None:
    """Command, limits, patterns, shadows, environment; the same gate has the same hash."""
    baseline = read_baseline(gate(), run({"a.py::t": "p"}), run({"a.py::t": "p"}))
    assert isinstance(baseline, Baseline)
    one = define(gate(), baseline, Protection(("tests",)), {"A": "1", "B": "2"})
    others = [
        define(gate(min_tests=2), baseline, Protection(("tests",)), {"A": "1", "B": "2"}),
        define(gate(timeout=1.0), baseline, Protection(("tests",)), {"A": "1", "B": "2"}),
        define(gate()._replace(run="make"), baseline, Protection(("tests",)), {"A": "1", "B": "2"}),
        define(gate(), baseline, Protection(("test",)), {"A": "1", "B": "2"}),
        define(gate(), baseline, Protection(("tests",), ("json",)), {"A": "1", "B": "2"}),
        define(gate(), baseline, Protection(("tests",)), {"A": "1", "B": "3"}),
        define(gate(), Baseline("exit-code", 0, 1.0), Protection(("tests",)), {"A": "1", "B": "2"}),
    ]
    assert len({one.hash, *(other.hash for other in others)}) == 8
    assert define(gate(), baseline, Protection(("tests",)), {"B": "2", "A": "1"}).hash == one.hash
