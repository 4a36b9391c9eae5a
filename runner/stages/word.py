"""The user's word on a change, written into its journal from outside of the run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from runner.codec import plain
from runner.flow import NO_MERGE
from runner.gate.protect import grant_problem, matching, path_bytes, path_text
from runner.git.journal import Journal
from runner.git.repo import Repository
from runner.outcomes import OVER
from runner.reading import find_change
from runner.stages.names import change_journal_ref
from runner.stages.records import DecisionRecord, GateRecord
from runner.view import FoundChange

DONE = ("landed", "gave-up", "no-change", "skipped", "cancelled")  # what no word changes any more


class Refused(Exception):
    """The word cannot be taken; nothing was recorded. The text says why, and what to do."""

    exit_code = 2


@dataclass(frozen=True)
class Word:
    """What was recorded of which change, and the lines that say it. `allowed` are host paths that it lets through."""

    run: str
    change: str
    record: DecisionRecord
    told: tuple[str, ...]
    allowed: tuple[str, ...] = ()


def approve(repository: Repository, name: str, may_change: tuple[str, ...], note: str, at: float) -> Word:
    """Record an approval of the candidate that stands, and with `may_change` a permission. Raises Refused, NotFound.

    A candidate that did not pass cannot be approved, but what it asks for can be allowed: then it is tested again.
    """
    for problem in filter(None, map(grant_problem, may_change)):
        raise Refused(f"--may-change {problem}")
    found = find_change(repository, name)
    _assert_open(found)
    if found.change.why.startswith(NO_MERGE):
        raise Refused(f"{found.name} lands only by you, {NO_MERGE}: git merge {found.change.branch}")
    gates = found.change.of(GateRecord)
    if not gates:
        raise Refused(f"{found.name} has not been tested yet, so there is nothing to approve")
    gate, passed = gates[-1], gates[-1].status == "passed"
    if gate.reason == "needs-permission":
        _assert_covered(found, gate, may_change)
    elif not passed:
        raise Refused(
            f"{found.name} has not passed its gate ({gate.reason}), and nothing lands untested: relay show {found.name}"
        )
    record = DecisionRecord(
        decision="approve",
        head=gate.head if passed else "",
        tree=gate.tree if passed else "",
        acknowledged=gate.acknowledge if passed else (),
        may_change=may_change,
        note=note,
        at=at,
    )
    _append(repository, found, record)
    told = [f"{found.name}: approved, head {gate.head[:12]}, tree {gate.tree[:12]}"] if passed else []
    again = "" if passed else "; it is tested again"
    told += [f"{found.name}: may change {', '.join(may_change)}{again}"] if may_change else []
    told += [f"  acknowledged: {path}" for path in record.acknowledged]
    allowed = gate.host_paths if passed else ()
    told += [f"  allowed for your own tools: {path}" for path in allowed]
    return Word(found.run.run, found.change.id, record, tuple(told), allowed)


def reject(repository: Repository, name: str, note: str, at: float) -> Word:
    """Record a rejection; it is final. Raises Refused, NotFound."""
    found = find_change(repository, name)
    if found.change.outcome == "landed":
        raise Refused(f"{found.name} has landed already; undo it with git revert {(found.change.landed or '')[:12]}")
    _assert_open(found)
    if found.change.base is None:
        raise Refused(f"{found.name} has not begun yet; relay cancel {found.run.run} ends the whole run")
    gates = found.change.of(GateRecord)
    head, tree = (gates[-1].head, gates[-1].tree) if gates else ("", "")
    record = DecisionRecord("reject", head, tree, note=note, at=at)
    _append(repository, found, record)
    return Word(found.run.run, found.change.id, record, (f"{found.name}: rejected; its branch stays",))


def _assert_open(found: FoundChange) -> None:
    said = found.change.of(DecisionRecord)
    if found.change.outcome == "rejected" or any(record.decision == "reject" for record in said):
        raise Refused(f"{found.name} was rejected, and that is final: start another run for it")
    if found.change.outcome in DONE:
        raise Refused(f"{found.name} has ended already: {found.change.outcome}")
    if found.run.outcome in OVER:
        raise Refused(f"run {found.run.run} has ended already: {found.run.outcome}")


def _assert_covered(found: FoundChange, gate: GateRecord, may_change: tuple[str, ...]) -> None:
    """A permission has to name all that the change asks for, or the same question would come back."""
    patterns = [*may_change, *(each for said in found.change.of(DecisionRecord) for each in said.may_change)]
    wanted = [path_bytes(path) for path in gate.paths]
    missing = sorted(set(wanted) - matching(patterns, wanted))
    if missing or not may_change:
        options = " ".join(f"--may-change {shlex.quote(path_text(path))}" for path in missing or wanted)
        raise Refused(f"{found.name} asks for more than an approval: relay approve {found.name} {options}")


def _append(repository: Repository, found: FoundChange, record: DecisionRecord) -> None:
    journal = Journal(repository, change_journal_ref(found.run.run, found.change.id))
    number = 1 + sum(entry.value.get("kind") == "decision" for entry in journal.entries())
    journal.append(f"decision.{number}", plain(record))
