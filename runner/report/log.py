"""The log of a run: one JSON object per line, for whoever asks later what happened. The only user of structlog.

Configured here and nowhere else, by the command that runs. An event is a short constant phrase plus keys.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import structlog

from runner.redact import mask_values

Level = Literal["debug", "info", "warning", "error"]


@contextmanager
def log_to(path: Path, *, secrets: Collection[str] = ()) -> Iterator[None]:
    """Append all events of the `with` block to `path`, which only its owner can read; outside of it they go nowhere.

    Values of `secrets`, and what has the shape of a key, are masked in every string, however deep. A line is written
    in one piece as the event happens. Raises OSError when the file cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                structlog.processors.format_exc_info,
                _masking(tuple(secrets)),
                structlog.processors.JSONRenderer(default=str),
            ],
            logger_factory=structlog.WriteLoggerFactory(file),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.reset_defaults()


def log(event: str, *, level: Level = "info", **keys: object) -> None:
    """Write one event with its keys and everything that is bound. Without an open log, nothing happens."""
    if structlog.is_configured():
        getattr(structlog.get_logger(), level)(event, **keys)


def bound(**keys: object) -> AbstractContextManager[None]:
    """Add `run`, `task`, `change`, `stage`, `round` or others to every event of the `with` block, in this thread."""
    return structlog.contextvars.bound_contextvars(**keys)


def bindings() -> Mapping[str, Any]:
    """What is bound now, in this thread."""
    return structlog.contextvars.get_contextvars()


def _masking(secrets: tuple[str, ...]) -> structlog.typing.Processor:
    def processor(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        masked: structlog.typing.EventDict = mask_values(event, secrets)
        return masked

    return processor
