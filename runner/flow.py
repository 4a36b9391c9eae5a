"""From a task to landed commits, read from top to bottom: the promise as plain Python over `do: Stages`.

Pure control flow. Every effect is a method of `do`; each is safe to repeat, and what it returns is small and holds ids
only. The list of stages is the order; the only loop goes back to the nearest `implement` above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pipelines.pipeline import Pipeline, Stage, Task
from runner.outcomes import ChangeOutcome, RunOutcome, TurnEnd, run_outcome, task_outcome


@dataclass(frozen=True)
class At:
    """Where a change stands: which stage, in which round, at which attempt on a landing branch that moves."""

    task: str
    change: str
    stage: str = ""
    round: int = 1
    attempt: int = 1


@dataclass(frozen=True)
class PlannedChange:
    """One unit of a task. `needs` are ids of changes of the same task."""

    id: str
    title: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """What planning a task gave: changes in order, or the reason why there are none."""

    changes: tuple[PlannedChange, ...] = ()
    outcome: ChangeOutcome | None = None
    why: str = ""


@dataclass(frozen=True)
class Implemented:
    """How an implementer's turn ended, and the branch's head after it. `rejected`: the user wants no more of it."""

    end: TurnEnd
    head: str = ""
    why: str = ""
    rejected: bool = False


@dataclass(frozen=True)
class Judged:
    """The verdict of a test stage: of its first gate that did not pass, or of the last one."""

    status: Literal["passed", "failed", "broken"]
    reason: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Answered:
    """A yes, a no, nobody there to say either, or what ended the asking. The user's own yes needs no round left."""

    answer: Literal["yes", "no", "waits", "budget", "cancelled", "rejected"]
    why: str = ""
    by_user: bool = False


@dataclass(frozen=True)
class Landed:
    """What came of the attempt to land a candidate."""

    result: Literal["landed", "moved", "waits", "rejected"]
    commit: str = ""
    why: str = ""


@dataclass(frozen=True)
class ChangeResult:
    """The end of a change."""

    id: str
    title: str
    outcome: ChangeOutcome
    rounds: int = 0
    why: str = ""
    landed: str | None = None


