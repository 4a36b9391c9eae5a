"""Who allowed a change to touch which protected files: the user, the planner, or a permission given later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.gate.protect import exactly, granted, path_bytes
from runner.stages.branches import history, opened
from runner.stages.context import Context
from runner.stages.records import DecisionRecord, PermitRecord


@dataclass(frozen=True)
class Grants:
    """Patterns in gitignore syntax. Only the user's reach host paths; a model's word never does."""

    by_user: tuple[str, ...]
    by_model: tuple[str, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.by_user, *self.by_model)

    def lifts(self, changed: Iterable[bytes]) -> frozenset[bytes]:
        """Those of the changed paths whose protection is lifted."""
        return granted(changed, by_user=self.by_user, by_model=self.by_model)


def user_grants(context: Context, task_id: str) -> tuple[str, ...]:
    """Patterns that the user gave, on the command line, in the pipeline or in the task."""
    stages = [pattern for stage in context.stages("implement") for pattern in stage.may_change]
    return tuple(dict.fromkeys((*stages, *context.task(task_id).may_change)))


def grants(context: Context, change: str) -> Grants:
    """Every permission that a change has by now."""
    about = opened(context, change)
    by_user, by_model = list(user_grants(context, about.task)), list(about.may_change)
    for record in history(context, change):
        if isinstance(record, DecisionRecord):
            by_user += record.may_change
        elif isinstance(record, PermitRecord):
            by_model += [exactly(path_bytes(path)) for path in record.paths]
    return Grants(tuple(dict.fromkeys(by_user)), tuple(dict.fromkeys(by_model)))
