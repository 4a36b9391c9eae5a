"""What the landing branch proves: its contract from two runs, or why it cannot be a base. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.pipeline import Gate
from runner.gate.evidence import Baseline, ResultKind, RunEvidence
from runner.gate.results import Report

# What a POSIX shell says of a command that it found but could not start, and of one that it did not find.
NOT_STARTED = {126: "it cannot be executed", 127: "it was not found"}

_RED = ("failed", "error")


@dataclass(frozen=True)
class TargetRed:
    """L itself is at fault: `broken: target-red`, said before anything is paid for. `run` is the run to show."""

    sentence: str
    run: int = 0


def read_baseline(gate: Gate, first: RunEvidence, second: RunEvidence) -> Baseline | TargetRed:
    """The contract of L from two runs of `gate` on it, each in a fresh container."""
    for number, run in enumerate((first, second)):
        wrong = _cannot_run(gate, run)
        if wrong:
            return TargetRed(wrong, number)
    kind = _kind(gate, first, second)
    if isinstance(kind, TargetRed):
        return kind
    for number, run in enumerate((first, second)):
        wrong = _by_status(gate, run) if kind == "exit-code" else _by_report(gate, run)
        if wrong:
            return TargetRed(wrong, number)
    seconds = max(first.seconds, second.seconds)
    if kind == "exit-code" or first.report is None or second.report is None:
        return Baseline("exit-code", 0, seconds)
    return _contract(first.report, second.report, max(first.status or 0, second.status or 0), seconds)


def next_baseline(before: Baseline, landed: RunEvidence) -> Baseline:
    """The contract of the new L: what C's own green run reported, minus the ids known as flaky.

    One run is enough here, since it is the run that was judged. Takes the run of a passed verdict only.
    """
    if before.results == "exit-code" or landed.report is None:
        return Baseline(before.results, landed.status or 0, landed.seconds)
    fresh = _contract(landed.report, landed.report, landed.status or 0, landed.seconds)
    flaky = set(before.flaky)
    return Baseline(
        results=fresh.results,
        status=fresh.status,
        seconds=fresh.seconds,
        contract=tuple(test for test in fresh.contract if test not in flaky),
        flaky=tuple(test for test in before.flaky if test in landed.report.tests),
        # A flaky test that was red on an older L may be red again: nobody's new fault.
        reds=tuple(sorted({*fresh.reds, *(flaky & set(before.reds))})),
        known=fresh.known,
        collection_errors=fresh.collection_errors,
        files=fresh.files,
    )


def modules_of_tests(baseline: Baseline) -> frozenset[str]:
    """The Python files that L's own ids are of, whatever they are called. A doctest is of the product's file."""
    return frozenset(
        file
        for test, file in (baseline.files or {}).items()
        if file.endswith(".py") and not _is_doctest(test.partition("::")[2], file)
    )


def _is_doctest(name: str, file: str) -> bool:
    """Whether a name is a module's own, or that of something in it: no function's name has a dot."""
    module = file.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2]
    return name == module or "." in name.partition("[")[0]


def _cannot_run(gate: Gate, run: RunEvidence) -> str | None:
    if run.end == "setup-failed":
        return "the setup of the landing branch failed: its log is shown; repair `sandbox: setup` or the tree"
    if run.end == "timeout":
        return (
            f"`{gate.run}` did not end within {gate.timeout:g} s on the landing branch itself: "
            f"raise `timeout` of the gate {gate.name}, or repair what hangs"
        )
    if run.end == "killed" or run.status is None:
        why = "it ran out of memory: raise `sandbox: limits: memory`" if run.oom else "see the end of its log"
        return f"`{gate.run}` was killed on the landing branch itself; {why}"
    if run.status in NOT_STARTED:
        return (
            f"`{gate.run}` cannot run on the landing branch: {NOT_STARTED[run.status]} (status {run.status}); "
            "install it in `sandbox: setup`, or repair `run`"
        )
    return None


def _kind(gate: Gate, first: RunEvidence, second: RunEvidence) -> ResultKind | TargetRed:
    if gate.results.kind == "exit-code":
        return "exit-code"
    for number, run in enumerate((first, second)):
        if run.unreadable:
            return TargetRed(f"the report of `{gate.run}` cannot be read: {run.unreadable}", number)
    reports = [run.report is not None for run in (first, second)]
    if all(reports):
        return "junit"
    if any(reports):
        return TargetRed(
            f"`{gate.run}` left a report in only one of two runs of the landing branch", reports.index(False)
        )
    if gate.results.kind == "junit":
        where = gate.results.path or "/relay/junit.xml"
        return TargetRed(
            f"`{gate.run}` ended with {first.status} and left no JUnit XML at {where}: "
            "repair `results`, or say `results: exit-code`"
        )
    return "exit-code"


def _by_status(gate: Gate, run: RunEvidence) -> str | None:
    if run.status == 0:
        return None
    return (
        f"`{gate.run}` is red on the landing branch itself (status {run.status}), and without results by test "
        "relay cannot tell old failures from new ones: repair it first"
    )


def _by_report(gate: Gate, run: RunEvidence) -> str | None:
    report, status = run.report, run.status
    if report is None:
        return f"`{gate.run}` left no report"
    red = sum(outcome in _RED for outcome in report.tests.values())
    if not report.tests and report.collection_errors:
        names = ", ".join(sorted(report.collection_errors)[:5])
        return f"nothing can run on the landing branch: collecting the tests fails in {names}"
    if not report.tests and status not in (0, 5):
        return (
            f"`{gate.run}` ended with {status} on the landing branch and reported no test and no reason: see its log "
            "(a project without tests can start where `run` keeps pytest's own status, 5)"
        )
    if status == 0 and (red or report.collection_errors):
        return f"`{gate.run}` ends with 0 though {red} of its tests are red: let the command keep the runner's status"
    if report.tests and status != 0 and not red and not report.collection_errors:
        return f"`{gate.run}` ends with {status} on the landing branch though no test is red: see the end of its log"
    if (report.pytest and status in (3, 4)) or (status or 0) >= 124:
        return f"`{gate.run}` ended with {status} on the landing branch, which is no status of a finished test run"
    return None


def _contract(first: Report, second: Report, status: int, seconds: float) -> Baseline:
    known = {**first.tests, **second.tests}
    flaky = {test for test in known if first.tests.get(test) != second.tests.get(test)}
    reds = {test for report in (first, second) for test, outcome in report.tests.items() if outcome in _RED}
    passed = {test for test, outcome in first.tests.items() if outcome == "passed"}
    return Baseline(
        results="junit",
        status=status,
        seconds=seconds,
        contract=tuple(sorted(passed - flaky)),
        flaky=tuple(sorted(flaky)),
        reds=tuple(sorted(reds)),
        known=tuple(sorted(known)),
        collection_errors=tuple(sorted({*first.collection_errors, *second.collection_errors})),
        files=dict(sorted({**first.files, **second.files}.items())),
    )
