"""Runs, tasks and changes as the journals in git tell them. It changes nothing.

The log and the ledger of a run, where they are still there, add what happens now and the exact costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runner.accounts import Total, booked, spendings_of, total_of
from runner.git.history import is_ancestor
from runner.git.refs import listed
from runner.git.repo import Repository
from runner.journals import Entry, NotFound, entries, newest_run, no_run, run_ids
from runner.lock import Holder, owner
from runner.outcomes import ChangeOutcome, RunOutcome, run_outcome, task_outcome
from runner.stages.names import branch_ref, change_journal_ref, head_ref, journal_ref, landed_ref
from runner.stages.records import (
    ChangeText,
    CloseRecord,
    DecisionRecord,
    EndRecord,
    GateRecord,
    LandRecord,
    OpenRecord,
    PlannedRecord,
    Started,
    TaskEnd,
    TurnRecord,
)
from runner.view import ChangeView, FoundChange, RunState, RunView, TaskView

UNFINISHED = (None, "needs-human", "budget", "broken")  # how a change may stand that goes on when its run does


def list_runs(repository: Repository, limit: int | None = None) -> tuple[RunView, ...]:
    """The runs of the repository, newest first, at most `limit`. Raises Unreadable."""
    return tuple(read_run(repository, run) for run in run_ids(repository)[:limit])


def read_run(repository: Repository, run: str | None = None) -> RunView:
    """A run, or the newest. Raises NotFound, naming the runs that there are, and Unreadable."""
    name = run or newest_run(repository)
    recorded = entries(repository, journal_ref(name))
    started = next((entry.record for entry in recorded if isinstance(entry.record, Started)), None)
    if started is None:
        raise no_run(name, run_ids(repository))
    ends = [entry.record for entry in recorded if isinstance(entry.record, EndRecord)]
    end = ends[-1] if ends else EndRecord("interrupted", "")
    tips = listed(repository, "refs/heads", f"refs/relay/runs/{name}")
    plans = {entry.record.task: entry.record for entry in recorded if isinstance(entry.record, PlannedRecord)}
    holder = owner(repository.state / "lock")
    holder = holder if holder and holder.run == name else None
    reading = _Reading(repository, name, tips, end, running=holder is not None)
    # JSON objects are stored with sorted keys: the plans tell the order, names with numbers the rest.
    order = sorted(
        started.tasks, key=lambda task: (list(plans).index(task) if task in plans else len(plans), _natural(task))
    )
    tasks = tuple(reading.task(task, started.tasks[task], plans.get(task)) for task in order)
    landing = _landing(name, started, tasks, tips)
    target = tips.get(f"refs/heads/{started.target}")
    outcome = _outcome(ends, tasks, holder)
    return RunView(
        run=name,
        pipeline=started.pipeline,
        target=started.target,
        landing_branch=landing.removeprefix("refs/heads/"),
        start=started,
        outcome=outcome,
        why=end.why if outcome == end.outcome else "",
        tasks=tasks,
        total=_total(repository, name, tasks, plans.values()),
        target_moved=target is not None and target != started.target_commit,
        bring_in=_bring_in(repository, name, started, tips),
        holder=holder,
        started_at=started.at,
        ended_at=ends[-1].at if ends and outcome not in ("running", "interrupted") else None,
        seconds=sum(one.seconds for one in ends),
    )


def find_change(repository: Repository, name: str) -> FoundChange:
    """The change that `[RUN/]CHANGE` names; without RUN that of the newest run.

    Raises NotFound, naming the changes of that run, or the other runs that have one of this name.
    """
    run, slash, wanted = name.rpartition("/")
    view = read_run(repository, run if slash else None)
    for change in view.changes:
        if change.id == wanted:
            return FoundChange(view, change)
    others = [f"{other}/{wanted}" for other in run_ids(repository) if other != view.run] if not slash else []
    have = [other for other in others if change_journal_ref(*other.split("/", 1)) in listed(repository, "refs/relay")]
    known = ", ".join(change.id for change in view.changes) or "none yet"
    also = f"; another run has it: {have[0]}" if have else ""
    raise NotFound(f"run {view.run} has no change {wanted!r}; its changes: {known}{also}")


@dataclass(frozen=True)
class _Reading:
    """One reading of a run: what its changes are read with."""

    repository: Repository
    run: str
    tips: Mapping[str, str]
    end: EndRecord
    running: bool

    def task(self, task: str, title: str, plan: PlannedRecord | None) -> TaskView:
        end = self.end.tasks.get(task, TaskEnd("interrupted"))
        texts = plan.changes if plan else ()
        changes = tuple(self.change(task, text, number, len(texts), end) for number, text in enumerate(texts, 1))
        over = [change.outcome for change in changes if change.outcome]
        outcome: RunOutcome | None = end.outcome if task in self.end.tasks else None
        if self.end.outcome == "cancelled" and outcome is None:
            outcome = "cancelled"
        if changes and len(over) == len(changes):
            outcome = task_outcome(over)
        elif changes and self.running:
            outcome = None
        return TaskView(task, title, outcome, end.why or (plan.why if plan else ""), plan, changes)

    def change(self, task: str, text: ChangeText, number: int, total: int, end: TaskEnd) -> ChangeView:
        recorded = entries(self.repository, change_journal_ref(self.run, text.id))
        opened = next((entry.record for entry in recorded if isinstance(entry.record, OpenRecord)), None)
        past = tuple(entry for entry in recorded if not isinstance(entry.record, OpenRecord))
        outcome, why = _ending(past)
        if not recorded:
            outcome = end.changes.get(text.id)
            why = f"needs {', '.join(text.needs)}" if outcome == "skipped" else ""
        if self.end.outcome == "cancelled" and outcome in UNFINISHED:
            outcome, why = "cancelled", self.end.why
        branch, kept = branch_ref(self.run, text.id), head_ref(self.run, text.id)
        name = branch.removeprefix("refs/heads/") if branch in self.tips else kept if kept in self.tips else None
        heads = [entry.record.head for entry in past if isinstance(entry.record, TurnRecord) and entry.record.head]
        trees = [entry.record.tree for entry in past if isinstance(entry.record, GateRecord | LandRecord)]
        said = heads[-1] if heads else opened.spec_commit if opened else None
        return ChangeView(
            id=text.id,
            task=task,
            title=text.title,
            body=text.body,
            number=opened.number if opened else number,
            total=opened.total if opened else total,
            needs=text.needs,
            may_change=opened.may_change if opened else text.may_change,
            outcome=outcome,
            why=why,
            rounds=max(
                (getattr(entry.record, "round", getattr(entry.record, "rounds", 0)) for entry in past), default=0
            ),
            base=opened.base if opened else None,
            branch=name,
            head=self.tips.get(branch) or self.tips.get(kept) or said,
            tree=next((tree for tree in reversed(trees) if tree), None),
            landed=self._landed(past),
            entries=past,
        )

    def _landed(self, past: Iterable[Entry]) -> str | None:
        """The commit that the landing branch holds: as the change's end says, else as the branch shows."""
        landed = None
        for entry in past:
            if isinstance(entry.record, CloseRecord) and entry.record.landed:
                landed = entry.record.landed
            elif isinstance(entry.record, LandRecord):
                tip = self.tips.get(entry.record.branch)
                holds = tip is not None and is_ancestor(self.repository, entry.record.commit, tip)
                landed = entry.record.commit if holds else landed
        return landed


