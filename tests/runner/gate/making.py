"""Evidence made by hand: the shapes that the tests of the gate share."""

from collections.abc import Mapping, Sequence

from pipelines.pipeline import Gate, Results
from runner.gate.evidence import Baseline, Evidence, GateDefinition, ResultKind, RunEvidence
from runner.gate.results import Outcome, Report

WORDS: Mapping[str, Outcome] = {"p": "passed", "f": "failed", "e": "error", "s": "skipped", "x": "xfailed"}


def gate(*, results: Results | None = None, min_tests: int = 1, timeout: float = 60.0) -> Gate:
    """The gate of a pipeline file."""
    return Gate("tests", "python -m pytest -q", results or Results(), None, min_tests, timeout)


def definition(*, results: ResultKind = "junit", min_tests: int = 1) -> GateDefinition:
    """A gate as it is in effect."""
    return GateDefinition("tests", "python -m pytest -q", results, None, ("tests",), (), min_tests, 60.0, {})


def report(tests: Mapping[str, str], *, errors: Sequence[str] = (), pytest: bool = True, files: bool = True) -> Report:
    """A report by id and letter: p f e s x. The file of `a.py::test` is `a.py`, as pytest's ids say it."""
    outcomes = {test: WORDS[letter] for test, letter in tests.items()}
    known = {test: test.split("::")[0] for test in tests} if files else {}
    messages = {test: f"why {test}" for test, outcome in outcomes.items() if outcome != "passed"}
    return Report(outcomes, known, messages, dict.fromkeys(errors, "ImportError"), (), pytest)


def run(
    tests: Mapping[str, str],
    *,
    status: int | None = None,
    errors: Sequence[str] = (),
    pytest: bool = True,
    files: bool = True,
) -> RunEvidence:
    """A run that ended by itself, with the status that pytest would give."""
    if status is None:
        red = bool({"f", "e"} & set(tests.values()))
        status = 2 if errors else 1 if red else 0 if tests else 5
    return RunEvidence("exited", status, 1.0, report(tests, errors=errors, pytest=pytest, files=files))


def ended(status: int) -> RunEvidence:
    """A run that left no report."""
    return RunEvidence("exited", status, 1.0)


def evidence(
    baseline: Baseline,
    c: RunEvidence | None,
    k: RunEvidence | None = None,
    *,
    gate: GateDefinition | None = None,
    changed: Sequence[str] = (),
    granted: Sequence[str] = (),
    permitted: Sequence[str] = (),
    inputs: Sequence[str] = (),
) -> Evidence:
    """One candidate; K is C unless a run of K is given."""
    return Evidence(
        gate or definition(results=baseline.results),
        baseline,
        "1" * 40,
        "c" * 40,
        "c" * 40 if k is None else "d" * 40,
        c,
        k,
        tuple(changed),
        tuple(granted),
        tuple(permitted) or tuple(granted),
        tuple(inputs),
        ("environment",),
    )
