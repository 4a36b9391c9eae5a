"""Budget arithmetic, pure: what a call may cost at most, how far its output cap must come down, what was spent.

Money is USD, times are seconds. The rules are those of docs/agent.md, "Budget".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

LOWEST_CAP = 4_000  # tokens; below this a reply is cut off more often than it helps


class Rates(Protocol):
    """What a token can cost at most, in USD: the dearest input rate (cache write, long context) and the output rate."""

    @property
    def dearest_input(self) -> Decimal: ...
    @property
    def output(self) -> Decimal: ...


@dataclass(frozen=True)
class Limit:
    """What a run may use. None: unbounded."""

    max_cost: Decimal | None = None
    max_tokens: int | None = None
    max_time: float | None = None


@dataclass(frozen=True)
class Amount:
    """Tokens in and out, and what they cost. `cost` None: the price is unknown."""

    tokens: int = 0
    cost: Decimal | None = Decimal(0)

    def __add__(self, other: Amount) -> Amount:
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Amount(self.tokens + other.tokens, cost)


@dataclass(frozen=True)
class Booking:
    """One call of a model. `settled` None: it is under way, or what it used will never be known."""

    reserved: Amount
    settled: Amount | None = None

    @property
    def booked(self) -> Amount:
        """What counts against the limit."""
        return self.reserved if self.settled is None else self.settled


@dataclass(frozen=True)
class Spent:
    """What calls used. With `at_most` some of it is a reserve: the truth is less or equal."""

    amount: Amount = Amount()
    at_most: bool = False


def reserve(prompt: int, cap: int, rates: Rates | None) -> Amount:
    """The most that a call can use: `prompt` tokens in, `cap` tokens out, thinking included."""
    if rates is None:
        return Amount(prompt + cap, None)
    return Amount(prompt + cap, prompt * rates.dearest_input + cap * rates.output)


def spent(bookings: Iterable[Booking]) -> Spent:
    """The sum of all bookings; what is not settled counts as its reserve."""
    total, at_most = Amount(), False
    for booking in bookings:
        total += booking.booked
        at_most = at_most or booking.settled is None
    return Spent(total, at_most)


def lower_cap(prompt: int, cap: int, rates: Rates | None, limit: Limit, used: Amount) -> int | None:
    """The largest output cap, at most `cap`, with which the call's reserve still fits beside what is used.

    None: it fits with no cap that is worth asking for (4k tokens, or `cap` itself where that is less), or the price
    is unknown while money is limited, so nobody could say that it fits.
    """
    room = cap
    if limit.max_tokens is not None:
        room = min(room, limit.max_tokens - used.tokens - prompt)
    if limit.max_cost is not None:
        if rates is None or used.cost is None:
            return None
        left = limit.max_cost - used.cost - prompt * rates.dearest_input
        if left < 0:
            return None
        if rates.output > 0:
            room = min(room, int(left // rates.output))
    return room if room >= min(LOWEST_CAP, cap) else None


def time_left(limit: Limit, running: float) -> float | None:
    """Seconds that the run may still go on; None: as long as it likes. `running` is summed over its sessions."""
    return None if limit.max_time is None else max(0.0, limit.max_time - running)
