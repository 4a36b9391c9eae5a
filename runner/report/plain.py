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

# What happens inside a turn or a build stands a little to the right.
_INSIDE = ("step", "tool", "waiting", "model-switched", "setup")
_FIRST = ("task", "change", "stage", "gate", "role", "model", "round", "step")


def plain(stream: TextIO, now: Callable[[], float] = time.time) -> Sink:
    """A sink that writes one line per event to `stream`, at once."""

    def sink(name: str, keys: Mapping[str, Any]) -> None:
        stream.write(plain_line(event_of(name, keys, now())) + "\n")
        stream.flush()

    return sink


def plain_line(event: Event) -> str:
    """`05:04:12  t1-1  gate tests failed (red): 3 passed, 2 failed, 4 s`: one line, escaped, bounded."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.at)) if event.at is not None else "--:--:--"
    about = str(event.keys.get("change") or event.keys.get("task") or "-")
    level = f"{event.level}: " if event.level not in ("info", "debug") else ""
    indent = "  " if event.name in _INSIDE else ""
    return f"{clock}  {one_line(about):<8}  {indent}{one_line(level + phrase(event), WIDTH)}"


def phrase(event: Event) -> str:
    """What an event says, in a few words; of an unknown event its name, keys and values."""
    say = _PHRASES.get(event.name)
    return (say(event.keys) if say else "") or f"{event.name} {_generic(event.keys)}".rstrip()


def _generic(keys: Mapping[str, Any]) -> str:
    names = [*(name for name in _FIRST if name in keys), *(name for name in keys if name not in _FIRST)]
    return " ".join(f"{name}={_value(keys[name])}" for name in names if name not in ("change", "task"))


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_value(each) for each in value) or "-"
    return "unknown" if value is None else str(value)


def _run_started(keys: Mapping[str, Any]) -> str:
    tasks = _counted(keys, "tasks", "task")
    return f"the run begins: {_get(keys, 'pipeline')}, {tasks}, approved work lands on {_get(keys, 'target')}"


def _baseline_done(keys: Mapping[str, Any]) -> str:
    took = f"{_seconds(keys)} on the landing branch"
    if keys.get("results") != "junit":
        return f"gate {_get(keys, 'gate')} passes, {took}"
    reds = f", {keys['old_reds']} fail there already" if keys.get("old_reds") else ""
    flaky = f"; flaky: {_value(keys['flaky'])}" if keys.get("flaky") else ""
    passing = "1 test passes" if keys.get("contract") == 1 else f"{_get(keys, 'contract')} tests pass"
    alone = "; nothing to keep, so a change's own tests decide" if keys.get("contract") == 0 else ""
    return f"gate {_get(keys, 'gate')}: {passing}{reds}, {took}{flaky}{alone}"


def _planned(keys: Mapping[str, Any]) -> str:
    changes = keys.get("changes")
    titles = [str(each).partition(" ") for each in changes] if isinstance(changes, list | tuple) else []
    return "planned: " + ("; ".join(f"{name}: {title}" for name, _, title in titles) or "no change")


def _turn(keys: Mapping[str, Any]) -> str:
    """Which turn an event is about: `code, round 2`, or the stage alone."""
    number = f", round {keys['round']}" if keys.get("round") else ""
    return f"{_get(keys, 'stage', 'turn')}{number}"


def _turn_started(keys: Mapping[str, Any]) -> str:
    model = f" ({keys['model']})" if keys.get("model") else ""
    return f"{_turn(keys)}: {_get(keys, 'role')}{model}"


def _turn_ended(keys: Mapping[str, Any]) -> str:
    return f"{_turn(keys)}: {_ended(keys)}"


def _turn_recorded(keys: Mapping[str, Any]) -> str:
    return f"{_turn(keys)}: {_counted(keys, 'changed', 'file')} changed"


def _step(keys: Mapping[str, Any]) -> str:
    used = [f"{thousands(int(keys['tokens']))} tokens"] if keys.get("tokens") else []
    return f"step {_get(keys, 'step')}: {', '.join([*used, _cost(keys)])}"


def _tool(keys: Mapping[str, Any]) -> str:
    failed = ": error" if keys.get("error") else ""
    return f"{_get(keys, 'tool')} {_get(keys, 'about', '')}".rstrip() + failed


def _gate_ended(keys: Mapping[str, Any]) -> str:
    reason = f" ({keys['reason']})" if keys.get("reason") else ""
    by_test = f"{_get(keys, 'passed', '0')} passed, {_get(keys, 'failed', '0')} failed, "
    counts = ("" if keys.get("results") == "exit-code" else by_test) + _seconds(keys)
    why = f": {keys['why']}" if keys.get("status") != "passed" and keys.get("why") else ""
    return f"gate {_get(keys, 'gate')} {_get(keys, 'status')}{reason}: {counts}{why}"


def _review_ended(keys: Mapping[str, Any]) -> str:
    said = {"approve": "approved", "request_changes": "changes requested", "none": "no usable review"}
    decision = said.get(str(keys.get("decision")), _get(keys, "decision"))
    remarks = f", {_counted(keys, 'comments', 'comment')}" if keys.get("comments") else ""
    return f"{_get(keys, 'role')}: {decision}{remarks}"


def _permit_ended(keys: Mapping[str, Any]) -> str:
    granted = f"may change {_value(keys['paths'])}" if keys.get("paths") else "no permission"
    return f"{_get(keys, 'by')}: {granted}: {_get(keys, 'reason', '')}"


def _ended(keys: Mapping[str, Any]) -> str:
    why = f": {keys['why']}" if keys.get("why") else ""
    cost = f", {_cost(keys)}" if "cost_usd" in keys else ""
    return f"{keys.get('outcome') or keys.get('end') or ''}{cost}{why}"


def _landed(keys: Mapping[str, Any]) -> str:
    return f"landed: commit {_get(keys, 'commit')[:12]} on {_get(keys, 'branch').removeprefix('refs/heads/')}"


def _cost(keys: Mapping[str, Any]) -> str:
    try:
        return "cost unknown" if keys.get("cost_usd") is None else dollars(float(keys["cost_usd"]))
    except (TypeError, ValueError):
        return "cost unknown"


def _seconds(keys: Mapping[str, Any]) -> str:
    return duration(float(keys["seconds"])) if isinstance(keys.get("seconds"), int | float) else "time unknown"


def _counted(keys: Mapping[str, Any], name: str, noun: str) -> str:
    return f"{_get(keys, name, '0')} {noun}{'' if keys.get(name) == 1 else 's'}"


def _get(keys: Mapping[str, Any], name: str, default: str = "?") -> str:
    value = keys.get(name)
    return default if value is None else _value(value)


_PHRASES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "run-started": _run_started,
    "baseline-started": lambda keys: f"gate {_get(keys, 'gate')} runs twice on the landing branch: what passes is kept",
    "baseline-done": _baseline_done,
    "planned": _planned,
    "turn-started": _turn_started,
    "step": _step,
    "tool": _tool,
    "turn-ended": _turn_ended,
    "turn-recorded": _turn_recorded,
    "gate-started": lambda keys: f"gate {_get(keys, 'gate')} runs on candidate {_get(keys, 'tree')[:12]}",
    "gate-ended": _gate_ended,
    "review-ended": _review_ended,
    "permit-ended": _permit_ended,
    "task-ended": lambda keys: f"is over: {_ended(keys)}",
    "change-ended": lambda keys: f"is over: {_ended(keys)}",
    "run-ended": lambda keys: f"the run is over: {_ended(keys)}",
    "landed": _landed,
    "waiting": lambda keys: f"waits {_get(keys, 'seconds')} s: {_get(keys, 'why')}",
    "model-switched": lambda keys: f"the model is now {_get(keys, 'to')}: {_get(keys, 'why')}",
    "notice": lambda keys: _get(keys, "text"),
    "setup": lambda keys: f"setup: {_get(keys, 'line')}",
    "image": lambda keys: f"image: {_get(keys, 'text')}",
}
