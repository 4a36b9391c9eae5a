"""What can be said of a tool call before anything runs: is there such a tool, and are its arguments right. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.agent.arguments import checked
from runner.agent.tools import TOOLS
from runner.models.base import ToolCall, ToolResult


@dataclass(frozen=True)
class Understood:
    """A call's arguments as the tool takes them; or, with `wrong`, what to tell the model instead."""

    args: Mapping[str, Any]
    wrong: str | None = None


def understood(call: ToolCall, tools: Sequence[str]) -> Understood:
    """Check a call against the tools of the turn and the schema of its tool."""
    if call.name not in tools:
        return Understood({}, f"there is no tool {call.name}; you have {', '.join(tools)}")
    schema = json.dumps(TOOLS[call.name].schema)
    if call.args is None:
        said = f"the arguments of {call.name} are no JSON object: {call.raw_args[:500]}"
        return Understood({}, f"{said}\nthe schema is {schema}")
    args, problems = checked(call.args, TOOLS[call.name].schema)
    if problems:
        return Understood(args, f"{call.name} was not run: {'; '.join(problems)}\nthe schema is {schema}")
    return Understood(args)


def in_order(calls: Sequence[ToolCall], ending: Sequence[str]) -> list[int]:
    """The places of the calls as they are run: as they stand, but those that end the turn last."""
    return sorted(range(len(calls)), key=lambda number: calls[number].name in ending)


def failed_beside(results: Iterable[ToolResult]) -> str | None:
    """Why an ending tool does not end the turn: another call of the same reply failed, and nobody has seen it yet."""
    failed = next((result.call.name for result in results if result.is_error), None)
    return f"not ended: {failed}, called in the same reply, failed. Look at its result first" if failed else None
