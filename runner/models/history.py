"""A history as one model may see it: its own replies untouched, everything of another model as text.

Opaque blocks never move between models; what a model cannot replay it reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from runner.models.base import Entry, Reply, ToolCall, ToolResult
from runner.models.clean import decoded

NOT_RUN = "(not run)"


def seen_by(name: str, history: Sequence[Entry]) -> list[Entry]:
    """The history for the model `name`.

    Replies of others become a reply with text and no `wire`; the results of their calls become user text. Calls of its
    own that have no result get one that says so, since every vendor refuses a call without a result. Adjacent user
    texts are joined, since some chat templates insist on alternating roles.
    """
    seen: list[Entry] = []
    for entry in history:
        _close_calls(seen, entry)
        if entry.reply is not None:
            own = entry.reply.model == name and entry.reply.wire is not None
            seen.append(entry if own else Entry(reply=_as_text(entry.reply)))
        elif entry.results and not (seen and seen[-1].reply and seen[-1].reply.calls):
            _add_user(seen, "\n\n".join(_result_text(result) for result in entry.results))
        elif entry.results:
            seen.append(entry)
        else:
            _add_user(seen, entry.user or "")
    _close_calls(seen, None)
    return seen


def arguments(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`; {} for no text at all; None for anything else."""
    if not text.strip():
        return {}
    try:
        value = decoded(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _close_calls(seen: list[Entry], following: Entry | None) -> None:
    """Answers the calls of the last reply that `following` does not answer."""
    if not seen or seen[-1].reply is None or not seen[-1].reply.calls:
        return
    given = following.results if following else ()
    if not given:
        missing = tuple(ToolResult(call, NOT_RUN, is_error=True) for call in seen[-1].reply.calls)
        seen.append(Entry(results=missing))


def _add_user(seen: list[Entry], text: str) -> None:
    if seen and seen[-1].user is not None:
        text = f"{seen.pop().user}\n\n{text}"
    seen.append(Entry(user=text))


def _as_text(reply: Reply) -> Reply:
    said = [reply.text] if reply.text else []
    said += [_call_text(call) for call in reply.calls]
    return replace(reply, text="\n\n".join(said) or "(no text)", calls=(), wire=None, thinking="")


def _call_text(call: ToolCall) -> str:
    given = call.raw_args if call.args is None else json.dumps(call.args, ensure_ascii=False)
    return f"(I called the tool {call.name} with {given})"


def _result_text(result: ToolResult) -> str:
    word = "error" if result.is_error else "result"
    return f"({word} of the tool {result.call.name})\n{result.text}"
