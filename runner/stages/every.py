"""All stages of a session behind the one Protocol that the flow knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runner.codec import plain
from runner.flow import Answered, At, ChangeResult, Implemented, Judged, Landed, Planned, PlannedChange
from runner.report.log import bound
from runner.stages import approve, baseline, gate, implement, land, permit, plan, review, tasks
from runner.stages.context import Context
from runner.stages.names import branch_ref
from runner.stages.records import CloseRecord


class Every:
    """`Stages` as plain calls of the modules of this folder."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self) -> Judged:
        return baseline.begin(self._context)

    def landed_before(self, task: str) -> str | None:
        return tasks.landed_before(self._context, task)

    def plan(self, task: str) -> Planned:
        with bound(task=task, stage="plan"):
            self._context.check_interrupted()
            return plan.plan(self._context, task)

    def implement(self, at: At) -> Implemented:
        with self._at(at):
            return implement.implement(self._context, at)

    def gate(self, at: At) -> Judged:
        with self._at(at):
            return gate.gate(self._context, at)

    def permit(self, at: At) -> Answered:
        with self._at(at):
            return permit.permit(self._context, at)

    def review(self, at: At) -> Answered:
        with self._at(at):
            return review.review(self._context, at)

    def approve(self, at: At) -> Answered:
        with self._at(at):
            return approve.approve(self._context, at)

    def land(self, at: At) -> Landed:
        with self._at(at):
            return land.land(self._context, at)

    def close(self, result: ChangeResult, at: At) -> None:
        with self._at(at):
            context = self._context
            record = CloseRecord(result.outcome, result.rounds, context.mask(result.why), result.landed, context.wall())
            journal = context.change_journal(result.id)
            if journal.find(f"close.{context.epoch}") is None:
                journal.append(f"close.{context.epoch}", plain(record))
            waits = result.outcome not in ("landed", "no-change")
            branch = branch_ref(context.run, result.id).removeprefix("refs/heads/") if waits else ""
            context.emit("change ended", outcome=result.outcome, why=result.why, branch=branch)

    def change(self, change: PlannedChange, task: str) -> ChangeResult:
        raise NotImplementedError("a change runs as a unit of the engine")

    @contextmanager
    def _at(self, at: At) -> Iterator[None]:
        self._context.check_interrupted()
        with bound(task=at.task, change=at.change, stage=at.stage, round=at.round):
            yield
        self._context.ledger.tick()