@dataclass(frozen=True)
class TaskResult:
    """The end of a task."""

    id: str
    outcome: RunOutcome
    changes: tuple[ChangeResult, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class RunResult:
    """The end of a run."""

    outcome: RunOutcome
    tasks: tuple[TaskResult, ...] = ()
    why: str = ""


class Stages(Protocol):
    """All effects of a run. Each method does its work once: called again, it gives the recorded result."""

    def begin(self) -> Judged:
        """Build the environment and run every gate on the landing branch, before anything is paid for."""
        ...

    def landed_before(self, task: str) -> str | None:
        """Why a task needs no run: it has landed, or waits in an earlier run's `landed`."""
        ...

    def plan(self, task: str) -> Planned: ...

    def implement(self, at: At) -> Implemented: ...

    def gate(self, at: At) -> Judged: ...

    def permit(self, at: At) -> Answered: ...

    def review(self, at: At) -> Answered: ...

    def approve(self, at: At) -> Answered: ...

    def land(self, at: At) -> Landed: ...

    def close(self, result: ChangeResult, at: At) -> None:
        """Record how a change ended."""
        ...

    def change(self, change: PlannedChange, task: str) -> ChangeResult:
        """Run one change by `run_change`, as a unit that can be resumed."""
        ...


NO_MERGE = "no merge stage"
STOPS: frozenset[str] = frozenset({"budget", "cancelled", "broken"})


def run_pipeline(do: Stages, pipeline: Pipeline) -> RunResult:
    """Run every task in order; stop early only when nothing further may be done."""
    begun = do.begin()
    if begun.status != "passed":
        return RunResult("broken", why=begun.why)
    done: list[TaskResult] = []
    for task in in_order(pipeline.tasks):
        done.append(run_task(do, task, done))
        if done[-1].outcome in STOPS:
            break
    return RunResult(run_outcome(result.outcome for result in done), tuple(done))


def in_order(tasks: Sequence[Task]) -> list[Task]:
    """Higher priority first, then as listed, but never before a task that is needed."""
    waiting = sorted(tasks, key=lambda task: -task.priority)
    ordered: list[Task] = []
    while waiting:
        open_ids = {task.id for task in waiting}
        ready = next((task for task in waiting if not open_ids & set(task.needs)), waiting[0])
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def run_task(do: Stages, task: Task, earlier: Sequence[TaskResult]) -> TaskResult:
    """Plan a task and run its changes in order."""
    skip = do.landed_before(task.id)
    if skip:
        return TaskResult(task.id, "nothing-to-do", why=skip)
    failed = [
        result.id for result in earlier if result.id in task.needs and result.outcome not in ("landed", "nothing-to-do")
    ]
    if failed:
        return TaskResult(task.id, "partial", why=f"skipped: needs {failed[0]}")
    planned = do.plan(task.id)
    if planned.outcome:
        return TaskResult(task.id, task_outcome([planned.outcome]), why=planned.why)
    done: list[ChangeResult] = []
    for change in planned.changes:
        done.append(_skipped(change, done) or do.change(change, task.id))
        if done[-1].outcome in STOPS:
            break
    return TaskResult(task.id, task_outcome(result.outcome for result in done), tuple(done))


def _skipped(change: PlannedChange, done: Sequence[ChangeResult]) -> ChangeResult | None:
    for result in done:
        if result.id in change.needs and result.outcome not in ("landed", "no-change"):
            return ChangeResult(change.id, change.title, "skipped", why=f"needs {result.id}")
    return None


def run_change(do: Stages, stages: Sequence[Stage], change: PlannedChange, task: str) -> ChangeResult:
    """Take one change through the stages until it lands or ends otherwise."""
    flow = [stage for stage in stages if stage.verb != "plan"]
    at, index, step = At(task, change.id), 0, Step("next")
    while index < len(flow) and step.go != "end":
        at = replace(at, stage=flow[index].name)
        step = perform(do, flow[index], at)
        if step.go == "next":
            index += 1
        elif step.go == "retest":
            index, at = _nearest(flow, index, "implement") + 1, replace(at, attempt=at.attempt + 1)
        elif step.go in ("back", "again"):
            implement = _nearest(flow, index, "implement")
            if at.round >= flow[implement].max_rounds and not step.free:
                used = "1 round" if at.round == 1 else f"{at.round} rounds"
                step = Step("end", "gave-up", f"{used} used; the last one: {step.why}")
            else:
                at = replace(at, round=at.round + 1)
                index = implement if step.go == "back" else index
    if step.go != "end":
        step = Step("end", "needs-human", f"{NO_MERGE}: the branch waits for you")
    result = ChangeResult(change.id, change.title, step.outcome, at.round, step.why, step.commit or None)
    do.close(result, at)
    return result


@dataclass(frozen=True)
class Step:
    """Where to go after a stage: on, back to the implementer, the same stage again, the gates again, or the end.

    A `free` step is taken even when no round is left.
    """

    go: Literal["next", "back", "again", "retest", "end"]
    outcome: ChangeOutcome = "gave-up"
    why: str = ""
    commit: str = ""
    free: bool = False


def perform(do: Stages, stage: Stage, at: At) -> Step:
    """One stage of one change, and what its result means for the way."""
    if stage.verb == "implement":
        return _after_turn(do.implement(at), at)
    if stage.verb == "test":
        return _after_gate(do, do.gate(at), at)
    if stage.verb == "review":
        return _after_answer(do.review(at))
    if stage.verb == "approve":
        return _after_answer(do.approve(at))
    return _after_landing(do.land(at))


def _after_turn(turn: Implemented, at: At) -> Step:
    if turn.rejected:
        return Step("end", "rejected", turn.why)
    if turn.end == "done":
        return Step("next")
    if turn.end == "no-change":
        why = turn.why or "the turn changed nothing"
        return Step("end", "no-change", why) if at.round == 1 else Step("back", why=why)
    if turn.end in ("budget", "cancelled"):
        return Step("end", turn.end, turn.why)
    if turn.end == "refusal":
        return Step("end", "gave-up", turn.why or "the model refused")
    return Step("back", why=f"the turn ended as {turn.end}: {turn.why}")


def _after_gate(do: Stages, judged: Judged, at: At) -> Step:
    if judged.status == "passed":
        return Step("next")
    if judged.status == "broken":
        return Step("end", "broken", judged.why)
    if judged.reason == "needs-permission":
        answered = do.permit(at)
        yes = Step("again", why=judged.why, free=answered.by_user)
        return yes if answered.answer == "yes" else _after_answer(answered)
    return Step("back", why=judged.why)


def _after_answer(answered: Answered) -> Step:
    if answered.answer == "yes":
        return Step("next")
    if answered.answer == "no":
        return Step("back", why=answered.why)
    if answered.answer == "waits":
        return Step("end", "needs-human", answered.why)
    return Step("end", answered.answer, answered.why)


def _after_landing(landed: Landed) -> Step:
    if landed.result == "landed":
        return Step("end", "landed", commit=landed.commit)
    if landed.result == "moved":
        return Step("retest", why=landed.why)
    return Step("end", "needs-human" if landed.result == "waits" else "rejected", landed.why)


def _nearest(flow: Sequence[Stage], index: int, verb: str) -> int:
    return next(i for i in range(index, -1, -1) if flow[i].verb == verb)
