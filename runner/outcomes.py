"""The closed sets of relay's words, and how the outcomes of changes and tasks add up to one outcome and exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

TurnEnd = Literal[
    "done",
    "no-change",
    "steps",
    "timeout",
    "idle",
    "format",
    "context",
    "refusal",
    "stuck",
    "limit",
    "provider",
    "budget",
    "cancelled",
]
ChangeOutcome = Literal[
    "landed", "gave-up", "rejected", "needs-human", "no-change", "skipped", "budget", "cancelled", "broken"
]
RunOutcome = Literal[
    "landed", "partial", "nothing-to-do", "needs-human", "budget", "cancelled", "interrupted", "broken"
]

# The first that applies wins.
PRECEDENCE: tuple[RunOutcome, ...] = (
    "interrupted",
    "cancelled",
    "broken",
    "budget",
    "needs-human",
    "partial",
    "nothing-to-do",
    "landed",
)

# After these nothing of a run can go on.
OVER: tuple[RunOutcome, ...] = ("landed", "nothing-to-do", "partial", "cancelled")

EXIT: Mapping[RunOutcome, int] = {
    "landed": 0,
    "nothing-to-do": 0,
    "partial": 1,
    "broken": 4,
    "needs-human": 6,
    "budget": 7,
    "cancelled": 130,
    "interrupted": 130,
}

EXIT_USAGE = 2
EXIT_BUG = 3
EXIT_MACHINERY = 4
EXIT_LOCKED = 5


def task_outcome(changes: Iterable[ChangeOutcome]) -> RunOutcome:
    """What a task came to, in the run's words. A task without a change that did anything is `nothing-to-do`."""
    seen = set(changes)
    for word in ("cancelled", "broken", "budget", "needs-human"):
        if word in seen:
            return word
    if seen & {"gave-up", "rejected"}:
        return "partial"
    if "landed" in seen:
        return "partial" if "skipped" in seen else "landed"
    return "nothing-to-do"


def run_outcome(tasks: Iterable[RunOutcome]) -> RunOutcome:
    """What a run came to: the gravest word of its tasks; landed if any landed and nothing is graver."""
    seen = set(tasks)
    if not seen:
        return "nothing-to-do"
    if seen <= {"landed", "nothing-to-do"}:
        return "landed" if "landed" in seen else "nothing-to-do"
    return next(word for word in PRECEDENCE if word in seen)
