"""The ledger of a run: one file in which every call of a model is reserved before it starts and settled after.

All turns of a run share it. It is the only truth about what was spent: a resume reads it and goes on from there.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runner.agent.lines import Lines
from runner.codec import convert
from runner.limits import Amount, Booking, Limit, Rates, Spent, lower_cap, reserve, spent, time_left
from runner.models.base import Usage


class BudgetReached(Exception):
    """The next call does not fit into the budget. The text says which limit and how much is left."""


@dataclass(frozen=True)
class Ticket:
    """A reserved call: its id in the ledger, and the output cap that fits the budget, in tokens."""

    call: str
    cap: int


@dataclass(frozen=True)
class Account:
    """What one turn, or a whole run, used: per model, and together. `cost` None: a price is unknown."""

    usage: Mapping[str, Usage]
    spent: Spent
    calls: Mapping[str, int] = field(default_factory=dict)  # by model
    parts: Mapping[str, Spent] = field(default_factory=dict)  # `spent` by model

    @property
    def cost(self) -> Decimal | None:
        return self.spent.amount.cost


@dataclass(frozen=True)
class _Line:
    event: str  # reserve | settle | tick
    session: int
    at: float  # seconds that this session ran
    call: str = ""
    turn: str = ""
    model: str = ""
    tokens: int = 0
    cost: Decimal | None = None
    usage: Usage | None = None


@dataclass
class _Call:
    turn: str
    model: str
    booking: Booking
    usage: Usage | None = None


class Ledger:
    """Open it once per process and give it to every turn; safe to use from several threads."""

    def __init__(self, path: Path, limit: Limit, now: Callable[[], float]) -> None:
        """Read what earlier sessions of the run wrote. `now` is a monotonic clock in seconds. Raises LinesError."""
        self.limit = limit
        self._now, self._started = now, now()
        self._lock = threading.Lock()
        self._closed = False
        self._lines = Lines(path)
        self._calls: dict[str, _Call] = {}
        self._running: dict[int, float] = {}
        for found in self._lines.found:
            self._take(convert(found, _Line))
        self._session = max(self._running, default=0) + 1
        self._running[self._session] = 0.0

    def reserve(self, turn: str, model: str, prompt: int, cap: int, rates: Rates | None) -> Ticket:
        """Book the most that a call can use, on disk, before it is made. The cap comes down where the budget is near.

        Raises BudgetReached when it does not fit, or when the run's time is over.
        """
        with self._lock:
            used = spent(call.booking for call in self._calls.values()).amount
            fitting = lower_cap(prompt, cap, rates, self.limit, used)
            if fitting is None or self.time_left() == 0:
                raise BudgetReached(self._why(model, used, reserve(prompt, min(cap, 4_000), rates)))
            amount = reserve(prompt, fitting, rates)
            name = f"{turn}#{1 + sum(call.turn == turn for call in self._calls.values())}"
            self._write(event="reserve", call=name, turn=turn, model=model, tokens=amount.tokens, cost=amount.cost)
            return Ticket(name, fitting)

    def settle(self, call: str, usage: Usage, cost: Decimal | None) -> None:
        """Replace a call's reserve by what it used. `cost` None: the price is unknown.

        A reply that comes when the ledger is closed already leaves its call at its reserve.
        """
        with self._lock:
            if not self._closed:
                self._write(event="settle", call=call, tokens=usage.total, cost=cost, usage=usage)

    def tick(self) -> None:
        """Write down how long the run has been going, so that a kill does not forget it."""
        with self._lock:
            self._write(event="tick")

    def account(self, turn: str | None = None) -> Account:
        """What one turn used, or with None the run. Calls whose usage is unknown count as their reserve."""
        with self._lock:
            calls = [call for call in self._calls.values() if turn is None or call.turn == turn]
            usage: dict[str, Usage] = {}
            for call in calls:
                usage[call.model] = usage.get(call.model, Usage()) + (call.usage or Usage())
            numbers = Counter(call.model for call in calls)
            parts = {model: spent(call.booking for call in calls if call.model == model) for model in usage}
            return Account(usage, spent(call.booking for call in calls), numbers, parts)

    def running(self) -> float:
        """Seconds that the run has been going, summed over its sessions."""
        return sum(self._running.values(), 0.0) + self._elapsed() - self._running.get(self._session, 0.0)

    def time_left(self) -> float | None:
        """Seconds until the run's `max-time`; None when there is none."""
        return time_left(self.limit, self.running())

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            self._closed = True
            self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _elapsed(self) -> float:
        return self._now() - self._started

    def _write(self, **fields: Any) -> None:
        line = _Line(session=self._session, at=self._elapsed(), **fields)
        self._lines.append({key: value for key, value in vars(line).items() if value not in ("", None)})
        self._take(line)

    def _take(self, line: _Line) -> None:
        self._running[line.session] = max(line.at, self._running.get(line.session, 0.0))
        amount = Amount(line.tokens, line.cost)
        if line.event == "reserve":
            self._calls[line.call] = _Call(line.turn, line.model, Booking(amount))
        elif line.event == "settle" and line.call in self._calls:
            call = self._calls[line.call]
            call.booking, call.usage = Booking(call.booking.reserved, amount), line.usage

    def _why(self, model: str, used: Amount, next_call: Amount) -> str:
        if self.time_left() == 0:
            return f"max-time is reached: the run has been going for {self.running():.0f} s"
        if self.limit.max_cost is not None and (next_call.cost is None or used.cost is None):
            return f"max-cost is set and the price of {model} is unknown: add it under `prices:`"
        parts = [f"{used.tokens} tokens"] + ([] if used.cost is None else [f"{used.cost:.4f} USD"])
        more = [f"{next_call.tokens} tokens"] + ([] if next_call.cost is None else [f"{next_call.cost:.4f} USD"])
        return f"the budget is reached: {' and '.join(parts)} are used, the next call may need {' and '.join(more)}"
