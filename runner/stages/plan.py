"""Planning a task: a spec, cut into changes; or the task's own text as the spec of one change."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.pipeline import Stage, Task
from runner.agent.endings import Spec, spec_check, spec_of
from runner.agent.openings import PlanFacts, plan_opening
from runner.agent.prompts import system_text
from runner.codec import plain
from runner.flow import Planned, PlannedChange
from runner.git.history import tree_of
from runner.models.base import Place
from runner.stages.branches import found, landing_tip
from runner.stages.context import Context
from runner.stages.environments import environment_of
from runner.stages.grants import user_grants
from runner.stages.project import forbidden_to_models, project_facts
from runner.stages.records import ChangeText, PlannedRecord
from runner.stages.tasks import landed_part
from runner.stages.turn import Assignment, taken

PLAN_TIMEOUT = 1800.0


def plan(context: Context, task_id: str) -> Planned:
    """The changes of a task. Safe to repeat: a plan that was recorded stands."""
    record = found(context.journal, f"plan.{task_id}", PlannedRecord)
    if record is None:
        stages = context.stages("plan")
        record = _ask(context, context.task(task_id), stages[0]) if stages else _as_it_stands(context, task_id)
    if record.end != "done":
        return Planned(outcome="budget" if record.end == "budget" else "gave-up", why=f"{record.end}: {record.why}")
    changes = tuple(PlannedChange(text.id, context.mask(text.title), text.needs) for text in record.changes)
    context.emit("planned", task=task_id, changes=[f"{text.id} {text.title}" for text in record.changes])
    return Planned(changes)


def _as_it_stands(context: Context, task_id: str) -> PlannedRecord:
    task = context.task(task_id)
    title, body = split_title(context.mask(task.text))
    only = ChangeText(f"{task_id}-1", title, body or title)
    record = PlannedRecord(
        task=task_id,
        end="done",
        title=title,
        body=body or title,
        changes=(only,),
        base=landing_tip(context),
        at=context.wall(),
    )
    context.journal.append(f"plan.{task_id}", plain(record))
    return record


def split_title(text: str) -> tuple[str, str]:  # title, body
    """A task's first line without its heading mark, and the rest."""
    first, _, rest = text.strip().partition("\n")
    return first.lstrip("# ").strip(), rest.strip()


def _ask(context: Context, task: Task, stage: Stage) -> PlannedRecord:
    tip = landing_tip(context)
    tree = tree_of(context.repository, tip)
    role = context.role(stage.objects[0])
    allowed = user_grants(context, task.id)
    facts = PlanFacts(task.text, stage.max_changes, allowed, landed_part(context, task.id))
    assignment = Assignment(
        key=f"{task.id}.plan.{stage.name}",
        kind="plan",
        role=role,
        place=Place(role.name, task.id),
        tree=tree,
        history=tip,
        environment=environment_of(context, tree),
        system=system_text("plan", role.prompt),
        opening=plan_opening(project_facts(context, tree, role), facts),
        check=spec_check(stage.max_changes, forbidden_to_models(context, allowed)),
        timeout=PLAN_TIMEOUT,
    )
    with taken(context, assignment) as turn:
        result = turn.result
        spec = spec_of(result.payload) if result.payload is not None else Spec("", "", ())
        record = PlannedRecord(
            task=task.id,
            end=result.end,
            title=context.mask(spec.title),
            body=context.mask(spec.body),
            changes=tuple(_texts(context, task.id, spec)),
            base=tip,
            role=role.name,
            model=turn.model,
            why=context.mask(result.detail) if result.end != "done" else "",
            spent=turn.spent,
            seconds=result.seconds,
            at=context.wall(),
        )
        if result.end != "budget":
            context.journal.append(f"plan.{task.id}", plain(record), {"transcript.jsonl": turn.transcript})
    return record


def _texts(context: Context, task_id: str, spec: Spec) -> list[ChangeText]:
    """The changes with relay's ids; `needs` by title become ids, and where nothing is said the one before is needed."""
    ids = {change.title: f"{task_id}-{number}" for number, change in enumerate(spec.changes, start=1)}
    texts: list[ChangeText] = []
    for number, change in enumerate(spec.changes, start=1):
        texts.append(
            ChangeText(
                id=f"{task_id}-{number}",
                title=context.mask(change.title),
                body=context.mask(change.body or change.title),
                needs=_needs(change.needs, ids, texts),
                may_change=change.may_change,
            )
        )
    return texts


def _needs(said: Sequence[str] | None, ids: dict[str, str], before: Sequence[ChangeText]) -> tuple[str, ...]:
    if said is None:
        return (before[-1].id,) if before else ()
    return tuple(ids[title] for title in said)
