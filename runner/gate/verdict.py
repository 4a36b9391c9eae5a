"""The verdict of a gate, worked out from recorded evidence alone: the same evidence gives the same verdict, always.

Whatever could not be evaluated is never `passed`. docs/gate.md says the rules in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from runner.gate.evidence import Evidence, RunEvidence
from runner.gate.look import Look, look, outcomes
from runner.gate.results import Outcome

Status = Literal["passed", "failed", "broken"]
FailedReason = Literal[
    "red",
    "missing-tests",
    "nothing-ran",
    "could-not-run",
    "timeout",
    "killed",
    "flaky",
    "suspicious",
    "needs-permission",
    "conflict",
]
BrokenReason = Literal["target-red", "setup", "engine", "harness"]
Reason = FailedReason | BrokenReason
WhichRun = Literal["C", "K"]

_RED = ("failed", "error")


@dataclass(frozen=True)
class Failing:
    """A test that does not pass, and what it said."""

    test: str
    message: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gate answers, and everything a reader needs to check it.

    `shown` is the run whose log explains it. `paths`: what a permission is needed for, or what conflicts. `failing`,
    `missing`, `newly_skipped` and `uncollected` are of that run. Counts are of C, the tree that would land.
    `left_contract` are ids that a permission took out of the contract. `weak` says why a pass proves little.
    """

    status: Status
    reason: Reason | None
    summary: str
    gate: str = ""
    shown: WhichRun | None = None
    paths: tuple[str, ...] = ()
    failing: tuple[Failing, ...] = ()
    missing: tuple[str, ...] = ()
    newly_skipped: tuple[str, ...] = ()
    uncollected: tuple[Failing, ...] = ()
    left_contract: tuple[str, ...] = ()
    fail_to_pass: tuple[str, ...] = ()
    new_tests: tuple[str, ...] = ()
    old_reds: tuple[str, ...] = ()
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    results: str = ""
    weak: str | None = None
    landing: str = ""
    c_tree: str = ""
    k_tree: str = ""
    gate_hash: str = ""
    environments: tuple[str, ...] = ()
    seconds: float = 0.0
    baseline_seconds: float = 0.0


@dataclass(frozen=True)
class _Decision:
    reason: Reason | None
    sentence: str
    shown: WhichRun | None = None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Case:
    """The evidence with what follows from it: the contract that is left, and both runs looked at."""

    evidence: Evidence
    c_run: RunEvidence
    k_run: RunEvidence
    contract: frozenset[str]
    left: tuple[str, ...]
    variants: tuple[str, ...]  # ids `f[x]` that are gone on both while another `f[...]` reports
    c: Look
    k: Look
    too_few: str | None


def decide(evidence: Evidence) -> Verdict:
    """The verdict on C. Raises nothing: evidence that is not whole is `broken: harness`."""
    if evidence.c is None:
        return broken(evidence.definition.name, "harness", "the candidate's run is not in the evidence")
    k_run = evidence.c if evidence.k_tree == evidence.c_tree else evidence.k
    if k_run is None:
        # A red C needs no second run; a green one proves nothing without it.
        case = _case(evidence, evidence.c, evidence.c)
        wrong = _wrong(case.c, case.too_few)
        if wrong is None or evidence.inputs:
            return broken(
                evidence.definition.name, "harness", "the run with the protected files is not in the evidence"
            )
        return _verdict(case, _Decision(wrong[0], wrong[1], "C"))
    case = _case(evidence, evidence.c, k_run)
    return _verdict(case, _decision(case))


def broken(gate: str, reason: BrokenReason, sentence: str) -> Verdict:
    """A verdict that blames nobody's change: the target, the setup of L, the engine, or relay itself."""
    return Verdict("broken", reason, sentence, gate=gate)


def conflict(landing: str, tree: str, paths: Iterable[str]) -> Verdict:
    """C could not be made: the merge of L and the head conflicts in `paths`; `tree` holds the markers."""
    names = tuple(paths)
    sentence = f"the change conflicts with the landing branch in {_some(names)}"
    return Verdict("failed", "conflict", sentence, paths=names, landing=landing, c_tree=tree, k_tree=tree)


