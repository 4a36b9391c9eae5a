"""What runs and their parts cost, added up so that unknown stays unknown: from the journals, and from a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.agent.lines import LinesError, read_lines
from runner.stages.records import Spending, Tokens


@dataclass(frozen=True)
class Total:
    """What a run, or a part of it, cost. `cost_usd` None: a price is unknown. `at_most`: the truth is less or equal."""

    tokens: Tokens
    cost_usd: float | None
    at_most: bool = False


def by_role_and_model(spendings: Iterable[Spending]) -> tuple[Spending, ...]:
    """Sums, one for each role and model. A cost that is unknown once is unknown in the sum."""
    sums: dict[tuple[str, str], Spending] = {}
    for one in spendings:
        before = sums.get((one.role, one.model), Spending(one.role, one.model, 0, Tokens(), 0.0))
        total = total_of((before, one))
        calls = before.calls + one.calls
        sums[one.role, one.model] = Spending(
            one.role, one.model, calls, total.tokens, total.cost_usd, before.at_most or one.at_most
        )
    return tuple(sums.values())


def total_of(spendings: Iterable[Spending]) -> Total:
    """What they cost together. A cost that is unknown once is unknown in the sum."""
    tokens, cost, at_most = Tokens(), 0.0, False
    known = True
    for one in spendings:
        tokens = _add(tokens, one.tokens)
        known = known and one.cost_usd is not None
        cost += one.cost_usd or 0.0
        at_most = at_most or one.at_most
    return Total(tokens, round(cost, 6) if known else None, at_most)


def spendings_of(records: Iterable[Any]) -> tuple[Spending, ...]:
    """What the turns in these records cost, one value per turn and model."""
    return tuple(one for record in records for one in getattr(record, "spent", ()))


def booked(path: Path) -> Total | None:
    """What the ledger of a run has booked, calls under way at their reserve; None when it is not there any more."""
    try:
        lines = read_lines(path.read_bytes(), str(path))
    except (FileNotFoundError, LinesError):
        return None
    costs: dict[str, float | None] = {}
    settled: set[str] = set()
    for line in lines:
        if line.get("event") in ("reserve", "settle"):
            cost = line.get("cost")
            costs[str(line.get("call"))] = None if cost is None else float(cost)
            settled |= {str(line.get("call"))} if line["event"] == "settle" else set()
    known = [cost for cost in costs.values() if cost is not None]
    total = round(sum(known), 6) if len(known) == len(costs) else None
    return Total(Tokens(), total, len(settled) < len(costs))


def _add(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(
        one.input + other.input,
        one.output + other.output,
        one.cache_read + other.cache_read,
        one.cache_write + other.cache_write,
    )
