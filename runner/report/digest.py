"""A run in four answers: what landed, what waits for you with the one next command, what failed and why, what it cost.

Pure. Text comes from models too: whoever shows it escapes it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from runner.accounts import Total
from runner.stages.records import DecisionRecord, GateRecord, LandRecord, ReviewRecord, Tokens, TurnRecord
from runner.view import ChangeView, RunView


@dataclass(frozen=True)
class Line:
    """One answer about one thing. `command` is what to type next, or None; `change` the id it is about, or ``."""

    change: str
    title: str
    why: str
    command: str | None = None


@dataclass(frozen=True)
class Digest:
    """The first screen of a run."""

    headline: str
    landed: tuple[Line, ...]
    waits: tuple[Line, ...]
    failed: tuple[Line, ...]
    open: tuple[Line, ...]


FAILED = ("gave-up", "rejected", "budget", "cancelled", "broken", "skipped")
RESUMABLE = ("interrupted", "budget", "broken")


def digest(run: RunView) -> Digest:
    """The first screen of a run."""
    changes = run.changes
    landed = [Line(c.id, c.title, f"{c.landed[:12]} on {run.landing_branch}") for c in changes if c.landed]
    waits = [waiting(run, change) for change in changes if change.outcome == "needs-human"]
    if run.bring_in:
        waits.insert(0, Line("", f"{run.landing_branch} is ready", _bring_in_reason(run), run.bring_in))
    if run.outcome in RESUMABLE:
        waits.append(Line("", f"the run is {_word(run)}", run.why or _stop_reason(run), f"relay resume {run.run}"))
    failed = [Line(c.id, c.title, f"{c.outcome}: {sentence(c)}", _look(run, c)) for c in changes if c.outcome in FAILED]
    failed += [
        Line(task.id, task.title, task.why or str(task.outcome))
        for task in run.tasks
        if not task.changes and task.outcome not in (None, "landed", "nothing-to-do", "interrupted")
    ]
    if run.outcome == "broken" and not failed:
        failed.append(Line("", "the run could not go on", run.why))
    going = [Line(c.id, c.title, f"round {c.rounds}" if c.rounds else "not begun") for c in changes if not c.outcome]
    return Digest(headline(run), tuple(landed), tuple(waits), tuple(failed), tuple(going))


def headline(run: RunView) -> str:
    """One sentence on the whole run."""
    changes = run.changes
    landed = sum(change.landed is not None for change in changes)
    if not changes:
        return {"running": "It is planning.", "nothing-to-do": "There was nothing to do."}.get(
            run.outcome, "No change was begun."
        )
    counted = f"{landed} of {len(changes)} change{'s' if len(changes) != 1 else ''} landed"
    waiting_now = sum(change.outcome == "needs-human" for change in changes)
    more = f", {waiting_now} wait{'s' if waiting_now == 1 else ''} for you" if waiting_now else ""
    return f"{counted}{more}."


def waiting(run: RunView, change: ChangeView) -> Line:
    """What a change waits for, and the one command that goes on."""
    name = f"{run.run}/{change.id}"
    gates = change.of(GateRecord)
    said = change.of(DecisionRecord)
    if said and said[-1].decision == "approve":
        return Line(change.id, change.title, "you approved it; the run has not gone on yet", f"relay resume {run.run}")
    if change.why.startswith("no merge stage"):
        return Line(change.id, change.title, change.why, f"git merge {change.branch or change.head}")
    if gates and gates[-1].reason == "needs-permission":
        globs = " ".join(f"--may-change {shlex.quote(path)}" for path in gates[-1].paths)
        return Line(change.id, change.title, change.why or gates[-1].summary, f"relay approve {name} {globs}".strip())
    return Line(change.id, change.title, change.why or "it waits for your word", f"relay approve {name}")


def next_command(run: RunView, change: ChangeView) -> str | None:
    """The one command that takes this change further, or None when nothing is left to do."""
    if change.outcome == "needs-human":
        return waiting(run, change).command
    if change.landed:
        return run.bring_in
    if run.outcome == "running":
        return f"relay log {run.run} -f"
    if change.outcome in (None, "budget", "broken") and run.outcome in RESUMABLE:
        return f"relay resume {run.run}"
    return None


def sentence(change: ChangeView) -> str:
    """Why a change stands where it stands, in one sentence."""
    if change.why:
        return change.why
    for entry in reversed(change.entries):
        record = entry.record
        if isinstance(record, GateRecord) and record.status != "passed":
            return f"{record.reason}: {record.summary}"
        if isinstance(record, ReviewRecord) and record.decision != "approve":
            return f"{record.role} asked for changes: {record.summary}"
        if isinstance(record, TurnRecord) and record.end != "done":
            return f"the turn ended as {record.end}: {record.why or record.summary}"
        if isinstance(record, LandRecord):
            return "it was tested and is about to land"
    return "no reason was recorded" if change.outcome else "it is not over"


def money(total: Total) -> str:
    """A cost for people: `$1.23`, `at most $1.23`, or `unknown`."""
    return "unknown" if total.cost_usd is None else f"{'at most ' if total.at_most else ''}{dollars(total.cost_usd)}"


def dollars(cost: float) -> str:
    """An amount in USD, with more digits where it is small."""
    return f"${cost:.2f}" if cost >= 0.1 or cost == 0 else f"${cost:.4f}"


def token_counts(tokens: Tokens) -> str:
    """Tokens for people: what went in (with the part that came from a cache) and what came out."""
    went_in = tokens.input + tokens.cache_read + tokens.cache_write
    cached = f" ({round(100 * tokens.cache_read / went_in)} % cached)" if tokens.cache_read else ""
    return f"{thousands(went_in)} in{cached}, {thousands(tokens.output)} out"


def thousands(count: int) -> str:
    """A count of at most four digits: `950`, `12.3k`, `4.5m`."""
    if count < 1_000:
        return str(count)
    value, unit = (count / 1_000, "k") if count < 999_950 else (count / 1_000_000, "m")
    return f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"


def duration(seconds: float) -> str:
    """A time for people: `14 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _look(run: RunView, change: ChangeView) -> str | None:
    return f"relay show {run.run}/{change.id}" if change.entries else None


def _word(run: RunView) -> str:
    return {"budget": "at its budget"}.get(run.outcome, run.outcome)


def _stop_reason(run: RunView) -> str:
    return "it goes on where it stopped" if run.outcome == "interrupted" else "it can go on"


def _bring_in_reason(run: RunView) -> str:
    moved = f"; {run.target} has moved meanwhile" if run.target_moved else ""
    return f"{run.target} was checked out, so it was not touched{moved}"
