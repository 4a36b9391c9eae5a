"""The live table of `relay pipeline run` in a terminal. The only door of rich."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from rich.cells import cell_len
from rich.console import Console
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
# The columns by worth: what a narrow terminal cannot show is missed least.
WORTH = ("change", "stage", "round", "cost", "time", "now", "steps", "tokens", "model")
LEAST = 16  # characters of `now`, below which it says nothing
GAP = 2
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
        self._live = RichLive(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

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

    def _render(self) -> Table:
        with self._lock:
            rows = list(self._board.rows.values())
            current = self._board.current
        size = self._console.size
        return table(shown(rows, current, size.height - 2), self._now(), size.width)


def shown(rows: Sequence[Row], current: str, most: int) -> list[Row]:
    """The rows worth a line: the run's own only while it is at work; of too many, the first that are over go."""
    worth = [row for row in rows if row.id or row.id == current]
    over = [row for row in worth if row.outcome]
    gone = over[: max(0, len(worth) - most)]
    return [row for row in worth if row not in gone]


@dataclass(frozen=True)
class _Column:
    """A column of the table: its cells, and how wide it wants to be; `most` bounds it."""

    name: str
    cells: tuple[str, ...]
    most: int
    right: bool = False

    @property
    def width(self) -> int:
        return min(self.most, max(cell_len(text) for text in (self.name, *self.cells)))


def table(rows: Sequence[Row], now: float, width: int) -> Table:
    """The rows as a table: change, stage, round, model, steps, tokens, money, elapsed, and what goes on.

    What does not fit is left out, least needed first: never a cut number, never a second line.
    """
    columns = _columns(rows, now)
    fitting = _fitting(columns, width)
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for column in columns:
        if column.name not in fitting:
            continue
        right: Literal["left", "right"] = "right" if column.right else "left"
        wide = fitting[column.name]
        grid.add_column(column.name, justify=right, width=wide, no_wrap=True, overflow="ellipsis")
    for number, row in enumerate(rows):
        cells = [(column.name, column.cells[number]) for column in columns if column.name in fitting]
        grid.add_row(*(Text(text, style=_style(name, row)) for name, text in cells))
    return grid


def _columns(rows: Sequence[Row], now: float) -> tuple[_Column, ...]:
    def cells(text: Callable[[Row], str]) -> tuple[str, ...]:
        return tuple(one_line(text(row), 200) for row in rows)

    return (
        _Column("change", cells(lambda row: row.id or "run"), 24),
        _Column("stage", cells(lambda row: row.outcome or row.stage), 14),
        _Column("round", cells(lambda row: str(row.round or "")), 5, right=True),
        _Column("model", cells(lambda row: row.model), 30),
        _Column("steps", cells(lambda row: str(row.steps or "")), 5, right=True),
        _Column("tokens", cells(lambda row: thousands(row.tokens_in + row.tokens_out)), 8, right=True),
        _Column("cost", cells(lambda row: _money(spent(row))), 9, right=True),
        _Column("time", cells(lambda row: duration(now - row.since) if row.since is not None else ""), 11, right=True),
        _Column("now", cells(lambda row: row.doing or row.title), 120),
    )


def _fitting(columns: Sequence[_Column], width: int) -> dict[str, int]:
    """The columns that fit, by name, with their widths; `now` takes what is left, if that is worth it."""
    wanted = {column.name: column.width for column in columns}
    wanted["now"] = min(wanted["now"], LEAST)
    fitting: dict[str, int] = {}
    for name in WORTH:
        if sum(fitting.values()) + GAP * len(fitting) + wanted[name] <= width:
            fitting[name] = wanted[name]
    if "now" in fitting:
        fitting["now"] += width - sum(fitting.values()) - GAP * (len(fitting) - 1)
    return fitting


def _style(name: str, row: Row) -> str:
    return _STYLES.get(row.outcome, "") if name == "stage" else "dim" if name == "now" else ""


def _money(cost: float | None) -> str:
    return "unknown" if cost is None else dollars(cost)
