"""A run in four answers: what landed, what waits for you with the one next command, what failed and why, what it cost.

Pure. Text comes from models too: whoever shows it escapes it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from runner.accounts import Total
from runner.flow import NO_MERGE
from runner.stages.records import DecisionRecord, GateRecord, LandRecord, ReviewRecord, TurnRecord
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
    """The first screen of a run. `open`: what is not over; `idle`: what needed no change, or had landed before."""

    headline: str
    landed: tuple[Line, ...]
    waits: tuple[Line, ...]
    failed: tuple[Line, ...]
    open: tuple[Line, ...]
    idle: tuple[Line, ...]


FAILED = ("gave-up", "rejected", "budget", "cancelled", "broken", "skipped")
RESUMABLE = ("interrupted", "budget", "broken")


def digest(run: RunView) -> Digest:
    """The first screen of a run."""
    changes = run.changes
    landed = [Line(c.id, c.title, f"{c.landed[:12]} on {run.landing_branch}") for c in changes if c.landed]
    failed = [Line(c.id, c.title, f"{c.outcome}: {sentence(c)}", _look(run, c)) for c in changes if c.outcome in FAILED]
    failed += [
        Line(task.id, task.title, task.why or str(task.outcome))
        for task in run.tasks
        if not task.changes and task.outcome not in (None, "landed", "nothing-to-do", "interrupted")
    ]
    if run.outcome == "broken" and not failed:
        failed.append(Line("", "the run could not go on", run.why))
    going = [Line(c.id, c.title, f"round {c.rounds}" if c.rounds else "not begun") for c in changes if not c.outcome]
    idle = [Line(c.id, c.title, c.why or "no change was needed") for c in changes if c.outcome == "no-change"]
    idle += [Line(t.id, t.title, t.why) for t in run.tasks if not t.changes and t.outcome == "nothing-to-do"]
    return Digest(headline(run), tuple(landed), waiting_for_you(run), tuple(failed), tuple(going), tuple(idle))


def headline(run: RunView) -> str:
    """One sentence on the whole run."""
    changes = run.changes
    landed = sum(change.landed is not None for change in changes)
    if not changes:
        return {"running": "No change is begun yet.", "nothing-to-do": "There was nothing to do."}.get(
            run.outcome, "No change was begun."
        )
    counted = f"{landed} of {len(changes)} change{'' if len(changes) == 1 else 's'} landed"
    waits = len(waiting_for_you(run))
    more = {0: "", 1: "; one thing waits for you"}.get(waits, f"; {waits} things wait for you")
    return f"{counted}{more}."


def waiting_for_you(run: RunView) -> tuple[Line, ...]:
    """All that waits for the user: the landing branch, changes, the run itself; each with its command."""
    waits = [waiting(run, change) for change in run.changes if change.outcome == "needs-human"]
    if run.bring_in:
        waits.insert(0, Line("", f"{run.landing_branch} is ready", _bring_in_reason(run), run.bring_in))
    if run.outcome in RESUMABLE:
        waits.append(Line("", f"the run is {_word(run)}", run.why or _stop_reason(run), f"relay resume {run.run}"))
    return tuple(waits)


def waiting(run: RunView, change: ChangeView) -> Line:
    """What a change waits for, and the one command that goes on."""
    name = f"{run.run}/{change.id}"
    gates = change.of(GateRecord)
    if change.why.startswith(NO_MERGE):
        return Line(change.id, change.title, change.why, f"git merge {change.branch or change.head}")
    if _has_word(change):
        return Line(change.id, change.title, "you allowed it; the run has not gone on yet", f"relay resume {run.run}")
    why = change.why or (gates[-1].summary if gates else "") or "it waits for your word"
    if gates and gates[-1].reason == "needs-permission":
        globs = " ".join(f"--may-change {shlex.quote(path)}" for path in gates[-1].paths)
        return Line(change.id, change.title, why, f"relay approve {name} {globs}".strip())
    if any(record.decision == "approve" for record in change.of(DecisionRecord)):
        why = f"{why} (your approval was of an earlier candidate)"
    return Line(change.id, change.title, why, f"relay approve {name}")


def _has_word(change: ChangeView) -> bool:
    """Whether the user has said yes to what waits now: to exactly this candidate, or to what its verdict asks for."""
    gate: GateRecord | None = None
    said = False
    for entry in change.entries:
        record = entry.record
        if isinstance(record, GateRecord):
            gate, said = record, False
        elif isinstance(record, DecisionRecord) and gate is not None and record.decision == "approve":
            fits = (record.head, record.tree) == (gate.head, gate.tree)
            said = said or fits or (gate.reason == "needs-permission" and bool(record.may_change))
    return said


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


def token_counts(total: Total) -> str:
    """Tokens for people: what went in (with the part that came from a cache) and what came out.

    `at least` where a server did not count some of them: those that are known are fewer.
    """
    tokens = total.tokens
    went_in = tokens.input + tokens.cache_read + tokens.cache_write
    cached = f" ({round(100 * tokens.cache_read / went_in)} % cached)" if tokens.cache_read else ""
    return f"{'at least ' if total.at_most else ''}{thousands(went_in)} in{cached}, {thousands(tokens.output)} out"


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
    if run.target_moved:
        return (
            f"{run.target} was checked out, so it was not touched; it has moved meanwhile, so the merge is tested first"
        )
    by_hand = f"git merge --ff-only {run.landing_branch}"
    return f"{run.target} was checked out, so it was not touched; plain git does it too: {by_hand}"