def _case(evidence: Evidence, c_run: RunEvidence, k_run: RunEvidence) -> _Case:
    baseline, gate = evidence.baseline, evidence.definition
    on_c, on_k = outcomes(c_run), outcomes(k_run)
    # Without a known file there is nothing that could be permitted: such an id is missing.
    known = [test for test in baseline.contract if baseline.file(test) is not None]
    variants = tuple(sorted(_variants_gone(known, on_c) & _variants_gone(known, on_k)))
    permitted = set(evidence.permitted)
    left = {test for test in variants if baseline.file(test) in permitted}
    if evidence.granted:
        granted = set(evidence.granted)
        left |= {test for test in baseline.contract if baseline.file(test) in granted}
        if on_k:
            left |= {test for test in baseline.contract if baseline.file(test) is None and test not in on_k}
    contract = frozenset(baseline.contract) - left
    c, k = look(c_run, gate, baseline, contract), look(k_run, gate, baseline, contract)
    passed = sum(outcome == "passed" for outcome in on_c.values())
    too_few = None
    if gate.results == "junit" and passed < gate.min_tests:
        too_few = f"{passed} tests passed; at least {gate.min_tests} must (`min-tests`)"
    return _Case(
        evidence,
        c_run,
        k_run,
        contract,
        tuple(sorted(left)),
        tuple(test for test in variants if test in contract),
        c,
        k if evidence.k_tree == evidence.c_tree else _kept(k, baseline.known, on_c),
        too_few,
    )


def _variants_gone(tests: Iterable[str], reported: Mapping[str, Outcome]) -> set[str]:
    """The ids `f[x]` that are not reported while another `f[...]` is."""
    functions = {_function(other) for other in reported} - {None}
    return {test for test in tests if test.endswith("]") and test not in reported and _function(test) in functions}


def _function(test: str) -> str | None:
    """`f` of an id `f[x]`, None for any other."""
    bracket = test.find("[", max(test.find("::"), 0))
    return test[:bracket] if bracket > 0 else None


def _kept(k: Look, known: Iterable[str], on_c: Mapping[str, Outcome]) -> Look:
    """K has to keep L's contract. A new test that fails there for want of its own new files is C's business."""
    old = set(known)
    red = tuple(test for test in k.red if test in old or on_c.get(test) != "passed")
    return Look(k.ending, red, k.missing, k.skipped, k.uncollected, k.misfit)


def _wrong(seen: Look, too_few: str | None) -> tuple[FailedReason, str] | None:
    """Why a run is not green, in one word and one sentence; None where it is."""
    if seen.ending is not None:
        lost = f"; {_count(seen.missing, 'test')} of the contract did not report" if seen.missing else ""
        return seen.ending.reason, seen.ending.sentence + lost
    if seen.red or seen.uncollected:
        parts = []
        if seen.red:
            parts.append(f"{_count(seen.red, 'test')} red, and not on the landing branch: {_some(seen.red)}")
        if seen.uncollected:
            parts.append(f"the tests cannot be collected in {_some(seen.uncollected)}")
        return "red", "; ".join(parts)
    if seen.lost:
        parts = []
        if seen.missing:
            parts.append(f"{_count(seen.missing, 'test')} of the landing branch did not report: {_some(seen.missing)}")
        if seen.skipped:
            parts.append(f"{_count(seen.skipped, 'test')} newly skipped: {_some(seen.skipped)}")
        return "missing-tests", "; ".join(parts)
    if seen.misfit is not None:
        return "red", seen.misfit
    return ("nothing-ran", too_few) if too_few else None


def _decision(case: _Case) -> _Decision:
    evidence = case.evidence
    c_wrong, k_wrong = _wrong(case.c, case.too_few), _wrong(case.k, None)
    if c_wrong is None and k_wrong is None:
        return _Decision(None, "")
    if c_wrong is not None and evidence.inputs and c_wrong[0] not in ("timeout", "killed"):
        paths = tuple(sorted({*evidence.inputs, *_troubled_files(case)}))
        return _ask(paths, f"it changes what the setup is made from, and in the old environment {c_wrong[1]}", "C")
    if c_wrong is not None and not _only_lost_by_permission(case):
        return _Decision(c_wrong[0], c_wrong[1], "C")
    if k_wrong is not None and (k_wrong[0] in ("timeout", "killed") or not (evidence.refused or case.variants)):
        return _Decision(k_wrong[0], f"with the landing branch's protected files, {k_wrong[1]}", "K")
    paths = _permission_paths(case)
    if k_wrong is not None and not (case.variants and set(case.k.lost) <= set(case.variants)):
        return _ask(paths, f"with the landing branch's version of them, {k_wrong[1]}", "K")
    return _ask(paths, c_wrong[1] if c_wrong else "", "C")


def _ask(paths: tuple[str, ...], why: str, shown: WhichRun) -> _Decision:
    return _Decision("needs-permission", f"a permission is needed for {_some(paths)}: {why}", shown, paths)


