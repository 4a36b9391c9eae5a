"""Events as plain lines: time, change, what happened. For files, pipes and `relay log`; untrusted text is escaped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from runner.redact import one_line
from runner.report.digest import dollars, duration, thousands
from runner.report.events import Event, event_of

Sink = Callable[[str, Mapping[str, Any]], None]
WIDTH = 400  # characters of one line

_FIRST = ("task", "change", "stage", "gate", "role", "model", "round", "step")


def plain(stream: TextIO, now: Callable[[], float] = time.time) -> Sink:
    """A sink that writes one line per event to `stream`, at once."""

    def sink(name: str, keys: Mapping[str, Any]) -> None:
        stream.write(plain_line(event_of(name, keys, now())) + "\n")
        stream.flush()

    return sink


def plain_line(event: Event) -> str:
    """`05:04:12  t1-1 gate-ended tests: failed (red), 3 passed, 2 failed, 4 s`: one line, escaped, bounded."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.at)) if event.at is not None else "--:--:--"
    about = str(event.keys.get("change") or event.keys.get("task") or "-")
    level = f"{event.level}: " if event.level not in ("info", "debug") else ""
    return f"{clock}  {one_line(f'{about} {event.name} {level}{phrase(event)}', WIDTH)}"


def phrase(event: Event) -> str:
    """What an event says, in a few words; of an unknown event its keys and values."""
    say = _PHRASES.get(event.name)
    return (say(event.keys) if say else "") or _generic(event.keys)


def _generic(keys: Mapping[str, Any]) -> str:
    names = [*(name for name in _FIRST if name in keys), *(name for name in keys if name not in _FIRST)]
    return " ".join(f"{name}={_value(keys[name])}" for name in names if name not in ("change", "task"))


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_value(each) for each in value) or "-"
    return "unknown" if value is None else str(value)


def _turn_started(keys: Mapping[str, Any]) -> str:
    return f"{_get(keys, 'stage')}, round {_get(keys, 'round')}: {_get(keys, 'role')} ({_get(keys, 'model')})"


def _step(keys: Mapping[str, Any]) -> str:
    went = f"{thousands(int(keys['tokens_in'] or 0))} in, " if "tokens_in" in keys else ""
    out = f"{thousands(int(keys['tokens_out'] or 0))} out, " if "tokens_out" in keys else ""
    cost = _cost(keys)
    return f"{_get(keys, 'step')}: {_get(keys, 'model')}: {went}{out}{cost}"


def _tool(keys: Mapping[str, Any]) -> str:
    seconds = f" ({duration(float(keys['seconds']))})" if isinstance(keys.get("seconds"), int | float) else ""
    return f"{_get(keys, 'tool')}{seconds} {_get(keys, 'summary', '')}".rstrip()


def _gate_ended(keys: Mapping[str, Any]) -> str:
    reason = f" ({keys['reason']})" if keys.get("reason") else ""
    counts = f", {_get(keys, 'passed', '0')} passed, {_get(keys, 'failed', '0')} failed"
    seconds = f", {duration(float(keys['seconds']))}" if isinstance(keys.get("seconds"), int | float) else ""
    return f"{_get(keys, 'gate')}: {_get(keys, 'status')}{reason}{counts}{seconds}"


def _ended(keys: Mapping[str, Any]) -> str:
    why = f": {keys['why']}" if keys.get("why") else ""
    cost = f", {_cost(keys)}" if "cost_usd" in keys else ""
    return f"{keys.get('outcome') or keys.get('end') or ''}{cost}{why}"


def _landed(keys: Mapping[str, Any]) -> str:
    return f"{_get(keys, 'commit')[:12]} on {_get(keys, 'branch').removeprefix('refs/heads/')}"


def _cost(keys: Mapping[str, Any]) -> str:
    if "cost_usd" not in keys:
        return ""
    try:
        return "cost unknown" if keys["cost_usd"] is None else dollars(float(keys["cost_usd"]))
    except (TypeError, ValueError):
        return "cost unknown"


def _get(keys: Mapping[str, Any], name: str, default: str = "?") -> str:
    value = keys.get(name)
    return default if value is None else _value(value)


_PHRASES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "turn-started": _turn_started,
    "step": _step,
    "tool": _tool,
    "turn-ended": _ended,
    "gate-ended": _gate_ended,
    "change-ended": _ended,
    "run-ended": _ended,
    "landed": _landed,
    "waiting": lambda keys: f"{_get(keys, 'seconds')} s: {_get(keys, 'why')}",
    "model-switched": lambda keys: f"{_get(keys, 'from', '')} to {_get(keys, 'to')}: {_get(keys, 'why')}".strip(),
    "notice": lambda keys: _get(keys, "text"),
    "setup": lambda keys: _get(keys, "line"),
}
