"""A run as one self-contained HTML page: no script, no link, nothing from outside. The only door of jinja2.

Every value goes through `_shown` and autoescaping, so that text of a model, a test or a repository stays text.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from runner import __version__
from runner.accounts import total_of
from runner.agent.outputs import capped
from runner.git.repo import Repository
from runner.journals import Entry
from runner.reading import read_run
from runner.redact import escape_terminal
from runner.report.digest import digest, dollars, duration, money, next_command, sentence, thousands, token_counts
from runner.report.evidence import TestsSeen, log_of, tests_seen
from runner.report.patch import patch_of
from runner.stages.records import CloseRecord, GateRecord
from runner.view import ChangeView, RunView

DIFF_LINES = 2_000  # of one change; the rest is counted
LINE = 2_000  # characters of one line of a diff
LOG = 12_000  # bytes of one gate's log
TEXT = 20_000  # bytes of one text of a model
NAMES = 50  # tests of one kind


NO_TESTS = TestsSeen()


@dataclass(frozen=True)
class DiffLine:
    """One line of a patch and what it is: add, del, hunk, file or same."""

    kind: str
    text: str


@dataclass(frozen=True)
class Item:
    """One record of a change's history with what is shown beside it. `kind` is the record's own word."""

    kind: str
    key: str
    record: object
    tests: TestsSeen = NO_TESTS
    log: str = ""


@dataclass(frozen=True)
class Round:
    """One round; number 0 holds what belongs to none."""

    number: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class ChangePage:
    """One change as the page shows it."""

    view: ChangeView
    why: str
    cost: str
    tokens: str
    command: str | None
    rounds: tuple[Round, ...]
    diff: tuple[DiffLine, ...]
    diff_left_out: int
    added: int
    removed: int


def write_report(repository: Repository, run: str | None = None, output: Path | None = None) -> Path:
    """Write the page of `run` (None: the newest) and return where: `output`, or report.html in the run's folder.

    Raises NotFound when there is no such run, OSError when the file cannot be written. Replaced in one move.
    """
    view = read_run(repository, run)
    path = output or repository.state / "runs" / view.run / "report.html"
    if output is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(render(repository, view), encoding="utf-8")
    temporary.replace(path)
    return path


def render(repository: Repository, view: RunView) -> str:
    """The page of a run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, when=_when, short=_short, count=thousands, tokens=token_counts)
    pages = {change.id: _change(repository, view, change) for change in view.changes}
    return environment.get_template("template.html.j2").render(
        run=view,
        digest=digest(view),
        pages=pages,
        cost=money(view.total),
        money=_money,
        names=NAMES,
        version=__version__,
    )


def _change(repository: Repository, view: RunView, change: ChangeView) -> ChangePage:
    total = total_of(change.spent)
    patch = patch_of(repository, change).text.decode(errors="backslashreplace").split("\n")
    lines = patch[:-1] if patch[-1] == "" else patch
    kinds = tuple(diff_lines(lines))
    return ChangePage(
        view=change,
        why=sentence(change),
        cost=money(total),
        tokens=token_counts(total),
        command=next_command(view, change),
        rounds=_rounds(repository, change),
        diff=kinds[:DIFF_LINES],
        diff_left_out=max(0, len(kinds) - DIFF_LINES),
        added=sum(line.kind == "add" for line in kinds),
        removed=sum(line.kind == "del" for line in kinds),
    )


def diff_lines(lines: Iterable[str]) -> Iterable[DiffLine]:
    """The lines of a patch with what each is; a header counts as one only outside of a hunk."""
    in_hunk = False
    for line in lines:
        if line.startswith("diff --git "):
            in_hunk = False
        elif line.startswith("@@ "):
            in_hunk = True
        kind = "file"
        if in_hunk:
            kind = {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "same")
        yield DiffLine(kind, line if len(line) <= LINE else f"{line[:LINE]}… {len(line) - LINE} characters left out")


def _rounds(repository: Repository, change: ChangeView) -> tuple[Round, ...]:
    rounds: list[Round] = []
    for entry in change.entries:
        if isinstance(entry.record, CloseRecord) and entry.record.landed:
            continue  # the landing itself says it
        number = getattr(entry.record, "round", 0)
        item = _item(repository, entry)
        if not rounds or (number and rounds[-1].number != number):
            rounds.append(Round(number, (item,)))
        else:
            rounds[-1] = Round(rounds[-1].number, (*rounds[-1].items, item))
    return tuple(rounds)


def _item(repository: Repository, entry: Entry) -> Item:
    if not isinstance(entry.record, GateRecord):
        return Item(entry.record.kind, entry.key, entry.record)
    return Item("gate", entry.key, entry.record, tests_seen(repository, entry), log_of(repository, entry, LOG))


def _money(cost: float | None, at_most: bool = False) -> str:
    return "unknown" if cost is None else f"{'at most ' if at_most else ''}{dollars(cost)}"


def _shown(value: object) -> object:
    """What every value on the page goes through: control and bidi characters visible, length bounded.

    Markup is what a macro of the template made, of values that went through here.
    """
    if isinstance(value, Markup):
        return value
    return capped(escape_terminal(value), TEXT) if isinstance(value, str) else value


def _short(object_id: str | None) -> str:
    return object_id[:12] if object_id else "none"


def _when(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at is not None else "not ended"