def _only_lost_by_permission(case: _Case) -> bool:
    """Whether C is green but for ids that a permission can let go."""
    c = case.c
    if c.ending or c.red or c.uncollected or c.misfit or case.too_few:
        return False
    return all(test in case.variants or _lost_with_its_file(case, test) for test in c.lost)


def _lost_with_its_file(case: _Case, test: str) -> bool:
    """C lacks or skips the id, and the cause is a protected file that C changed: with L's version it is there.

    An id that K, run to its end, lacks or skips too is lost to the product, not to the file.
    """
    refused = case.evidence.refused
    file = case.evidence.baseline.file(test)
    there = outcomes(case.k_run).get(test) in ("passed", *_RED)
    if file is None:
        return bool(refused) and there
    return file in refused and (there or case.k.cut_short)


def _troubled_files(case: _Case) -> set[str]:
    """The changed protected files that the ids in trouble belong to."""
    tests = {*case.c.lost, *case.k.red, *(() if case.k.cut_short else case.k.lost)}
    files = {case.evidence.baseline.file(test) for test in tests} | set(case.k.uncollected)
    return {path for path in case.evidence.refused if path in files}


def _permission_paths(case: _Case) -> tuple[str, ...]:
    """What to ask for: the files of the ids in trouble where that explains all of it, else all that was changed."""
    baseline, refused = case.evidence.baseline, set(case.evidence.refused)
    variants = {file for test in case.variants if (file := baseline.file(test))}
    tests = {*case.c.lost, *case.k.red, *(() if case.k.cut_short else case.k.lost)} - set(case.variants)
    unknown = any(baseline.file(test) not in refused for test in tests)
    unexplained = case.k.ending is not None or case.k.misfit is not None
    unexplained = unexplained or any(path not in refused for path in case.k.uncollected)
    asked = _troubled_files(case) | variants
    return tuple(sorted(refused | variants if unknown or unexplained or not asked else asked))


def _verdict(case: _Case, decision: _Decision) -> Verdict:
    evidence, baseline = case.evidence, case.evidence.baseline
    shown = case.k if decision.shown == "K" else case.c
    run = case.k_run if decision.shown == "K" else case.c_run
    messages = run.report.messages if run.report else {}
    errors = run.report.collection_errors if run.report else {}
    on_c, on_k = outcomes(case.c_run), outcomes(case.k_run)
    known, reds = set(baseline.known), set(baseline.reds)
    counted = {word: sum(outcome == word for outcome in on_c.values()) for word in ("passed", *_RED)}
    return Verdict(
        status="failed" if decision.reason else "passed",
        reason=decision.reason,
        summary=decision.sentence or _passed_sentence(case, counted["passed"]),
        gate=evidence.definition.name,
        shown=decision.shown,
        paths=decision.paths,
        failing=tuple(Failing(test, messages.get(test, "")) for test in shown.red),
        missing=shown.missing,
        newly_skipped=shown.skipped,
        uncollected=tuple(Failing(path, errors.get(path, "")) for path in shown.uncollected),
        left_contract=case.left,
        fail_to_pass=tuple(sorted(test for test in reds if on_c.get(test) == on_k.get(test) == "passed")),
        new_tests=tuple(sorted(set(on_c) - known)),
        old_reds=tuple(sorted(test for test in reds if on_c.get(test) in _RED)),
        passed=counted["passed"],
        failed=counted["failed"] + counted["error"],
        skipped=len(on_c) - sum(counted.values()),
        results=evidence.definition.results,
        weak=_weak(case),
        landing=evidence.landing,
        c_tree=evidence.c_tree,
        k_tree=evidence.k_tree,
        gate_hash=evidence.definition.hash,
        environments=evidence.environments,
        seconds=case.c_run.seconds + (evidence.k.seconds if evidence.k else 0.0),
        baseline_seconds=baseline.seconds,
    )


def _weak(case: _Case) -> str | None:
    if case.evidence.definition.results == "exit-code":
        return "judged by the exit status alone"
    if case.evidence.baseline.empty:
        return "the landing branch has no passing test to keep: only the candidate's own tests speak for it"
    return "every test of the landing branch was let go by permission" if not case.contract else None


def _passed_sentence(case: _Case, passed: int) -> str:
    if case.evidence.definition.results == "exit-code":
        return "the command ended with 0"
    kept = len(case.contract)
    sentence = f"{passed} tests passed; all {kept} of the contract are kept" if kept else f"{passed} tests passed"
    return sentence + (f"; {_count(case.left, 'test')} left it by permission" if case.left else "")


def _count(items: tuple[str, ...], word: str) -> str:
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'}"


def _some(items: tuple[str, ...], limit: int = 5) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(item if len(item) <= 200 else item[:200] + "…" for item in items[:limit]) + more
