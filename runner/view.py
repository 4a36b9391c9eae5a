"""A run, a task and a change as every view shows them, and their JSON. `runner/reading.py` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from runner.accounts import Total, by_role_and_model, spendings_of, total_of
from runner.journals import Entry
from runner.lock import Holder
from runner.outcomes import ChangeOutcome, RunOutcome
from runner.stages.records import PlannedRecord, Spending, Started

RunState = RunOutcome | Literal["running"]
R = TypeVar("R")


@dataclass(frozen=True)
class ChangeView:
    """One change. `outcome` None: it is not over. `branch` is a name that git resolves now; ids are None where unknown.

    `entries` is its history in order, without its opening. `tree` is the newest candidate that was tested.
    """

    id: str
    task: str
    title: str
    body: str
    number: int
    total: int
    needs: tuple[str, ...]
    may_change: tuple[str, ...]
    outcome: ChangeOutcome | None
    why: str
    rounds: int
    base: str | None
    branch: str | None
    head: str | None
    tree: str | None
    landed: str | None
    entries: tuple[Entry, ...] = ()

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """The records of one kind, in order."""
        return tuple(entry.record for entry in self.entries if isinstance(entry.record, kind))

    @property
    def spent(self) -> tuple[Spending, ...]:
        """What its turns cost, one value per turn and model."""
        return spendings_of(entry.record for entry in self.entries)


@dataclass(frozen=True)
class TaskView:
    """One task. `outcome` None: it is not over."""

    id: str
    title: str
    outcome: RunOutcome | None
    why: str
    plan: PlannedRecord | None
    changes: tuple[ChangeView, ...]


@dataclass(frozen=True)
class RunView:
    """One run. Branches are short names; times are seconds since the epoch, None while it has not ended.

    `interrupted` is also a run that never wrote its end and has no owner. `target_moved`: the target is no longer
    where the run found it. `bring_in`: the one command that brings what landed into the target, None without need.
    """

    run: str
    pipeline: str
    target: str
    landing_branch: str
    start: Started
    outcome: RunState
    why: str
    tasks: tuple[TaskView, ...]
    total: Total
    target_moved: bool
    bring_in: str | None
    holder: Holder | None
    started_at: float
    ended_at: float | None
    seconds: float

    @property
    def changes(self) -> tuple[ChangeView, ...]:
        """All changes of all tasks, in order."""
        return tuple(change for task in self.tasks for change in task.changes)

    @property
    def spent(self) -> tuple[Spending, ...]:
        """What each role's calls to each model cost, in the order in which they first spoke."""
        plans = spendings_of(task.plan for task in self.tasks if task.plan)
        return by_role_and_model((*plans, *(one for change in self.changes for one in change.spent)))


@dataclass(frozen=True)
class FoundChange:
    """A change and the run that it belongs to."""

    run: RunView
    change: ChangeView

    @property
    def name(self) -> str:
        """What to call it on the command line."""
        return f"{self.run.run}/{self.change.id}"


def run_json(view: RunView) -> dict[str, Any]:
    """The object that `--json` prints for a run; null where something is unknown or not over."""
    return {
        "run": view.run,
        "outcome": view.outcome,
        "landing_branch": view.landing_branch,
        "target_moved": view.target_moved,
        "bring_in": view.bring_in,
        "cost_usd": view.total.cost_usd,
        "tasks": [
            {
                "id": task.id,
                "title": task.title,
                "outcome": task.outcome,
                "changes": [change_json(change) for change in task.changes],
            }
            for task in view.tasks
        ],
    }


def change_json(change: ChangeView) -> dict[str, Any]:
    """A change as it stands in the object of a run."""
    total = total_of(change.spent)
    return {
        "id": change.id,
        "title": change.title,
        "outcome": change.outcome,
        "rounds": change.rounds,
        "branch": change.branch,
        "head": change.head,
        "tree": change.tree,
        "landed": change.landed,
        "tokens": vars(total.tokens).copy(),
        "cost_usd": total.cost_usd,
    }
