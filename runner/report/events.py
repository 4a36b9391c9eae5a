"""Events of a run: read from its log, brought into one shape, followed while the run goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.codec import CodecError, decode

# A turn's key as the ledger and the agent say it: `<change>.r<round>.<attempt>.<stage>.<role>`.
_TURN = re.compile(r"(?P<change>[^.]+)\.r(?P<round>\d+)\.\d+\.(?P<stage>[^.]+)\.(?P<role>[^.]+)")
# What the agent's loop calls its events, in the words of a run.
_NAMES = {"tool-ran": "tool", "model-replied": "step", "model-waits": "waiting"}
_OTHER_KEYS = {"cost": "cost_usd"}
_NOT_KEYS = ("event", "at", "timestamp", "level", "run")
TAIL = 256 * 1024  # bytes of a log that say where a run stands


@dataclass(frozen=True)
class Event:
    """One event: a short constant phrase with hyphens, when (seconds since the epoch, None: unknown), and keys."""

    name: str
    keys: Mapping[str, Any]
    at: float | None = None
    level: str = "info"


def event_of(name: str, keys: Mapping[str, Any], at: float | None = None, level: str = "info") -> Event:
    """An event in the one shape: hyphens, the run's words, and what its turn's key says of change, round and stage."""
    name = name.replace(" ", "-")
    found = {_OTHER_KEYS.get(key, key): value for key, value in keys.items() if key not in _NOT_KEYS}
    turn = _TURN.fullmatch(str(found.get("turn", "")))
    if turn:
        said = {**turn.groupdict(), "round": int(turn["round"])}
        own = {key: value for key, value in found.items() if key != "turn"}
        found = {**said, **{key: value for key, value in own.items() if value is not None or key == "cost_usd"}}
    elif "turn" in found:  # of a plan: `<task>.<stage>.<role>`
        task = str(found.pop("turn")).partition(".")[0]
        found = {"task": task, "stage": "plan", **found}
    return Event(_NAMES.get(name, name), found, at, level)


def parse_line(line: bytes) -> Event | None:
    """An event from a line of a log; None for what is no JSON object with an `event`."""
    try:
        keys = decode(line, dict[str, Any])
    except CodecError:
        return None
    if not isinstance(keys.get("event"), str):
        return None
    return event_of(keys["event"], keys, _when(keys.get("at", keys.get("timestamp"))), str(keys.get("level", "info")))


def read_tail(path: Path, size: int = TAIL) -> tuple[Event, ...]:
    """The events in the last `size` bytes of a log; none when there is no log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - size))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return ()
    return tuple(event for line in lines if (event := parse_line(line)))


def follow(path: Path, is_over: Callable[[], bool], pause: Callable[[], None]) -> Iterator[bytes]:
    """The complete lines of a log as they are written, until `is_over` says so and nothing is left to read.

    `pause` waits a little between two looks at the file.
    """
    rest = b""
    with path.open("rb") as file:
        while True:
            over = is_over()  # asked before reading, so that the last lines are not missed
            read = file.read()
            *lines, rest = (rest + read).split(b"\n")
            yield from lines
            if not read and over:
                return
            if not read:
                pause()


def _when(stamp: object) -> float | None:
    if isinstance(stamp, int | float):
        return float(stamp)
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None
