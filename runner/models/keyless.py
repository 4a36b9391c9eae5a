"""A model whose replies never hold its own key.

A server may say back what it was sent. A key in a reply would go on into files, commands, commits and the container.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.models.base import Entry, Model, Place, Reply, Tool

SHORTEST = 8  # characters; a shorter key is the placeholder of a local server, and an ordinary word


@dataclass(frozen=True)
class Keyless:
    """The model, with every `key` in its replies replaced by `***`, in `wire` too."""

    model: Model
    key: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def context_window(self) -> int:
        return self.model.context_window

    @property
    def max_output(self) -> int:
        return self.model.max_output

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One attempt of the model within."""
        reply = self.model.ask(system, history, tools, max_tokens=max_tokens, place=place)
        said = {name: value for name, value in vars(reply).items() if name not in ("calls", "usage", "model")}
        calls = tuple(replace(call, **_without(vars(call), self.key)) for call in reply.calls)
        return replace(reply, calls=calls, **_without(said, self.key))


def _without(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, "***")
    if isinstance(value, dict):
        return {_without(name, key): _without(item, key) for name, item in value.items()}
    return [_without(item, key) for item in value] if isinstance(value, list) else value
