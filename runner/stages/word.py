"""The user's word on a change, written into its journal from outside of the run."""

from __future__ import annotations

from dataclasses import dataclass

from runner.codec import plain
from runner.gate.protect import grant_problem
from runner.git.command import GitError
from runner.git.journal import Journal
from runner.git.repo import Repository
from runner.stages.names import change_journal_ref
from runner.stages.records import DecisionRecord, GateRecord
from runner.view import ChangeView, find_change


@dataclass(frozen=True)
class Word:
    """What was recorded: for which run, and the lines to show."""

    run: str
    told: tuple[str, ...]


def approve(repository: Repository, name: str, may_change: tuple[str, ...], note: str, at: float) -> Word:
    """Record an approval of the candidate that stands, or with `may_change` a permission. Raises GitError."""
    for pattern in may_change:
        problem = grant_problem(pattern)
        if problem is not None:
            raise GitError(f"--may-change {problem}")
    found = find_change(repository, name)
    gate = _newest(found.change)
    if not may_change and gate.status != "passed":
        raise GitError(
            f"{name} has not passed its gate ({gate.reason}), and nothing lands untested; "
            + ("allow what it asks for with --may-change" if gate.reason == "needs-permission" else "see relay show")
        )
    record = DecisionRecord(
        decision="approve",
        head=gate.head if not may_change else "",
        tree=gate.tree if not may_change else "",
        acknowledged=gate.acknowledge,
        may_change=may_change,
        note=note,
        at=at,
    )
    _append(repository, found.run.run, found.change.id, record)
    told = [f"{found.change.id}: approved, head {gate.head[:12]}, tree {gate.tree[:12]}"]
    if may_change:
        told = [f"{found.change.id}: may change {', '.join(may_change)}; it is tested again"]
    told += [f"  acknowledged: {path}" for path in gate.acknowledge]
    told += [f"  allowed for your own tools: {path}" for path in gate.host_paths if not may_change]
    return Word(found.run.run, tuple(told))


def reject(repository: Repository, name: str, note: str, at: float) -> Word:
    """Record a rejection; it is final."""
    found = find_change(repository, name)
    if found.change.outcome == "landed":
        raise GitError(f"{name} has landed already; undo it with git revert")
    gates = found.change.of(GateRecord)
    head, tree = (gates[-1].head, gates[-1].tree) if gates else ("", "")
    _append(repository, found.run.run, found.change.id, DecisionRecord("reject", head, tree, note=note, at=at))
    return Word(found.run.run, (f"{found.change.id}: rejected; its branch stays",))


def _newest(change: ChangeView) -> GateRecord:
    gates = change.of(GateRecord)
    if not gates:
        raise GitError(f"{change.id} has not been tested yet, so there is nothing to approve")
    if change.outcome == "landed":
        raise GitError(f"{change.id} has landed already")
    return gates[-1]


def _append(repository: Repository, run: str, change: str, record: DecisionRecord) -> None:
    journal = Journal(repository, change_journal_ref(run, change))
    number = 1 + sum(entry.value.get("kind") == "decision" for entry in journal.entries())
    journal.append(f"decision.{number}", plain(record))