def _ending(past: tuple[Entry, ...]) -> tuple[ChangeOutcome | None, str]:
    """How a change ended and why: its newest end, unless it went on after it; a no of the user is final."""
    outcome: ChangeOutcome | None = None
    why = ""
    for entry in past:
        record = entry.record
        if isinstance(record, CloseRecord):
            outcome, why = record.outcome, record.why
        elif isinstance(record, DecisionRecord):
            if record.decision == "reject" and outcome is not None:
                outcome, why = "rejected", record.note or "rejected by you"
        else:
            outcome, why = None, ""
    return outcome, why


def _outcome(ends: list[EndRecord], tasks: tuple[TaskView, ...], holder: Holder | None) -> RunState:
    if holder is not None:
        return "running"
    if not ends:
        return "interrupted"
    changes = [change for task in tasks for change in task.changes]
    newest = [
        entry.record.at
        for change in changes
        for entry in change.entries
        if not isinstance(entry.record, DecisionRecord)
    ]
    if max(newest, default=0.0) > ends[-1].at:
        return "interrupted"  # another session went on after that end, and never wrote its own
    outcome = ends[-1].outcome
    over = [task.outcome for task in tasks if task.outcome is not None]
    if outcome == "needs-human" and len(over) == len(tasks):
        return run_outcome(over)
    return outcome


def _landing(run: str, started: Started, tasks: tuple[TaskView, ...], tips: Mapping[str, str]) -> str:
    used = [record.branch for task in tasks for change in task.changes for record in change.of(LandRecord)]
    if landed_ref(run) in tips:
        return landed_ref(run)
    return used[-1] if used else f"refs/heads/{started.target}"


def _bring_in(repository: Repository, run: str, started: Started, tips: Mapping[str, str]) -> str | None:
    landed, target = tips.get(landed_ref(run)), tips.get(f"refs/heads/{started.target}")
    if landed is None or (target is not None and is_ancestor(repository, landed, target)):
        return None
    return f"relay land {run}"


def _total(repository: Repository, run: str, tasks: tuple[TaskView, ...], plans: Iterable[PlannedRecord]) -> Total:
    changes = (one for task in tasks for change in task.changes for one in change.spent)
    told = total_of((*spendings_of(plans), *changes))
    ledger = booked(repository.state / "runs" / run / "ledger.jsonl")
    return Total(told.tokens, ledger.cost_usd, ledger.at_most) if ledger else told


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which `t2` comes before `t10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
