"""One run of a gate, looked at against the landing branch's contract: what is wrong with it, by id. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from runner.gate.baseline import NOT_STARTED
from runner.gate.evidence import Baseline, GateDefinition, RunEvidence
from runner.gate.results import Outcome, Report

EndReason = Literal["could-not-run", "timeout", "killed", "missing-tests", "nothing-ran"]

_RED = ("failed", "error")
_NO_REPORT = Report()


@dataclass(frozen=True)
class Ending:
    """Why a run says nothing about single tests."""

    reason: EndReason
    sentence: str


@dataclass(frozen=True)
class Look:
    """What is wrong with a run; nothing at all is `clean`.

    `red`: ids that failed and were not red on L. `missing`, `skipped`: ids of the contract without a result, or with
    another than passed or failed. `uncollected`: modules that L could collect. `misfit`: an exit status that does
    not fit the results.
    """

    ending: Ending | None = None
    red: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    uncollected: tuple[str, ...] = ()
    misfit: str | None = None

    @property
    def clean(self) -> bool:
        return not (self.ending or self.misfit or self.red or self.missing or self.skipped or self.uncollected)

    @property
    def lost(self) -> tuple[str, ...]:
        """Ids of the contract that did not run to an end, whatever the cause."""
        return (*self.missing, *self.skipped)

    @property
    def cut_short(self) -> bool:
        """Some tests could not even be asked, so a missing id says nothing about itself."""
        return self.ending is not None or bool(self.uncollected)


def look(run: RunEvidence, gate: GateDefinition, baseline: Baseline, contract: Collection[str]) -> Look:
    """What is wrong with `run` where `contract` (ids of L, minus what a permission lifts) has to be kept."""
    ending = _ending(run, baseline)
    if gate.results == "exit-code":
        misfit = None if run.status == 0 else f"the command ended with {run.status}"
        return Look(ending, misfit=None if ending else misfit)
    report = run.report or _NO_REPORT
    if ending is None:
        ending = _without_results(run, contract)
    if ending is not None:
        return Look(ending, missing=tuple(sorted(set(contract) - set(report.tests))))
    outcomes = report.tests
    old_reds = set(baseline.reds)
    return Look(
        red=tuple(sorted(test for test, outcome in outcomes.items() if outcome in _RED and test not in old_reds)),
        missing=tuple(sorted(test for test in contract if test not in outcomes)),
        skipped=tuple(sorted(test for test in contract if outcomes.get(test) in ("skipped", "xfailed"))),
        uncollected=tuple(sorted(set(report.collection_errors) - set(baseline.collection_errors))),
        misfit=_misfit(run.status, report, baseline),
    )


def outcomes(run: RunEvidence | None) -> Mapping[str, Outcome]:
    """The reported outcomes by id; nothing where no report can be believed."""
    return run.report.tests if run is not None and run.report is not None else {}


def _ending(run: RunEvidence, baseline: Baseline) -> Ending | None:
    took = f"the landing branch took {baseline.seconds:.1f} s"
    if run.end == "setup-failed":
        return Ending("could-not-run", "the candidate's own environment cannot be built")
    if run.end == "timeout":
        return Ending("timeout", f"the gate did not end within {run.seconds:.1f} s; {took}")
    if run.end == "killed" or run.status is None:
        return Ending("killed", "the gate ran out of memory" if run.oom else "the gate was killed from outside")
    if run.status in NOT_STARTED:
        return Ending("could-not-run", f"the command did not start: {NOT_STARTED[run.status]} (status {run.status})")
    if run.status == 124:
        return Ending("timeout", f"the command ended with 124, as a time limit within it does; {took}")
    if run.status > 128:
        return Ending("killed", f"the command died of signal {run.status - 128} (status {run.status})")
    return None


def _without_results(run: RunEvidence, contract: Collection[str]) -> Ending | None:
    """For a run that ended by itself: why no result by test can be had from it."""
    if run.report is None:
        left = f"left a report that cannot be read ({run.unreadable})" if run.unreadable else "left no report"
        sentence = f"the command ended with {run.status} and {left}"
        if run.status != 0:
            return Ending("could-not-run", sentence)
        return Ending("missing-tests" if contract else "nothing-ran", sentence)
    if not run.report.tests and not run.report.collection_errors and run.status not in (0, 5):
        return Ending("could-not-run", f"the command ended with {run.status} before any test was collected")
    return None


def _misfit(status: int | None, report: Report, baseline: Baseline) -> str | None:
    """A runner's exit status is a second witness of its report; they have to agree."""
    failing = sum(outcome in _RED for outcome in report.tests.values()) + len(report.collection_errors)
    if status == 0:
        return f"it ended with 0 though {failing} of its results are red" if failing else None
    if not report.tests and not report.collection_errors:
        return None if status == 5 else f"it ended with {status} and no result"
    if not failing:
        return f"it ended with {status} though nothing it reported is red"
    # Pytest says 1; make and its kind say a number of their own, which L's old reds have shown.
    if report.pytest and status not in (1, baseline.status):
        return f"it ended with {status}, which is no status of a finished run with failures"
    return None
