"""The values of a turn: what goes in, how it can end, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from runner.limits import Rates
from runner.models.base import Entry, Model, Place, Reply, Tool, Usage
from runner.outcomes import TurnEnd

Check = Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Turn:
    """One role's turn. `key` names it in the run (`t1-1.r2.implement`), times are seconds.

    `tools` are the names it may call, the ending tools among them; `check` says what is wrong with the arguments of an
    ending tool, for the model to read, or None.
    """

    key: str
    place: Place
    system: str
    opening: str
    tools: tuple[str, ...]
    ending: tuple[str, ...]
    max_steps: int = 80
    timeout: float = 1800.0
    idle_timeout: float = 600.0
    check: Check | None = None


@dataclass(frozen=True)
class Link:
    """One model of a role's chain: the role's own first, then its fallbacks.

    `open` is called when it is its turn to speak, with what is to be called for each piece of a reply that comes;
    `rates` None means that nobody knows its price.
    """

    name: str
    open: Callable[[Callable[[], None]], Model]
    rates: Rates | None
    cost: Callable[[Usage], Decimal | None]


class Ask(Protocol):
    """How a model is asked, retries included: `runner.models.retry.ask_with_retry` bound to its policy.

    `on_wait(seconds, why)` is told before each wait; that time counts neither as idle nor for the turn's timeout.
    """

    def __call__(
        self,
        model: Model,
        system: str,
        history: Sequence[Entry],
        tools: Sequence[Tool],
        *,
        max_tokens: int,
        place: Place,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> Reply: ...


class Emit(Protocol):
    """Where events go: a short constant phrase and keys."""

    def __call__(self, event: str, /, **keys: Any) -> None: ...


@dataclass(frozen=True)
class TurnResult:
    """How a turn ended. `payload` are the arguments of the ending tool, for `done` only.

    `no-change` and `limit` are set by the caller, who knows the harvest. `cost` is None where a price is unknown; with
    `at_most` a call's usage stayed unknown and counts as its reserve. `opened` are the paths that `read` showed,
    `commands` how many commands ran: both zero marks a blind review.
    """

    end: TurnEnd
    detail: str
    payload: Mapping[str, Any] | None = None
    steps: int = 0
    usage: Mapping[str, Usage] = field(default_factory=dict)
    cost: Decimal | None = Decimal(0)
    at_most: bool = False
    opened: tuple[str, ...] = ()
    commands: int = 0
    models: tuple[str, ...] = ()  # who spoke, in order
    seconds: float = 0.0

    @property
    def tokens(self) -> Usage:
        """The sum over all models."""
        return sum(self.usage.values(), Usage())
