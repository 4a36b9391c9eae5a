"""Where a run stands now, kept up event by event: what the live table and `relay status` show. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner.report.events import Event

_BEGINS = {"turn-started": "turn", "gate-started": "gate", "plan-started": "plan", "baseline-started": "baseline"}
_ENDS = (
    "turn-ended",
    "turn-recorded",
    "gate-ended",
    "planned",
    "baseline-done",
    "review-ended",
    "permit-ended",
    "change-ended",
)


@dataclass(frozen=True)
class Row:
    """One change (or the planning of a task, or the run itself, id ``) and what goes on in it.

    `cost_usd` None: a price is unknown. `earlier` is what the turns before this one cost. `since` is when the stage
    began; `outcome` `` while it is not over.
    """

    id: str
    title: str = ""
    stage: str = ""
    round: int = 0
    role: str = ""
    model: str = ""
    steps: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = 0.0
    earlier: float | None = 0.0
    doing: str = ""
    began: float | None = None
    since: float | None = None
    outcome: str = ""


@dataclass
class Board:
    """All rows, in the order in which they began. `current` is the id of the row that is at work."""

    rows: dict[str, Row] = field(default_factory=dict)
    current: str = ""
    outcome: str = ""

    def take(self, event: Event) -> None:
        """Bring the board up to date with one event; an event that says nothing about it changes nothing."""
        keys = event.keys
        if event.name == "run-ended":
            self.outcome = str(keys.get("outcome", ""))
        if event.name == "planned":
            return self._planned(keys)
        about = _text(keys, "change") or _text(keys, "task")
        if not about and event.name != "baseline-started":
            about = self.current
        if event.name in ("run-started", "run-ended", "notice") or (not about and event.name == "setup"):
            return
        row = self.rows.get(about, Row(about, began=event.at))
        self.rows[about] = _updated(row, event)
        if event.name in _BEGINS:
            self.current = about

    def _planned(self, keys: Mapping[str, Any]) -> None:
        self.rows.pop(_text(keys, "task"), None)  # its changes stand for it now
        changes = keys.get("changes")
        for change in changes if isinstance(changes, list | tuple) else ():
            name, _, title = str(change).partition(" ")  # `<id> <title>`
            self.rows.setdefault(name, Row(name, title=title))


def _updated(row: Row, event: Event) -> Row:
    keys = event.keys
    row = replace(row, began=row.began if row.began is not None else event.at)
    if event.name in _BEGINS:
        what = _BEGINS[event.name]
        return replace(
            row,
            stage=_text(keys, "stage") or _text(keys, "gate") or what,
            round=_number(keys, "round") or row.round,
            role=_text(keys, "role") or (row.role if what == "turn" else ""),
            model=_text(keys, "model") if what in ("turn", "plan") else "",
            steps=0,
            earlier=_sum(row.earlier, row.cost_usd) if what in ("turn", "plan") else row.earlier,
            cost_usd=0.0 if what in ("turn", "plan") else row.cost_usd,
            doing=f"gate {_text(keys, 'gate')}".strip() if what == "gate" else what,
            since=event.at,
        )
    if event.name == "step":
        return replace(
            row,
            steps=_number(keys, "step") or row.steps + 1,
            model=_text(keys, "model") or row.model,
            tokens_in=row.tokens_in + (_number(keys, "tokens_in") or _number(keys, "tokens")),
            tokens_out=row.tokens_out + _number(keys, "tokens_out"),
            cost_usd=_cost(keys, row.cost_usd),
            doing="thinking" if row.doing in ("turn", "plan") else row.doing,
        )
    if event.name == "tool":
        return replace(row, doing=f"ran {_text(keys, 'tool')}".strip())
    if event.name == "waiting":
        return replace(row, doing=f"waits {_text(keys, 'seconds')} s: {_text(keys, 'why')}")
    if event.name == "model-switched":
        return replace(row, model=_text(keys, "to") or row.model)
    if event.name == "change-ended":
        return replace(row, outcome=_text(keys, "outcome"), doing=_text(keys, "why"), since=None)
    if event.name in _ENDS:
        said = _text(keys, "decision") or _text(keys, "status") or _text(keys, "end")
        why = _text(keys, "reason")
        return replace(row, doing=f"{said} ({why})" if said and why else said, cost_usd=_cost(keys, row.cost_usd))
    if event.name == "landed":
        return replace(row, doing=f"landed {_text(keys, 'commit')[:12]}")
    return row


def spent(row: Row) -> float | None:
    """What a row cost so far, in USD; None where a price is unknown."""
    return _sum(row.earlier, row.cost_usd)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _cost(keys: Mapping[str, Any], before: float | None) -> float | None:
    """The turn's cost as the event says it; an event without the key leaves it, one that says null makes it unknown."""
    if "cost_usd" not in keys:
        return before
    try:
        return None if keys["cost_usd"] is None else float(keys["cost_usd"])
    except (TypeError, ValueError):
        return None


def _text(keys: Mapping[str, Any], name: str) -> str:
    value = keys.get(name)
    return "" if value is None else str(value)


def _number(keys: Mapping[str, Any], name: str) -> int:
    value = keys.get(name)
    return int(value) if isinstance(value, int | float) else 0
