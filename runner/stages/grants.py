"""Who allowed a change to touch which protected files: the user, the planner, or a permission given later."""

from __future__ import annotations

from runner.stages.branches import History, history, opened
from runner.stages.context import Context
from runner.stages.records import DecisionRecord, PermitRecord


def user_grants(context: Context, task_id: str) -> tuple[str, ...]:
    """Patterns that the user gave, in the pipeline or in the task: the only ones that reach host paths."""
    stages = [pattern for stage in context.stages("implement") for pattern in stage.may_change]
    return tuple(dict.fromkeys((*stages, *context.task(task_id).may_change)))


def grants(context: Context, change: str) -> tuple[str, ...]:
    """Every pattern that lifts protection for a change. Models' words never reach host paths: see `gate.py`."""
    about = opened(context, change)
    return tuple(
        dict.fromkeys(
            (*user_grants(context, about.task), *about.may_change, *later_grants(history(context, change))),
        )
    )


def later_grants(past: History) -> tuple[str, ...]:
    """What permission turns and `relay approve --may-change` gave, as patterns."""
    given: list[str] = []
    for record in past:
        if isinstance(record, PermitRecord):
            given += [exactly(path) for path in record.paths]
        elif isinstance(record, DecisionRecord):
            given += record.may_change
    return tuple(given)


def exactly(path: str) -> str:
    """The gitignore pattern that matches this path and no other."""
    escaped = "".join(f"\\{char}" if char in "*?[]\\!# " else char for char in path)
    return f"/{escaped}"
