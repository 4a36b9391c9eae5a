"""The live table of `relay pipeline run` in a terminal. The only door of rich."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from runner.redact import one_line
from runner.report.board import Board, Row, spent
from runner.report.digest import dollars, duration, thousands
from runner.report.events import event_of
from runner.report.plain import plain_line

# Worth a line above the table, which shows the rest.
_LINES = (
    "run-started",
    "baseline-done",
    "planned",
    "gate-ended",
    "review-ended",
    "permit-ended",
    "waiting",
    "model-switched",
    "landed",
    "change-ended",
    "run-ended",
    "notice",
)
_IN_TABLE = (*_LINES, "baseline-started", "plan-started", "turn-started", "step", "tool", "turn-ended", "gate-started")
_STYLES = {"landed": "green", "needs-human": "yellow", "gave-up": "red", "broken": "red", "rejected": "red"}


class Live:
    """A table that is kept up to date by `event`, and lines above it that stay. Safe to call from several threads."""

    def __init__(
        self, stream: TextIO | None = None, *, now: Callable[[], float] = time.time, width: int | None = None
    ) -> None:
        """Show on `stream` (default: standard error)."""
        self._console = Console(file=stream, stderr=stream is None, width=width, highlight=False, markup=False)
        self._board, self._now = Board(), now
        self._lock = threading.Lock()
        self._live = RichLive(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: str, keys: Mapping[str, Any]) -> None:
        """The same as `event`, as a sink."""
        told = event_of(event, keys, self._now())
        with self._lock:
            self._board.take(told)
        if told.name in _LINES or told.name not in _IN_TABLE:
            self._console.print(Text(plain_line(told)), soft_wrap=False)

    def event(self, name: str, /, **keys: Any) -> None:
        """Take one event of the run."""
        self(name, keys)

    def _render(self) -> Group:
        with self._lock:
            rows = [row for row in self._board.rows.values() if row.id or self._board.current == row.id]
        return Group(table(rows, self._now()))


def table(rows: list[Row], now: float) -> Table:
    """The rows as a table: change, stage, round, model, steps, tokens, money, elapsed, what it does."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("change", "stage", "model"):
        shown.add_column(name, no_wrap=True, overflow="ellipsis", max_width=30)
    for name in ("round", "steps", "tokens", "cost", "time"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for row in rows:
        cost = spent(row)
        shown.add_row(
            Text(one_line(row.id or "run", 40)),
            Text(row.outcome or one_line(row.stage, 20), style=_STYLES.get(row.outcome, "")),
            Text(one_line(row.model, 40)),
            str(row.round or ""),
            str(row.steps or ""),
            thousands(row.tokens_in + row.tokens_out) if row.tokens_in + row.tokens_out else "",
            "unknown" if cost is None else dollars(cost),
            duration(now - row.since) if row.since is not None else "",
            Text(one_line(row.doing or row.title, 120), style="dim"),
        )
    return shown
