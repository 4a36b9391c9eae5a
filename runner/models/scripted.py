"""The `scripted` vendor: replies written down beforehand, for demos and tests without any key.

A reply is chosen from the place and the history, never from a counter, so that a resumed turn plays on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runner.models.base import Entry, ModelError, ModelSpec, Place, Reply, Tool, ToolCall, Usage


class Call(Protocol):
    """A tool call of a script."""

    @property
    def tool(self) -> str: ...
    @property
    def args(self) -> Mapping[str, Any]: ...


class Line(Protocol):
    """One reply of a script; None in `task`, `change` or `round` matches any."""

    @property
    def role(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def task(self) -> str | None: ...
    @property
    def change(self) -> str | None: ...
    @property
    def round(self) -> int | None: ...
    @property
    def text(self) -> str: ...
    @property
    def calls(self) -> Sequence[Call]: ...


@dataclass(frozen=True)
class Scripted:
    """A model that plays a script. Its steps count from 1: one more than the replies in the history."""

    name: str
    script: Sequence[Line]
    context_window: int = 1_000_000
    max_output: int = 32_000

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """The line that fits most closely, of equals the first. Raises ModelError("request"), naming the key."""
        step = 1 + sum(entry.reply is not None for entry in history)
        fitting = [line for line in self.script if _fits(line, place, step)]
        line = max(fitting, key=lambda line: _closeness(line, place), default=None)
        if line is None:
            raise ModelError(
                "request",
                f"{self.name}: no scripted reply for {_key(place, step)}: add one to `replies`, or check its keys, and "
                "start another run: a run keeps the replies that it began with",
            )
        calls = tuple(
            ToolCall(f"call-{step}-{number}", call.tool, dict(call.args)) for number, call in enumerate(line.calls, 1)
        )
        wire = {"text": line.text, "calls": [{"tool": call.name, "args": call.args} for call in calls]}
        return Reply(line.text, calls, "tools" if calls else "end", "", Usage(), wire, self.name)


def open_model(spec: ModelSpec) -> Scripted:
    """The model that plays `spec.script`."""
    return Scripted(spec.model, spec.script, spec.context_window or 1_000_000, spec.max_output or 32_000)


def _fits(line: Line, place: Place, step: int) -> bool:
    pairs = ((line.task, place.task), (line.change, place.change), (line.round, place.round))
    return (line.role, line.step) == (place.role, step) and all(want in (None, have) for want, have in pairs)


def _closeness(line: Line, place: Place) -> int:
    """How closely a line says where it belongs. A task alone speaks of planning: in a change's turn it yields to a line
    that names the change or the round, in a plan's turn it wins over one that names a round.
    """
    task = 1 if place.change else 3
    return task * (line.task is not None) + 2 * (line.change is not None) + 2 * (line.round is not None)


def _key(place: Place, step: int) -> str:
    named = {"role": place.role, "task": place.task, "change": place.change, "round": place.round, "step": step}
    return "{" + ", ".join(f"{key}: {value}" for key, value in named.items() if value is not None) + "}"
