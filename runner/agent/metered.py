"""A model whose every attempt is reserved in the ledger before it starts and settled when its usage is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from runner.agent.ledger import Ledger
from runner.agent.turn import Link
from runner.models.base import Entry, Model, ModelError, Place, Reply, Tool, Usage

FREE = ("rate", "overload", "quota", "auth", "context", "request", "unknown_model")


class Abandoned(Exception):
    """Nobody waits for this call any more, so it is not made."""


class Metered:
    """A Model around a Model. Retries go through it one by one, since each may cost.

    Raises BudgetReached when an attempt does not fit, and Abandoned after `abandon`.
    """

    def __init__(self, model: Model, link: Link, ledger: Ledger, turn: str, prompt: Callable[[], int]) -> None:
        """`prompt` says how many tokens go in at most."""
        self._model, self._link, self._ledger, self._turn, self._prompt = model, link, ledger, turn, prompt
        self._abandoned = threading.Event()

    @property
    def name(self) -> str:
        return self._link.name

    @property
    def context_window(self) -> int:
        return self._model.context_window

    @property
    def max_output(self) -> int:
        return self._model.max_output

    def abandon(self) -> None:
        """Let no further attempt start; the one under way may still settle."""
        self._abandoned.set()

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One attempt, with the output cap that the budget allows."""
        if self._abandoned.is_set():
            raise Abandoned(self.name)
        ticket = self._ledger.reserve(self._turn, self.name, self._prompt(), max_tokens, self._link.rates)
        try:
            reply = self._model.ask(system, history, tools, max_tokens=ticket.cap, place=place)
        except ModelError as error:
            if _cost_nothing(error):
                self._ledger.settle(ticket.call, Usage(), self._link.cost(Usage()))
            raise
        if reply.usage is not None:
            self._ledger.settle(ticket.call, reply.usage, self._link.cost(reply.usage))
        return reply


def _cost_nothing(error: ModelError) -> bool:
    """Whether the vendor surely billed nothing: it refused before it began. A stream that was cut may be billed."""
    refused = error.status is not None and error.status >= 400
    return not error.reached or refused or (error.kind in FREE and error.status is None)
